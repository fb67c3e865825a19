package mail_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/store/storetest"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A transport is a Transport made of a function.
type transport func(m mail.Message) error

func (f transport) Deliver(_ context.Context, _ *netmail.Address, m mail.Message) error { return f(m) }

func newMailer(t *testing.T, db *store.DB, to mail.Transport, log *bytes.Buffer) *mail.Mailer {
	t.Helper()
	if log == nil {
		log = &bytes.Buffer{}
	}
	m, err := mail.New(mail.Config{DB: db, Transport: to, From: "Acme <no-reply@example.com>", Product: "Acme", Logger: slog.New(slog.NewTextHandler(log, nil))})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// run runs the mailers until the end of the bubble.
func run(t *testing.T, mailers ...*mail.Mailer) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for _, m := range mailers {
		wg.Go(func() {
			if err := m.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); wg.Wait() }
}

func TestAMessageIsDeliveredAtOnceAndOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, box := storetest.Open(t), &mail.Mailbox{}
		a, b := newMailer(t, db, box, nil), newMailer(t, db, box, nil)
		defer run(t, a, b)()
		for i := range 20 {
			if err := a.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: fmt.Sprint(i), Text: "Hello"}); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		got := map[string]int{}
		for _, m := range box.Messages() {
			got[m.Subject]++
		}
		for i := range 20 {
			if got[fmt.Sprint(i)] != 1 {
				t.Errorf("message %d was delivered %d times", i, got[fmt.Sprint(i)])
			}
		}
	})
}

func TestMessagesOfOtherReplicasAreDeliveredWithinSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, box := storetest.Open(t), &mail.Mailbox{}
		delivers, writes := newMailer(t, db, box, nil), newMailer(t, db, box, nil)
		defer run(t, delivers)()
		if err := writes.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "s"}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(6 * time.Second)
		if n := len(box.Messages()); n != 1 {
			t.Errorf("%d messages, want 1", n)
		}
	})
}

func TestDeliveryBacksOffAndThenGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, log := storetest.Open(t), &bytes.Buffer{}
		var at []time.Time
		m := newMailer(t, db, transport(func(mail.Message) error {
			at = append(at, time.Now())
			return errors.New("connection refused")
		}), log)
		stop := run(t, m)
		code := idp.Secret("12345678")
		if err := m.Send(t.Context(), m.In(nil).VerifyEmail("ada@example.com", code, "https://login.example.com/#12345678", time.Minute)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(18 * time.Hour)
		stop()
		var waits []time.Duration
		for i := range at[1:] {
			waits = append(waits, at[i+1].Sub(at[i]).Round(time.Second))
		}
		want := []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour}
		if diff := cmp.Diff(want, waits); diff != "" {
			t.Error(diff)
		}
		if _, err := outbox.ClaimMail(t.Context(), db, time.Now().Add(24*time.Hour), time.Minute); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("still in the outbox: %v", err)
		}
		if strings.Contains(log.String(), "12345678") || strings.Contains(log.String(), "ada@example.com") || !strings.Contains(log.String(), "connection refused") {
			t.Errorf("log %s", log)
		}
	})
}

func TestWithoutATransportMessagesAreDropped(t *testing.T) {
	db := storetest.Open(t)
	m := newMailer(t, db, nil, nil)
	if err := m.Send(t.Context(), mail.Message{To: "ada@example.com", Subject: "s"}); err != nil {
		t.Fatal(err)
	}
	if _, err := outbox.ClaimMail(t.Context(), db, time.Now(), time.Minute); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("the outbox is not empty: %v", err)
	}
	run(t, m)()
}

