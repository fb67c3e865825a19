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
	textLetter = texttemplate.Must(texttemplate.ParseFS(templates, "templates/letter.txt"))
	htmlLetter = htmltemplate.Must(htmltemplate.ParseFS(templates, "templates/letter.html"))
)

// A letter is what every message consists of. Text and HTML are two renderings of it, so they cannot say different things.
type letter struct {
	Product  string
	Subject  string
	Opening  []string // paragraphs
	Code     string   // in large type, alone on its line
	Link     string   // alone on its line
	LinkText string
	Closing  []string
}

// A Notice is what a person needs in order to judge whether a change to the account was their own.
type Notice struct {
	Passkey string    // its name
	At      time.Time // when
	Agent   string    // "Firefox on macOS"
	Link    string    // to the page where it can be looked at
	// Accepted says that what the notice is about was let through.
	Accepted bool
}

// VerifyEmail carries the code that proves the address, and a link that fills it in where it was asked for.
func (m *Mailer) VerifyEmail(to string, code, link idp.Secret, valid time.Duration) Message {
	return m.write(to, letter{
		Subject:  "Your code for " + m.product,
		Opening:  []string{"Type this code where you asked for it:"},
		Code:     code.Reveal(),
		Link:     link.Reveal(),
		LinkText: "Or, in the same browser, open this link",
		Closing: []string{
			"It works for " + minutes(valid) + ". Nobody from " + m.product + " will ever ask you for it.",
			"If you did not ask for an account, ignore this letter: nothing happens without the code.",
		},
	})
}

// AlreadyHere answers a sign-up with an address that has an account. The page that was shown said nothing of it.
func (m *Mailer) AlreadyHere(to, link string) Message {
	return m.write(to, letter{
		Subject:  "You already have an account at " + m.product,
		Opening:  []string{"Somebody, probably you, wanted to create an account with this address. You already have one: sign in with your passkey."},
		Link:     link,
		LinkText: "Sign in",
		Closing: []string{
			"If you were invited and never finished, use the link of your invitation, or ask for a new one.",
			"If it was not you, there is nothing to do: nothing was changed.",
		},
	})
}

// Invitation carries the link with which somebody begins to use an account that was made for them.
func (m *Mailer) Invitation(to string, link idp.Secret, until time.Time) Message {
	return m.write(to, letter{
		Subject:  "Your invitation to " + m.product,
		Opening:  []string{"An account was made for you. Open this link on the device you want to sign in with, and create your passkey there:"},
		Link:     link.Reveal(),
		LinkText: "Create your passkey",
		Closing: []string{
			"The link works once, until " + stamp(until) + ". Do not pass it on: whoever opens it first has the account.",
		},
	})
}

// PasskeyAdded tells the owner that one more passkey opens the account.
func (m *Mailer) PasskeyAdded(to string, n Notice) Message {
	return m.write(to, letter{
		Subject:  "A passkey was added to your account",
		Opening:  []string{"The passkey “" + n.Passkey + "” was added to your " + m.product + " account on " + stamp(n.At) + in(n.Agent) + ". From now on it can sign in as you."},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing:  []string{"If it was not you, remove that passkey, sign out everywhere, and tell whoever runs " + m.product + "."},
	})
}

// PasskeyRemoved tells the owner that a passkey no longer opens the account.
func (m *Mailer) PasskeyRemoved(to string, n Notice) Message {
	return m.write(to, letter{
		Subject:  "A passkey was removed from your account",
		Opening:  []string{"The passkey “" + n.Passkey + "” was removed from your " + m.product + " account on " + stamp(n.At) + in(n.Agent) + ". It can no longer sign in as you."},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing:  []string{"If it was not you, sign in with another passkey, sign out everywhere else, and tell whoever runs " + m.product + "."},
	})
}

// CounterWarning tells the owner that a passkey's signature counter went backwards: somebody may hold a copy of it.
func (m *Mailer) CounterWarning(to string, n Notice) Message {
	tried, outcome := "tried to sign in to", ", and we refused"
	if n.Accepted {
		tried, outcome = "signed in to", ""
	}
	return m.write(to, letter{
		Subject: "Please look at one of your passkeys",
		Opening: []string{
			"On " + stamp(n.At) + in(n.Agent) + " somebody " + tried + " your " + m.product + " account with the passkey “" + n.Passkey + "”" + outcome + ".",
			"That passkey counts its uses, and its count did not go up. This can be a fault of the device, or a sign that a copy of the passkey exists.",
		},
		Link:     n.Link,
		LinkText: "See your passkeys",
		Closing:  []string{"If you have another passkey, remove this one and add it again."},
	})
}

// write renders the letter. Names of people's own making become part of one line, whatever they contain.
func (m *Mailer) write(to string, l letter) Message {
	l.Product, l.Subject = m.product, line(l.Subject)
	for _, paragraphs := range [][]string{l.Opening, l.Closing} {
		for i := range paragraphs {
			paragraphs[i] = line(paragraphs[i])
		}
	}
	var text, html strings.Builder
	// The templates are ours and l has every field they name: rendering into memory cannot fail.
	if err := textLetter.Execute(&text, l); err != nil {
		panic(err)
	}
	if err := htmlLetter.Execute(&html, l); err != nil {
		panic(err)
	}
	return Message{To: to, Subject: l.Subject, Text: text.String(), HTML: html.String()}
}

// line makes s one line: controls, line breaks among them, become blanks.
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
