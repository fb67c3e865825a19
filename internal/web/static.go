package web

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/stepward/stepward/internal/words"
)

//go:embed static
var staticFiles embed.FS

//go:embed static/logo.svg
var logoSVG string

// static serves the files under static/ by names that contain a hash of their content, so that they can be cached
// forever. A script with texts has one file per language.
type static struct {
	names map[string]string    // app.css -> app.0123456789ab.css, copy.js/de -> copy.0123456789ab.js
	files map[string]*Document // by name with hash
	icons map[string]bool      // of icons.svg
	icon  *Document            // under its traditional name
}

var contentTypes = map[string]string{
	".css": "text/css; charset=utf-8",
	".js":  "text/javascript; charset=utf-8",
	".svg": "image/svg+xml",
}

var iconID = regexp.MustCompile(` id="([^"]+)"`)

// unbranded holds all files as they are without a brand. It is built once.
var unbranded = sync.OnceValues(func() (*static, error) {
	s := &static{names: map[string]string{}, files: map[string]*Document{}, icons: map[string]bool{}}
	entries, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("list static files: %w", err)
	}
	for _, e := range entries {
		body, err := staticFiles.ReadFile("static/" + e.Name())
		if err != nil {
			return nil, fmt.Errorf("read static file: %w", err)
		}
		body = minify(body)
		if path.Ext(e.Name()) == ".css" {
			body = []byte(cssBlanks.Replace(string(body)))
		}
		if e.Name() == "icons.svg" {
			for _, id := range iconID.FindAllSubmatch(body, -1) {
				s.icons[string(id[1])] = true
			}
		}
		s.add(e.Name(), "", body)
		if !bytes.Contains(body, scriptWords) {
			continue
		}
		for _, l := range words.Languages() {
			texts, err := json.Marshal(l.With("script." + strings.TrimSuffix(e.Name(), ".js") + "."))
			if err != nil {
				return nil, fmt.Errorf("texts of %s: %w", e.Name(), err)
			}
			s.add(e.Name(), l.Tag, bytes.Replace(body, scriptWords, texts, 1))
		}
	}
	return s, nil
})

// scriptWords stands for the texts of a script, an object with the keys of the catalogue that begin with script.NAME.
var scriptWords = []byte("WORDS")

func newStatic(accent string) (*static, error) {
	all, err := unbranded()
	if err != nil {
		return nil, err
	}
	brand, err := accentCSS(accent)
	if err != nil || len(brand) == 0 {
		return all, err
	}
	s := &static{names: maps.Clone(all.names), files: maps.Clone(all.files), icons: all.icons, icon: all.icon}
	s.add("app.css", "", append(slices.Clone(all.files[all.names["app.css"]].plain), brand...))
	return s, nil
}

// cssBlanks drops the blanks of a stylesheet that mean nothing. Its texts contain none of these.
var cssBlanks = strings.NewReplacer(" { ", "{", " {\n", "{\n", "; }", "}", ": ", ":", "; ", ";")

// minify drops indentation, empty lines and comment lines. The files are written so that no other line begins like a
// comment.
func minify(body []byte) []byte {
	var out bytes.Buffer
	for line := range bytes.Lines(body) {
		line = bytes.TrimSpace(line)
		comment := bytes.HasPrefix(line, []byte("//")) ||
			bytes.HasPrefix(line, []byte("/*")) && bytes.HasSuffix(line, []byte("*/"))
		if len(line) > 0 && !comment {
			out.Write(line)
			out.WriteByte('\n')
		}
	}
	return out.Bytes()
}

func (s *static) add(name, tag string, body []byte) {
	sum := sha256.Sum256(body)
	ext := path.Ext(name)
	hashed := strings.TrimSuffix(name, ext) + "." + hex.EncodeToString(sum[:6]) + ext
	if tag != "" {
		name += "/" + tag
	}
	s.names[name] = hashed
	s.files[hashed] = newFile(contentTypes[ext], "public, max-age=31536000, immutable", body)
	if name == "favicon.svg" {
		s.icon = newFile(contentTypes[ext], "public, max-age=86400", body)
	}
}

// url returns the address of a file. A script with texts is in language l.
func (s *static) url(l *words.Language, name string) (string, error) {
	hashed, ok := s.names[name]
	if l != nil {
		hashed = cmp.Or(s.names[name+"/"+l.Tag], hashed)
	}
	if !ok {
		return "", fmt.Errorf("no static file %q", name)
	}
	return "/static/" + hashed, nil
}

// ServeHTTP implements http.Handler.
func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	file, ok := s.files[r.PathValue("name")]
	if !ok {
		http.Error(w, "no such file", http.StatusNotFound)
		return
	}
	file.ServeHTTP(w, r)
}
