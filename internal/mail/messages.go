package mail

import (
	"embed"
	htmltemplate "html/template"
	"strings"
	texttemplate "text/template"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
)

//go:embed templates
var templates embed.FS

var (
	textEmail = texttemplate.Must(texttemplate.ParseFS(templates, "templates/email.txt"))
	htmlEmail = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/email.html"))
)

// content is the content of every message. Text and HTML are rendered from the same content, so they cannot differ.
type content struct {
	Product  string
	Subject  string
	Opening  []string // paragraphs
	Code     string   // in large type, on its own line
	Link     string   // on its own line
	LinkText string
	Closing  []string
}

// A Notice helps a person to judge whether they made a change to their account themselves.
type Notice struct {
	Passkey string    // its name
	At      time.Time // when
	Agent   string    // "Firefox on macOS"
	Link    string    // to the page that shows it
	// Accepted means that the attempt in the notice succeeded.
	Accepted bool
}

// VerifyEmail carries the code that proves the address, and a link that fills in the code.
func (m *Mailer) VerifyEmail(to string, code, link idp.Secret, valid time.Duration) Message {
	return m.write(to, content{
		Subject:  "Your code for " + m.product,
		Opening:  []string{"Enter this code on the page where you requested it:"},
		Code:     code.Reveal(),
		Link:     link.Reveal(),
		LinkText: "Or open this link in the same browser",
		Closing: []string{
			"It works for " + minutes(valid) + ". Nobody from " + m.product + " will ever ask you for it.",
			"If you did not request an account, ignore this e-mail. Nothing happens without the code.",
		},
	})
}

// AccountExists answers a sign-up with the address of an existing account. The sign-up page did not reveal that the
// account exists.
func (m *Mailer) AccountExists(to, link string) Message {
	return m.write(to, content{
		Subject: "You already have an account at " + m.product,
		Opening: []string{
			"Someone, probably you, tried to create an account with this address. " +
				"You already have one: sign in with your passkey.",
		},
		Link:     link,
		LinkText: "Sign in",
		Closing: []string{
			"If you were invited but never finished, use the link in your invitation, or ask for a new one.",
			"If it was not you, you need not do anything. Nothing was changed.",
		},
	})
}

// Invitation carries the link with which a person starts to use an account that was created for them.
func (m *Mailer) Invitation(to string, link idp.Secret, until time.Time) Message {
	return m.write(to, content{
		Subject: "Your invitation to " + m.product,
		Opening: []string{
			"An account was created for you. " +
				"Open this link on the device you want to sign in with, and create your passkey there:",
		},
		Link:     link.Reveal(),
		LinkText: "Create your passkey",
		Closing: []string{
			"The link works once, until " + stamp(until) + ". Do not share it: the first person to open it gets the account.",
		},
	})
}

// PasskeyAdded tells the owner that a passkey was added to the account.
func (m *Mailer) PasskeyAdded(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "A passkey was added to your account",
		Opening: []string{
			"The passkey “" + n.Passkey + "” was added to your " + m.product + " account on " + stamp(n.At) + in(n.Agent) +
				". From now on it can sign in as you.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing: []string{
			"If it was not you, remove that passkey, sign out everywhere, and tell the people who run " + m.product + ".",
		},
	})
}

// PasskeyRemoved tells the owner that a passkey was removed from the account.
func (m *Mailer) PasskeyRemoved(to string, n Notice) Message {
	return m.write(to, content{
		Subject: "A passkey was removed from your account",
		Opening: []string{
			"The passkey “" + n.Passkey + "” was removed from your " + m.product + " account on " + stamp(n.At) + in(n.Agent) +
				". It can no longer sign in as you.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing: []string{
			"If it was not you, sign in with another passkey, sign out everywhere else, and tell the people who run " +
				m.product + ".",
		},
	})
}

// CounterWarning tells the owner that a passkey's signature counter went backwards, so a copy of it may exist.
func (m *Mailer) CounterWarning(to string, n Notice) Message {
	tried, outcome := "tried to sign in to", ", and was refused"
	if n.Accepted {
		tried, outcome = "signed in to", ""
	}
	return m.write(to, content{
		Subject: "Please check one of your passkeys",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " someone " + tried + " your " + m.product + " account with the passkey “" +
				n.Passkey + "”" + outcome + ".",
			"The passkey counts its uses, and this time the count did not go up. That can be a fault of the device, " +
				"or a sign that a copy of the passkey exists.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing:  []string{"If you have another passkey, remove this one and add it again."},
	})
}

// write renders a message. Text from people is confined to its line, whatever it contains.
func (m *Mailer) write(to string, l content) Message {
	l.Product, l.Subject = m.product, line(l.Subject)
	for _, paragraphs := range [][]string{l.Opening, l.Closing} {
		for i := range paragraphs {
			paragraphs[i] = line(paragraphs[i])
		}
	}
	var text, html strings.Builder
	// The templates are ours and content has every field they name, so rendering into memory cannot fail.
	if err := textEmail.Execute(&text, l); err != nil {
		panic(err)
	}
	if err := htmlEmail.Execute(&html, l); err != nil {
		panic(err)
	}
	return Message{To: to, Subject: l.Subject, Text: text.String(), HTML: html.String()}
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

func stamp(t time.Time) string { return t.UTC().Format("2 January 2006 at 15:04 UTC") }

func in(agent string) string {
	if agent == "" {
		return ""
	}
	return ", in " + agent
}

func minutes(d time.Duration) string {
	return strings.TrimSuffix(d.Round(time.Minute).String(), "m0s") + " minutes"
}
