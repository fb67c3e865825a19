package mail

import (
	"cmp"
	"embed"
	"fmt"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

//go:embed templates
var templates embed.FS

var (
	textEmail = texttemplate.Must(texttemplate.ParseFS(templates, "templates/email.txt"))
	htmlEmail = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/email.html"))
)

// A Writer writes e-mails in one language.
type Writer struct {
	product string
	in      *words.Language
}

// In returns the writer for a language. The first language of the service stands in for nil, and for one that it does
// not offer.
func (m *Mailer) In(l *words.Language) Writer {
	if !m.languages.Has(l) {
		l = m.languages.First()
	}
	return Writer{m.product, l}
}

// For returns the writer to a user whose profile has this locale (BCP 47). If that says nothing, otherwise is the
// language; it may be nil.
func (m *Mailer) For(locale string, otherwise *words.Language) Writer {
	return m.In(cmp.Or(m.languages.Choose(locale), otherwise))
}

// content is the content of every message. Text and HTML are rendered from the same content, so they cannot differ.
// Words names the texts: Words.subject, Words.text, Words.text.2 and so on before the code and the link, Words.link,
// and Words.end, Words.end.2 and so on after them. Args are the arguments of all of them, besides the product.
type content struct {
	Words string
	Args  []any
	Code  string // in large type, on its own line
	Link  string // on its own line
	// LinkWords names the text of the link; empty: Words.link.
	LinkWords string
	// Off is where e-mails like this one are switched off; empty: they cannot be.
	Off string
}

// A Notice helps a person to judge whether they made a change to their account themselves.
type Notice struct {
	Passkey string     // its name
	At      time.Time  // when
	Agent   words.Text // "Firefox on macOS"; may be empty
	Link    string     // to the page that shows it
	// Accepted means that the attempt in the notice succeeded.
	Accepted bool
}

// args are the arguments that every notice has.
func (n Notice) args() []any { return []any{"passkey", n.Passkey, "when", n.when()} }

func (n Notice) when() words.Text {
	if n.Agent.Key == "" {
		return words.T("mail.when", "at", words.Moment(n.At))
	}
	return words.T("mail.when.agent", "at", words.Moment(n.At), "agent", n.Agent)
}

// VerifyEmail carries the code that proves the address, and a link that fills in the code.
func (w Writer) VerifyEmail(to string, code, link idp.Secret, valid time.Duration) Message {
	return w.write(to, content{
		Words: "mail.verify", Args: []any{"valid", w.valid(valid)}, Code: code.Reveal(), Link: link.Reveal(),
	})
}

// valid says how long a code works, and that it is secret.
func (w Writer) valid(d time.Duration) words.Text {
	return words.T("mail.code.valid", "time", d, "product", w.product)
}

// AccountExists answers a sign-up with the address of an existing account. The sign-up page did not reveal that the
// account exists.
func (w Writer) AccountExists(to, link string) Message {
	return w.write(to, content{Words: "mail.exists", Link: link})
}

// Invitation carries the link with which a person starts to use an account that was created for them.
func (w Writer) Invitation(to string, link idp.Secret, until time.Time) Message {
	return w.write(to, content{
		Words: "mail.invitation", Args: []any{"until", words.Moment(until)}, Link: link.Reveal(),
	})
}

// PasskeyAdded tells the owner that a passkey was added to the account.
func (w Writer) PasskeyAdded(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.added", Args: n.args(), Link: n.Link, LinkWords: "mail.passkeys"})
}

// PasskeyRemoved tells the owner that a passkey was removed from the account.
func (w Writer) PasskeyRemoved(to string, n Notice) Message {
	return w.write(to, content{Words: "mail.removed", Args: n.args(), Link: n.Link, LinkWords: "mail.passkeys"})
}

// CounterWarning tells the owner that a passkey's signature counter went backwards, so a copy of it may exist.
func (w Writer) CounterWarning(to string, n Notice) Message {
	args := append(n.args(), "product", w.product)
	event := words.T("mail.counter.refused", args...)
	if n.Accepted {
		event = words.T("mail.counter.accepted", args...)
	}
	return w.write(to, content{
		Words: "mail.counter", Args: []any{"event", event}, Link: n.Link, LinkWords: "mail.passkeys",
	})
}

// A written paragraph is in the language of the message, in both forms.
type written struct {
	Text string
	HTML htmltemplate.HTML
}

// write renders a message. Text from people is confined to its line, whatever it contains.
func (w Writer) write(to string, c content) Message {
	args := confined(append([]any{"product", w.product}, c.Args...))
	text := func(key string) written {
		t := confinedText(words.T(key, args...))
		return written{w.in.Text(t), w.in.HTML(t)}
	}
	all := func(key string) (found []written) {
		for n, next := 2, key; words.Has(next); n, next = n+1, fmt.Sprintf("%s.%d", key, n) {
			found = append(found, text(next))
		}
		return found
	}
	linkWords := c.LinkWords
	if linkWords == "" {
		linkWords = c.Words + ".link"
	}
	data := struct {
		Language  *words.Language
		Product   string
		Subject   string
		Opening   []written
		Code      string
		Link      string
		LinkText  written
		LinkLabel string // LinkText with a colon
		Closing   []written
		Off       string
		OffText   written
		OffLabel  string
	}{
		w.in, w.product, text(c.Words + ".subject").Text, all(c.Words + ".text"), c.Code, c.Link,
		written{},
		"",
		all(c.Words + ".end"), c.Off, text("mail.off"), w.in.Text(words.T("layout.links", "name", words.T("mail.off"))),
	}
	if c.Link != "" {
		data.LinkText = text(linkWords)
		data.LinkLabel = w.in.Text(words.T("layout.links", "name", words.T(linkWords)))
	}
	var plain, html strings.Builder
	// The templates are ours and data has every field they name, so rendering into memory cannot fail.
	if err := textEmail.Execute(&plain, data); err != nil {
		panic(err)
	}
	if err := htmlEmail.Execute(&html, data); err != nil {
		panic(err)
	}
	return Message{To: to, Subject: data.Subject, Text: plain.String(), HTML: html.String()}
}

func confinedText(t words.Text) words.Text { return words.Text{Key: t.Key, Args: confined(t.Args)} }

// confined returns arguments of a text in which no string has more than one line.
func confined(args []any) []any {
	result := make([]any, len(args))
	for i, arg := range args {
		switch arg := arg.(type) {
		case string:
			result[i] = line(arg)
		case words.Text:
			result[i] = confinedText(arg)
		default:
			result[i] = arg
		}
	}
	return result
}

// line turns s into one line: control characters, including line breaks, become spaces.
func line(s string) string {
	return strings.Join(strings.Fields(strings.Map(func(r rune) rune {
		if unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) || r == '\u2028' || r == '\u2029' {
			return ' '
		}
		return r
	}, s)), " ")
}
