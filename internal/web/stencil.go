package web

import (
	"bytes"
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/stepward/stepward/internal/words"
)

// maxKept limits the pages that one Stencil keeps, because clients can register themselves.
const maxKept = 256

// A Stencil is a page that is rendered once for each key and language, and then only filled with values, which differ
// from one request to the next. It is safe for concurrent use.
type Stencil[K comparable] struct {
	shell *Shell
	pages *Pages
	name  string
	draw  func(key K, values []string) Page
	holes []string // in place of the values while the page is rendered

	mu   sync.RWMutex
	kept map[cutKey[K]]*cut
}

type cutKey[K comparable] struct {
	key      K
	language *words.Language
	back     bool // with the switch of the language
}

// A cut is a rendered page without its values.
type cut struct {
	page  Page
	parts []part
	size  int
}

// A part is text and the number of the value after it; -1: none.
type part struct {
	text  []byte
	value int
}

// NewStencil returns the stencil of a page with this number of values. draw must make the page from the key and the
// values alone, and use the values only as whole attributes or texts, unconditionally. A value in a URL must consist of
// letters and digits.
func NewStencil[K comparable](
	s *Shell, pages *Pages, name string, values int, draw func(key K, values []string) Page,
) *Stencil[K] {
	st := &Stencil[K]{shell: s, pages: pages, name: name, draw: draw, kept: map[cutKey[K]]*cut{}}
	for range values + 1 { // the last is where the switch of the language returns to
		// Only letters and digits, which no context escapes; random, so that no outside text contains one.
		st.holes = append(st.holes, rand.Text())
	}
	return st
}

// Render writes the page, completely or not at all.
func (st *Stencil[K]) Render(w http.ResponseWriter, r *http.Request, key K, values ...string) error {
	if len(values) != len(st.holes)-1 {
		return fmt.Errorf("page %s: %d values", st.name, len(values))
	}
	back := st.shell.backTo(r)
	c, err := st.cut(cutKey[K]{key, st.shell.Language(r), back != ""})
	if err != nil {
		return err
	}
	writePage(w, c.page, c.fill(append(values, back)))
	return nil
}

// cut returns the page for a key without its values. It renders it if it is not kept.
func (st *Stencil[K]) cut(k cutKey[K]) (*cut, error) {
	st.mu.RLock()
	c := st.kept[k]
	st.mu.RUnlock()
	if c != nil {
		return c, nil
	}
	last := len(st.holes) - 1
	p, back := st.draw(k.key, st.holes[:last:last]), ""
	if k.back {
		back = st.holes[last]
	}
	body, err := st.shell.render(st.pages, st.name, p, k.language, back, "")
	if err != nil {
		return nil, err
	}
	c = cutAt(p, body, st.holes)
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.kept) >= maxKept {
		clear(st.kept)
	}
	st.kept[k] = c
	return c, nil
}

func cutAt(p Page, body []byte, holes []string) *cut {
	c := &cut{page: p, size: len(body)}
	c.page.Data = nil
	for {
		at, value := len(body), -1
		for i, hole := range holes {
			if n := bytes.Index(body, []byte(hole)); n >= 0 && n < at {
				at, value = n, i
			}
		}
		c.parts = append(c.parts, part{slices.Clone(body[:at]), value})
		if value < 0 {
			return c
		}
		body = body[at+len(holes[value]):]
	}
}

// escapeValue escapes a text or a quoted attribute as html/template does.
var escapeValue = strings.NewReplacer(
	"\x00", "\uFFFD", `"`, "&#34;", "&", "&amp;", "'", "&#39;", "+", "&#43;", "<", "&lt;", ">", "&gt;",
)

func (c *cut) fill(values []string) []byte {
	size := c.size
	for _, v := range values {
		size += 2 * len(v)
	}
	body := bytes.NewBuffer(make([]byte, 0, size))
	for _, p := range c.parts {
		body.Write(p.text)
		if p.value >= 0 {
			_, _ = escapeValue.WriteString(body, values[p.value])
		}
	}
	return body.Bytes()
}
