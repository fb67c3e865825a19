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
	"strings"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/words"
)

// ErrStopping is the cause of a request context that ended because the server stops. The client is still there, and is
// told to try again.
var ErrStopping = errors.New("the server is stopping")

// Again is an error of a GET handler: the browser stores the cookie and requests the same page with it.
type Again struct{ Cookie *http.Cookie }

func (*Again) Error() string { return "request again with another cookie" }

// A Problem is an error for people. They only see its texts; Err goes to the log.
type Problem struct {
	Status int
	Code   string // stable word for scripts; empty: derived from Status
	// Words names the texts in the catalogue: Words.title (missing: “That didn’t work”), Words.text (what happened),
	// Words.next (what to do, in a sentence) and Words.button (the label for NextURL; missing: “Continue”). Only one of
	// title and text is needed. Args are their arguments.
	Words   string
	Args    []any
	NextURL string
	// Title, Text and Next are texts in English, for packages that are not in the catalogue yet. With NextURL, Next is the
	// label of its button.
	Title, Text, Next string
	Limit             limit.Limit       // the one that was exceeded, for status 429
	Fields            map[string]string // more members of the JSON response, such as location
	Err               error             // for the log
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

// spoken is a problem in a language.
type spoken struct {
	Title, Text string
	Advice      string // a sentence
	Button      string // the label for NextURL
}

// in returns the texts of p in language l.
func (p *Problem) in(l *words.Language) (s spoken) {
	part := func(name string) string {
		if key := p.Words + "." + name; words.Has(key) {
			return l.Text(words.T(key, p.Args...))
		}
		return ""
	}
	if p.Words == "" {
		s = spoken{Title: curly(p.Title), Text: curly(p.Text), Advice: curly(p.Next)}
		if label := len(p.Next) <= maxLabel && !strings.HasSuffix(p.Next, "."); label && p.NextURL != "" {
			s.Advice, s.Button = "", s.Advice
		}
	} else {
		s = spoken{Title: part("title"), Text: part("text"), Advice: part("next"), Button: part("button")}
	}
	s.Title = cmp.Or(s.Title, l.Text(words.T("problem.title")))
	return s
}

// message returns the whole text in one or two sentences, for a line beside a button.
func (p *Problem) message(l *words.Language) string {
	s := p.in(l)
	text := cmp.Or(s.Text, s.Title)
	if s.Advice != "" && p.NextURL == "" {
		text += " " + s.Advice
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
	p := problemOf(r, err)
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
	case p.Status == http.StatusTooManyRequests && p.Limit.Name != "":
		p.Limit.Refuse(w.Header())
	}
	if wantsJSON(r) {
		body := map[string]string{}
		maps.Copy(body, p.Fields)
		l := s.Language(r)
		if rec, ok := recordOf(r.Context()); ok && rec.machine {
			l = words.English() // for developers and logs
		}
		body["error"], body["message"], body["request_id"] = p.code(), p.message(l), RequestID(r.Context())
		w.Header().Set("Cache-Control", "no-store")
		if err := WriteJSON(w, p.Status, body); err != nil {
			Note(r.Context(), slog.Any("answer", err))
		}
		return
	}
	page := Page{Name: "error", Layout: LayoutThreshold, Status: p.Status, Data: errorPageFor(r, p, s.Language(r))}
	if err := s.Render(w, r, s.errors, "error", page); err != nil {
		Note(r.Context(), slog.Any("answer", err))
	}
}

// An errorPage is the data of error.html: a problem and one link.
type errorPage struct {
	spoken
	URL   string
	Quiet bool // the link does not solve the problem
}

// maxLabel is the longest label of a button, in characters.
const maxLabel = 40

// errorPageFor returns the data of an error page, with one link. If the problem names none, a fault of ours can be
// tried again and everything else leads to the account.
func errorPageFor(r *http.Request, p *Problem, l *words.Language) errorPage {
	e := errorPage{spoken: p.in(l), URL: p.NextURL}
	here := r.URL.RequestURI()
	switch {
	case p.NextURL != "":
		e.Button = cmp.Or(e.Button, l.Text(words.T("continue")))
	case p.Status >= 500 && ourPage(here) && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		e.Button, e.URL = l.Text(words.T("problem.again")), here
	default:
		e.Button, e.URL, e.Quiet = l.Text(words.T("problem.account")), "/account", true
	}
	return e
}

// curly returns s with typographic apostrophes.
func curly(s string) string {
	runes := []rune(s)
	for i := 1; i < len(runes); i++ {
		if runes[i] == '\'' && unicode.IsLetter(runes[i-1]) {
			runes[i] = '’'
		}
	}
	return string(runes)
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
		return &Problem{Status: 499, Code: "gone", Words: "problem.gone", Err: err}
	case errors.Is(err, idp.ErrUnavailable), errors.Is(err, context.DeadlineExceeded),
		errors.Is(err, context.Canceled) && stopping:
		return &Problem{
			Status: http.StatusServiceUnavailable, Words: "problem.unavailable", Err: err,
		}
	}
	return &Problem{
		Status: http.StatusInternalServerError, Code: "server_error", Words: "problem.ours", Err: err,
	}
}

func tooLarge(err *http.MaxBytesError) *Problem {
	p := &Problem{
		Status: http.StatusRequestEntityTooLarge, Code: "too_large", Words: "problem.large",
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
