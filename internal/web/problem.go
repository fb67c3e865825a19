package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
)

// ErrStopping is the cause of a request context that ended because the server stops. The client is still there, and is
// told to try again.
var ErrStopping = errors.New("the server is stopping")

// Again is an error of a GET handler: the browser stores the cookie and requests the same page with it.
type Again struct{ Cookie *http.Cookie }

func (*Again) Error() string { return "request again with another cookie" }

// A Problem is an error for people. They only see its texts; Err goes to the log.
type Problem struct {
	Status  int
	Code    string // stable word for scripts; empty: derived from Status
	Title   string
	Text    string // what happened
	Next    string // what to do, in a sentence; with NextURL, the label of its button
	NextURL string
	// RetryAfter is for status 429; zero means a minute.
	RetryAfter time.Duration
	Fields     map[string]string // more members of the JSON response, such as location
	Err        error             // for the log
}

func (p *Problem) Error() string {
	if p.Err != nil {
		return fmt.Sprintf("%d %s: %v", p.Status, p.code(), p.Err)
	}
	return fmt.Sprintf("%d %s", p.Status, p.code())
}

// Unwrap supports errors.Is and errors.As.
func (p *Problem) Unwrap() error { return p.Err }

func (p *Problem) code() string {
	if p.Code != "" {
		return p.Code
	}
	return strings.ReplaceAll(strings.ToLower(http.StatusText(p.Status)), " ", "_")
}

// message returns the whole text in one or two sentences, for a line beside a button.
func (p *Problem) message() string {
	text := p.Text
	if text == "" {
		text = p.Title
	}
	if p.Next != "" && p.NextURL == "" {
		text += " " + p.Next
	}
	return text
}

// Fail sends err as a page, or as JSON if the caller is a script.
func (s *Shell) Fail(w http.ResponseWriter, r *http.Request, err error) {
	if again, ok := errors.AsType[*Again](err); ok {
		http.SetCookie(w, again.Cookie)
		w.Header().Set("Cache-Control", "no-store")
		http.Redirect(w, r, "/"+strings.TrimLeft(r.URL.RequestURI(), "/"), http.StatusSeeOther) // never //elsewhere
		return
	}
	p := withCurlyApostrophes(problemOf(r, err))
	Note(r.Context(), slog.String("problem", p.code()))
	if p.Err != nil {
		Note(r.Context(), slog.Any("error", p.Err))
	}
	if rec, ok := recordOf(r.Context()); ok && rec.status != 0 {
		// part of the response is already sent: break the connection, so that it does not look complete
		panic(http.ErrAbortHandler)
	}
	switch {
	case p.Status == http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	case p.Status == http.StatusTooManyRequests && w.Header().Get("Retry-After") == "":
		w.Header().Set("Retry-After", strconv.Itoa(int(cmp.Or(p.RetryAfter, time.Minute).Seconds())))
	}
	if wantsJSON(r) {
		body := map[string]string{}
		maps.Copy(body, p.Fields)
		body["error"], body["message"], body["request_id"] = p.code(), p.message(), RequestID(r.Context())
		w.Header().Set("Cache-Control", "no-store")
		if err := WriteJSON(w, p.Status, body); err != nil {
			Note(r.Context(), slog.Any("answer", err))
		}
		return
	}
	page := Page{Name: "error", Title: p.Title, Layout: LayoutThreshold, Status: p.Status, Data: errorPageFor(r, p)}
	if err := s.Render(w, r, s.errors, "error", page); err != nil {
		Note(r.Context(), slog.Any("answer", err))
	}
}

// An errorPage is the data of error.html: a problem and one link.
type errorPage struct {
	*Problem
	Advice     string // a sentence
	Label, URL string
	Quiet      bool // the link does not solve the problem
}

// maxLabel is the longest label of a button, in characters.
const maxLabel = 40

// errorPageFor returns the data of an error page, with one link. If the problem names none, a fault of ours can be
// tried again and everything else leads to the account.
func errorPageFor(r *http.Request, p *Problem) errorPage {
	e := errorPage{Problem: p, Label: p.Next, URL: p.NextURL}
	sentence := len(p.Next) > maxLabel || strings.HasSuffix(p.Next, ".")
	here := r.URL.RequestURI()
	ours := strings.HasPrefix(here, "/") && !strings.HasPrefix(here, "//") && !strings.Contains(here, `\`)
	switch {
	case p.NextURL != "" && sentence:
		e.Advice, e.Label = p.Next, "Continue"
	case p.NextURL != "":
		e.Label = cmp.Or(p.Next, "Continue")
	case p.Status >= 500 && ours && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		e.Advice, e.Label, e.URL = p.Next, "Try again", here
	default:
		e.Advice, e.Label, e.URL, e.Quiet = p.Next, "Go to your account", "/account", true
	}
	return e
}

// withCurlyApostrophes returns p with typographic apostrophes.
func withCurlyApostrophes(p *Problem) *Problem {
	curl := func(s string) string {
		runes := []rune(s)
		for i := 1; i < len(runes); i++ {
			if runes[i] == '\'' && unicode.IsLetter(runes[i-1]) {
				runes[i] = '’'
			}
		}
		return string(runes)
	}
	q := *p
	q.Title, q.Text, q.Next = curl(p.Title), curl(p.Text), curl(p.Next)
	return &q
}

// problemOf decides what a person reads about an error. Nothing else does.
func problemOf(r *http.Request, err error) *Problem {
	if p, ok := errors.AsType[*Problem](err); ok {
		return p
	}
	if big, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return tooLarge(big)
	}
	stopping := errors.Is(context.Cause(r.Context()), ErrStopping)
	switch {
	case errors.Is(err, context.Canceled) && r.Context().Err() != nil && !stopping:
		return &Problem{Status: 499, Code: "gone", Title: "You left", Text: "The browser closed the connection.", Err: err}
	case errors.Is(err, idp.ErrUnavailable), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled) && stopping:
		return &Problem{
			Status: http.StatusServiceUnavailable, Title: "One moment, please",
			Text: "A service we depend on isn’t responding. Nothing was changed.", Next: "Please try again in a moment.",
			Err: err,
		}
	}
	return &Problem{
		Status: http.StatusInternalServerError, Code: "server_error", Title: "Something went wrong on our side",
		Text: "It isn’t your fault, and trying again may help.",
		Next: "If it keeps happening, tell the people who run this service and give them the reference below.", Err: err,
	}
}

func tooLarge(err *http.MaxBytesError) *Problem {
	p := &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large", Title: "Request too large",
		Text: "The request is larger than we accept.", Next: "Go back and shorten what you entered.",
	}
	if err != nil {
		p.Err = err
	}
	return p
}

// wantsJSON reports whether the caller is a script: it sent JSON, or accepts JSON but no page. On the protocol chain,
// every caller is a script unless it asks for a page.
func wantsJSON(r *http.Request) bool {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err == nil && t == "application/json" {
		return true
	}
	accept := r.Header.Get("Accept")
	if rec, ok := recordOf(r.Context()); ok && rec.machine {
		return !strings.Contains(accept, "text/html")
	}
	return strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/html")
}

// WriteJSON responds with v.
func WriteJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(b) // the browser may be gone
	return nil
}