func TestARefusedMessageIsGivenUpAndTheNextOneDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		var got []string
		m := newMailer(t, db, transport(func(m mail.Message) error {
			got = append(got, m.To)
			if m.To == "nobody@example.com" {
				return fmt.Errorf("%w: no such mailbox", mail.ErrPermanent)
			}
			return nil
		}), nil)
		stop := run(t, m)
		for _, to := range []string{"nobody@example.com", "ada@example.com"} {
			if err := m.Send(t.Context(), mail.Message{To: to, Subject: "s"}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		stop()
		if diff := cmp.Diff([]string{"nobody@example.com", "ada@example.com"}, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestHeadersAndRecipientsCannotBeInjected(t *testing.T) {
	db := storetest.Open(t)
	m := newMailer(t, db, nil, nil)
	for _, msg := range []mail.Message{
		{To: "ada@example.com\r\nBcc: eve@example.com", Subject: "s"},
		{To: "ada@example.com, eve@example.com", Subject: "s"},
		{To: "Ada <ada@example.com>", Subject: "s"},
		{To: "ada@example.com", Subject: "s\r\nBcc: eve@example.com"},
		{To: "ada@example.com", Subject: "s\x00"},
		{To: "", Subject: "s"},
	} {
		if err := m.Send(t.Context(), msg); err == nil {
			t.Errorf("%q accepted", msg)
		}
	}
	// Text that people choose becomes one line as well.
	notice := mail.Notice{Passkey: "phone\r\nBcc: eve@example.com\n\n\u202e\x1b<b>", At: time.Now(), Agent: web.AgentWords("Firefox on macOS"), Link: "https://login.example.com/"}
	for _, msg := range []mail.Message{m.In(nil).PasskeyAdded("ada@example.com", notice), m.In(nil).PasskeyRemoved("ada@example.com", notice), m.In(nil).CounterWarning("ada@example.com", notice)} {
		if err := m.Send(t.Context(), msg); err != nil {
			t.Error(err)
		}
		if !strings.Contains(msg.Text, "“phone Bcc: eve@example.com <b>”") || strings.Contains(msg.HTML, "<b>") || !strings.Contains(msg.HTML, "“<bdi>phone Bcc: eve@example.com &lt;b&gt;</bdi>”") || strings.ContainsAny(msg.Text+msg.HTML, "\u202e\x1b") {
			t.Errorf("text %q\nhtml %q", msg.Text, msg.HTML)
		}
	}
}

func TestEmailsStateTheirPurposeInTextAndHTML(t *testing.T) {
	m := newMailer(t, nil, nil, nil)
	n := mail.Notice{Passkey: "Phone", At: time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC), Agent: web.AgentWords("Firefox on macOS"), Link: "https://login.example.com/account/passkeys"}
	link := idp.Secret("https://login.example.com/enrol#TOKEN")
	for _, row := range []struct {
		message mail.Message
		subject string
		words   []string
	}{
		{m.In(nil).VerifyEmail("a@b.c", "12345678", "https://login.example.com/signup/verify#12345678", 15*time.Minute), "Your code for Acme", []string{"12345678", "signup/verify#12345678", "15 minutes"}},
		{m.In(nil).AccountExists("a@b.c", "https://login.example.com/account"), "You already have an account at Acme", []string{"https://login.example.com/account"}},
		{m.In(nil).Invitation("a@b.c", link, n.At), "Your invitation to Acme", []string{"/enrol#TOKEN", "until 22 November 2026, 12:30 UTC"}},
		{m.In(nil).PasskeyAdded("a@b.c", n), "A passkey was added to your account", []string{"“Phone” was added", "22 November 2026, 12:30 UTC, in Firefox on macOS", n.Link}},
		{m.In(nil).PasskeyRemoved("a@b.c", n), "A passkey was removed from your account", []string{"“Phone” was removed", n.Link}},
		{m.In(nil).CounterWarning("a@b.c", n), "Please check one of your passkeys", []string{"“Phone”", "was refused", n.Link}},
	} {
		if row.message.Subject != row.subject || row.message.To != "a@b.c" {
			t.Errorf("%q to %q", row.message.Subject, row.message.To)
		}
		for _, words := range row.words {
			if !strings.Contains(row.message.Text, words) || !strings.Contains(withoutBDI.Replace(row.message.HTML), words) {
				t.Errorf("%s: no %q in\n%s\n%s", row.subject, words, row.message.Text, row.message.HTML)
			}
		}
	}
}

var withoutBDI = strings.NewReplacer("<bdi>", "", "</bdi>", "")

// allMails returns every kind of e-mail in a language.
func allMails(m *mail.Mailer, l *words.Language, n mail.Notice) map[string]mail.Message {
	w, accepted := m.In(l), n
	accepted.Accepted = true
	return map[string]mail.Message{
		"verify": w.VerifyEmail("a@b.c", "12345678", "https://login.example.com/#12345678", 15*time.Minute), "exists": w.AccountExists("a@b.c", n.Link),
		"invitation": w.Invitation("a@b.c", "https://login.example.com/enrol#T", n.At), "added": w.PasskeyAdded("a@b.c", n), "removed": w.PasskeyRemoved("a@b.c", n),
		"counter": w.CounterWarning("a@b.c", n), "accepted": w.CounterWarning("a@b.c", accepted), "confirm": w.ConfirmEmail("a@b.c", "12345678", time.Minute),
		"recover": w.RecoveryCode("a@b.c", "12345678", 10*time.Minute), "norecover": w.RecoveryImpossible("a@b.c"), "opened": w.RecoveryOpened("a@b.c", n),
		"recovered": w.Recovered("a@b.c", n), "held": w.RecoveryHeld("a@b.c", n, n.At), "reminder": w.RecoveryReminder("a@b.c", n, n.At), "stopped": w.RecoveryStopped("a@b.c", n), "codes": w.CodesMade("a@b.c", n), "kept": w.PasskeyKept("a@b.c", n), "link": w.RecoveryLinkMade("a@b.c", n.At, n.At),
		"add": w.AddAddress("a@b.c", "12345678", time.Minute), "taken": w.AddressTaken("a@b.c"), "more": w.AddressAdded("a@b.c", "x@b.c", n),
		"less": w.AddressRemoved("a@b.c", "x@b.c", n), "primary": w.AddressChanged("a@b.c", "x@b.c", n), "left": w.AddressLeft("a@b.c", "x@b.c", n),
		"back": w.AddressBack("a@b.c", "x@b.c", "y@b.c", n), "role": w.RoleChanged("a@b.c", directory.RoleAdmin, n), "delete": w.DeletionAsked("a@b.c", n.At, n),
		"soon": w.DeletionSoon("a@b.c", n.At, n.Link), "stays": w.DeletionStopped("a@b.c", n), "deleted": w.Deleted("a@b.c", n.At),
		"browser": w.NewBrowser("a@b.c", n, n.Link), "application": w.NewApplication("a@b.c", "Acme", n, n.Link), "used": w.ApplicationUsed("a@b.c", "Acme", n, n.Link),
	}
}

// Every e-mail is whole in every language: text before and after, no placeholder left, no English sentence.
func TestEveryEmailIsWrittenInEveryLanguage(t *testing.T) {
	m := newMailer(t, storetest.Open(t), nil, nil)
	n := mail.Notice{Passkey: "Büro", At: time.Date(2026, 11, 22, 12, 30, 0, 0, time.UTC), Agent: web.AgentWords("a browser on macOS"), Link: "https://login.example.com/account/passkeys"}
	english := allMails(m, words.English(), n)
	for _, l := range words.Languages() {
		for kind, msg := range allMails(m, l, n) {
			if err := m.Send(t.Context(), msg); err != nil {
				t.Errorf("%s %s: %v", l.Tag, kind, err)
			}
			if all := msg.Subject + msg.Text + msg.HTML; strings.ContainsAny(strings.ReplaceAll(all, "style=\"", ""), "{}") || strings.Contains(all, "%!") || regexp.MustCompile(`\bmail\.[a-z]`).MatchString(all) {
				t.Errorf("%s %s has a gap:\n%s", l.Tag, kind, all)
			}
			if !strings.Contains(msg.HTML, `<html lang="`+l.Tag+`" dir="`+l.Dir+`">`) {
				t.Errorf("%s %s: %s", l.Tag, kind, msg.HTML)
			}
			if l == words.English() {
				continue
			}
			if msg.Subject == english[kind].Subject {
				t.Errorf("%s %s: the subject is %q", l.Tag, kind, msg.Subject)
			}
			for line := range strings.Lines(english[kind].Text) {
				if strings.Contains(strings.TrimSpace(line), " ") && strings.Contains(msg.Text, line) {
					t.Errorf("%s %s says in English: %s", l.Tag, kind, line)
				}
			}
		}
	}
	if text := allMails(m, words.ByTag("de"), n)["added"].Text; !strings.Contains(text, "Der Passkey „Büro“ wurde Ihrem Konto bei Acme hinzugefügt: 22. November 2026, 12:30 UTC (ein Browser unter macOS)") {
		t.Error(text)
	}
}

func TestEmailsKeepToTheLanguagesOfTheService(t *testing.T) {
	only, err := words.Only([]string{"fr", "de"})
	if err != nil {
		t.Fatal(err)
	}
	m, err := mail.New(mail.Config{From: "Acme <no-reply@example.com>", Languages: only})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		in   mail.Writer
		want string
	}{
		"offered":                   {m.In(words.ByTag("de")), "de"},
		"not offered":               {m.In(words.ByTag("ja")), "fr"},
		"none":                      {m.In(nil), "fr"},
		"a profile":                 {m.For("de-AT", words.ByTag("fr")), "de"},
		"a profile without one":     {m.For("", words.ByTag("de")), "de"},
		"a profile of another time": {m.For("ja", words.ByTag("de")), "de"},
		"nobody's":                  {m.For("ja", nil), "fr"},
	} {
		if html := c.in.AddressTaken("ada@example.com").HTML; !strings.Contains(html, `<html lang="`+c.want+`"`) {
			t.Errorf("%s: %.200s", name, html)
		}
	}
}
