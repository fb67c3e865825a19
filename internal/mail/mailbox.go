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
)

// mailboxSize bounds what a Mailbox keeps; the oldest go first.
const mailboxSize = 100

// A Mailbox is a Transport that keeps the last messages in memory and shows them on a page: the demo's mail server.
// Whoever can open the page can read everybody's mail, so only the demo mounts it.
type Mailbox struct {
	mu       sync.Mutex
	messages []Received // oldest first
}

// Received is a message as it arrived.
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

// Messages returns what the mailbox holds, newest first.
func (b *Mailbox) Messages() []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	messages := slices.Clone(b.messages)
	slices.Reverse(messages)
	return messages
}

// A failer answers a request with what went wrong; *web.Shell is one. This package stands beside web and does not import it,
// so the page is a document of its own: it is somebody's mail program, not a room of the house.
type failer interface {
	Fail(w http.ResponseWriter, r *http.Request, err error)
}

// Mount shows the mailbox at GET /demo/mail.
func (b *Mailbox) Mount(mux *http.ServeMux, shell failer) error {
	page, err := template.ParseFS(templates, "templates/mailbox.html")
	if err != nil {
		return fmt.Errorf("mailbox: %w", err)
	}
	style, err := templates.ReadFile("templates/mailbox.css")
	if err != nil {
		return fmt.Errorf("mailbox: %w", err)
	}
	mux.HandleFunc("GET /demo/mail", func(w http.ResponseWriter, r *http.Request) {
		var body bytes.Buffer
		if err := page.Execute(&body, b.Messages()); err != nil {
			shell.Fail(w, r, fmt.Errorf("render mailbox: %w", err))
			return
		}
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = w.Write(body.Bytes()) // the browser may have gone; there is nobody left to tell
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

// A Line is one line of a message as the page shows it: as text, as a code, or as a link.
type Line struct{ Text, Code, Link string }

// Lines reads the plain text as a mail program would, finding what can be clicked or typed.
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
