package takeout

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
)

// A file writes one JSON object as a download, a member at a time, so that a long one needs no memory. After an
// error it writes nothing.
type file struct {
	w      http.ResponseWriter
	begun  bool
	err    error
	prefix string
}

func newFile(w http.ResponseWriter, name string) *file {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
	return &file{w: w, prefix: "{\n"}
}

func (f *file) write(s string) {
	if f.err == nil {
		f.begun = true
		_, f.err = io.WriteString(f.w, s)
	}
}

func (f *file) value(v any, indent string) {
	b, err := json.MarshalIndent(v, indent, "  ")
	if err != nil {
		f.err = fmt.Errorf("write file: %w", err)
		return
	}
	f.write(string(b))
}

func (f *file) name(name string) {
	f.write(f.prefix + `  "` + name + `": `)
	f.prefix = ",\n"
}

// member writes a member of the object.
func (f *file) member(name string, v any) {
	f.name(name)
	f.value(v, "  ")
}

// list writes a member that is an array of the items that each passes on.
func (f *file) list(name string, each func(item func(any)) error) {
	if f.err != nil {
		return
	}
	f.name(name)
	separator, end := "[\n    ", "[]"
	err := each(func(v any) {
		f.write(separator)
		f.value(v, "    ")
		separator, end = ",\n    ", "\n  ]"
	})
	if err != nil && f.err == nil {
		f.err = err
	}
	f.write(end)
}

// close ends the file. If something failed, it ends the connection instead, so that the browser reports the download as
// failed: part of a file must not look like all of it.
func (f *file) close() error {
	f.write("\n}\n")
	if f.err != nil && f.begun {
		panic(http.ErrAbortHandler)
	}
	return f.err
}
