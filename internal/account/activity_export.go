package account

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/personal"
)

// A savedEvent is an event in a file for its user (docs/data.md).
type savedEvent struct {
	ID          string            `json:"id"`
	At          time.Time         `json:"at"`
	Kind        idp.EventKind     `json:"kind"`
	ClientID    string            `json:"client_id,omitempty"`
	ClientName  string            `json:"client_name,omitempty"`
	PasskeyID   string            `json:"passkey_id,omitempty"`
	PasskeyName string            `json:"passkey_name,omitempty"`
	SessionID   string            `json:"session_id,omitempty"`
	Agent       string            `json:"browser,omitempty"`
	Address     string            `json:"address,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	Detail      map[string]string `json:"detail,omitempty"`
}

// export sends the events that the filter of the page selects, as a file.
func (a activities) export(w http.ResponseWriter, r *http.Request, v visitor) error {
	f := filterOf(r.URL.Query())
	keys, err := a.passkeyNames(r.Context(), v.user.ID)
	if err != nil {
		return err
	}
	file := newSavedFile(w, "activity.json")
	file.member("format", 1)
	file.member("issuer", a.cfg.Issuer)
	file.member("made_at", time.Now().UTC())
	file.member("sub", v.user.ID)
	a.writeEvents(file, r, v, f, keys)
	return file.close()
}

// writeEvents writes the member "events", a page at a time.
func (a activities) writeEvents(file *savedFile, r *http.Request, v visitor, f personal.Filter, keys passkeyNames) {
	clients := map[string]string{}
	file.list("events", func(item func(any)) error {
		return a.records.EachEvent(r.Context(), v.user.ID, f, func(e idp.Event) error {
			if _, ok := clients[e.ClientID]; !ok && e.ClientID != "" {
				clients[e.ClientID] = a.clientName(r.Context(), e.ClientID)
			}
			item(savedEvent{
				ID: e.ID, At: e.At.UTC(), Kind: e.Kind, ClientID: e.ClientID, ClientName: clients[e.ClientID],
				PasskeyID: e.PasskeyID, PasskeyName: keys.names[e.PasskeyID], SessionID: e.SessionID, Agent: e.Agent,
				Address: e.Address, RequestID: e.RequestID, Detail: e.Detail,
			})
			return file.err
		})
	})
}

// A savedFile writes one JSON object as a download, a member at a time, so that a long one needs no memory. After an
// error it writes nothing.
type savedFile struct {
	w      http.ResponseWriter
	begun  bool
	err    error
	prefix string
}

func newSavedFile(w http.ResponseWriter, name string) *savedFile {
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Disposition", `attachment; filename="`+name+`"`)
	h.Set("Cache-Control", "no-store")
	return &savedFile{w: w, prefix: "{\n"}
}

func (f *savedFile) write(s string) {
	if f.err == nil {
		f.begun = true
		_, f.err = io.WriteString(f.w, s)
	}
}

func (f *savedFile) value(v any, indent string) {
	b, err := json.MarshalIndent(v, indent, "  ")
	if err != nil {
		f.err = fmt.Errorf("write file: %w", err)
		return
	}
	f.write(string(b))
}

func (f *savedFile) name(name string) {
	f.write(f.prefix + `  "` + name + `": `)
	f.prefix = ",\n"
}

// member writes a member of the object.
func (f *savedFile) member(name string, v any) {
	f.name(name)
	f.value(v, "  ")
}

// list writes a member that is an array of the items that each passes on.
func (f *savedFile) list(name string, each func(item func(any)) error) {
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
func (f *savedFile) close() error {
	f.write("\n}\n")
	if f.err != nil && f.begun {
		panic(http.ErrAbortHandler)
	}
	return f.err
}
