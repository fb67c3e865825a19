package mail

import (
	"bytes"
	"context"
	"fmt"
	"html/template"
	"net/http"
	netmail "net/mail"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/words"
)

// mailboxSize limits the messages of a Mailbox; the oldest are dropped.
const mailboxSize = 100

// A Mailbox is a Transport that keeps the latest messages in memory and shows them on a page. Only the demo mounts it,
// because anyone who can open the page can read all mail.
type Mailbox struct {
	mu       sync.Mutex
	messages []Received // oldest first
}

// Received is a delivered message.
type Received struct {
	Message
	From string
	At   time.Time
}

// Deliver implements [Transport].
func (b *Mailbox) Deliver(_ context.Context, from *netmail.Address, m Message) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.messages = append(b.messages, Received{Message: m, From: from.Address, At: time.Now()})
	if n := len(b.messages) - mailboxSize; n > 0 {
		b.messages = slices.Delete(b.messages, 0, n)
	}
	return nil
}

// Messages returns the messages, newest first.
func (b *Mailbox) Messages() []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages := slices.Clone(b.messages)
	slices.Reverse(messages)
	return messages
}

// A failer answers a failed request, and knows the language of the answer; *web.Shell is one. This package must not
// import web, so the mailbox page does not use the layout of the other pages. It stands for a mail program.
type failer interface {
	Fail(w http.ResponseWriter, r *http.Request, err error)
	Language(r *http.Request) *words.Language
}

// Mount serves the mailbox at GET /demo/mail.
func (b *Mailbox) Mount(mux *http.ServeMux, shell failer) error {
	pages := map[*words.Language]*template.Template{}
	for _, l := range words.Languages() {
		page, err := template.New("mailbox.html").Funcs(template.FuncMap{
			"t": func(key string, args ...any) template.HTML { return l.HTML(words.T(key, args...)) },
			"moment": func(t time.Time) template.HTML {
				return template.HTML(fmt.Sprintf(
					`<time datetime="%s">%s</time>`, t.UTC().Format(time.RFC3339), l.Moment(t),
				))
			},
		}).ParseFS(templates, "templates/mailbox.html")
		if err != nil {
			return fmt.Errorf("mailbox: %w", err)
		}
		pages[l] = page
	}
	style, err := templates.ReadFile("templates/mailbox.css")
	if err != nil {
		return fmt.Errorf("mailbox: %w", err)
	}
	mux.HandleFunc("GET /demo/mail", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		l := shell.Language(r)
		data := struct {
			Language *words.Language
			Product  string
			Messages []Received
		}{l, "Stepward", b.Messages()}
		if err := pages[l].Execute(&body, data); err != nil {
			shell.Fail(w, r, fmt.Errorf("render mailbox: %w", err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(body.Bytes()) // the browser may have gone
	})
	mux.HandleFunc("GET /demo/mail.css", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/css; charset=utf-8")
		_, _ = w.Write(style)
	})
	return nil
}

var (
	codeLine = regexp.MustCompile(`^\s*([0-9]{6,10})\s*$`)
	linkLine = regexp.MustCompile(`^\s*(https?://\S+)\s*$`)
)

// A Line is one line of a message: text, a code, or a link.
type Line struct{ Text, Code, Link string }

// Lines splits the plain text into lines and finds codes and links, as a mail program would.
func (r Received) Lines() []Line {
	var lines []Line
	for text := range strings.Lines(strings.TrimSpace(r.Text)) {
		text = strings.TrimRight(text, "\r\n")
		if code := codeLine.FindStringSubmatch(text); code != nil {
			lines = append(lines, Line{Code: code[1]})
		} else if link := linkLine.FindStringSubmatch(text); link != nil {
			lines = append(lines, Line{Link: link[1]})
		} else if text != "" {
			lines = append(lines, Line{Text: text})
		}
	}
	return lines
}
