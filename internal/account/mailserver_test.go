package account_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emersion/go-smtp"

	"github.com/stepward/stepward/internal/account"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/outbox"
)

// A mailServer is a real SMTP server with faults. It runs outside of the bubble of synctest.
type mailServer struct {
	address string

	mu        sync.Mutex
	faults    []mailFault // of the next deliveries; then none
	away      bool        // answers 451 to everybody
	tries     int
	delivered []string // what reached the mailbox
}

type mailFault string

const (
	loses       mailFault = "says 250 and loses it"
	breaks      mailFault = "hangs up within the message"
	breaksAfter mailFault = "keeps it, and hangs up before it says so"
)

func runMailServer(t *testing.T, faults ...mailFault) *mailServer {
	t.Helper()
	s := &mailServer{faults: faults}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := smtp.NewServer(smtp.BackendFunc(func(c *smtp.Conn) (smtp.Session, error) { return &delivery{s, c}, nil }))
	server.Domain = "mail.example.com"
	server.ErrorLog = log.New(t.Output(), "", 0)
	s.address = listener.Addr().String()
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(listener) }()
	t.Cleanup(func() { server.Close(); <-done })
	return s
}

// delivery implements smtp.Session.
type delivery struct {
	*mailServer
	conn *smtp.Conn
}

func (d *delivery) Reset()        {}
func (d *delivery) Logout() error { return nil }

func (d *delivery) Mail(string, *smtp.MailOptions) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.tries++
	if d.away {
		return &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 3, 0}, Message: "come back later"}
	}
	return nil
}

func (d *delivery) Rcpt(string, *smtp.RcptOptions) error { return nil }

func (d *delivery) Data(r io.Reader) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	var fault mailFault
	if len(d.faults) > 0 {
		fault, d.faults = d.faults[0], d.faults[1:]
	}
	if fault == breaks {
		_, _ = io.ReadFull(r, make([]byte, 100))
		d.conn.Conn().Close()
		return errors.New("broken")
	}
	message, err := io.ReadAll(r)
	if err == nil && fault != loses {
		d.delivered = append(d.delivered, string(message))
	}
	if fault == breaksAfter {
		d.conn.Conn().Close()
		return errors.New("broken")
	}
	return err
}

// mailbox returns the delivered messages, and how often the server was asked to take one.
func (s *mailServer) mailbox() (messages []string, tries int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.delivered...), s.tries
}

func (s *mailServer) setAway(away bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.away = away
}

var anyCode = regexp.MustCompile(`\b\d{8}\b`)

// codes returns the codes of the delivered messages to this address.
func (s *mailServer) codes(to string) (codes []string) {
	messages, _ := s.mailbox()
	for _, m := range messages {
		if strings.Contains(m, to) {
			codes = append(codes, anyCode.FindString(m[strings.Index(m, "\r\n\r\n"):]))
		}
	}
	return codes
}

// withMailServer runs a house in a bubble whose e-mails go to a real server, with a user who has lost their passkeys.
func withMailServer(t *testing.T, s *mailServer, f func(l lockedOut)) {
	synctest.Test(t, func(t *testing.T) {
		transport, err := mail.NewSMTP("smtp://" + s.address + "?starttls=never")
		if err != nil {
			t.Fatal(err)
		}
		var mailer *mail.Mailer
		h := build(t, func(c *account.Config) {
			mailer, err = mail.New(mail.Config{DB: c.DB, Transport: transport, From: "Stepward <no-reply@example.com>"})
			if err != nil {
				t.Fatal(err)
			}
			c.Mailer = mailer
		})
		l := h.lockOut("ada@example.com") // reads its e-mails in the outbox, so before they are delivered
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		wg.Go(func() { _ = mailer.Run(ctx) })
		defer func() { cancel(); wg.Wait() }()
		f(l)
	})
}

// waiting returns how many e-mails are in the outbox.
func (h *house) waiting() int64 {
	h.t.Helper()
	queues, err := outbox.Waiting(h.t.Context(), h.db)
	if err != nil {
		h.t.Fatal(err)
	}
	for _, q := range queues {
		if q.Name == "mail" {
			return q.Count
		}
	}
	h.t.Fatal("no outbox for e-mails")
	return 0
}

// ask asks for a code, and waits until the outbox has done what it can at once.
func (l lockedOut) ask() {
	l.t.Helper()
	p := l.post("/recover", "email", l.user.Email).is("recover", 200).wants("recover-mailcode", "cancel")
	if !strings.Contains(p.body, "If no e-mail comes") {
		l.t.Errorf("the page does not say what to do without an e-mail: %s", p.content())
	}
	time.Sleep(time.Second)
}

func (l lockedOut) works(mailed, saved string) {
	l.t.Helper()
	l.post("/recover/code", "token", mailed, "code", saved).is("passkey", 200)
}

func TestAMailServerThatLosesAnEMailIsAskedAgain(t *testing.T) {
	s := runMailServer(t, loses)
	withMailServer(t, s, func(l lockedOut) {
		l.ask()
		if n := l.waiting(); n > 0 || len(s.codes(l.user.Email)) > 0 {
			t.Errorf("%d wait, delivered %q", n, s.codes(l.user.Email))
		}
		time.Sleep(2 * time.Minute)
		l.ask()
		codes := s.codes(l.user.Email)
		if len(codes) != 1 {
			t.Fatalf("delivered %q", codes)
		}
		l.works(codes[0], l.codes[0])
	})
}

func TestAMailServerThatIsAwayForAnHourLosesAndDoublesNothing(t *testing.T) {
	s := runMailServer(t)
	s.setAway(true)
	withMailServer(t, s, func(l lockedOut) {
		l.ask()
		time.Sleep(time.Hour)
		if _, tries := s.mailbox(); l.waiting() != 1 || tries < 4 {
			t.Errorf("%d wait after %d tries", l.waiting(), tries)
		}
		s.setAway(false)
		l.ask() // at once, while the first one still waits
		codes := s.codes(l.user.Email)
		if len(codes) != 1 {
			t.Fatalf("delivered %q", codes)
		}
		l.works(codes[0], l.codes[0])
		time.Sleep(2 * time.Hour)
		codes = s.codes(l.user.Email)
		if l.waiting() != 0 || len(codes) != 3 || codes[0] == codes[1] { // two codes, and the notice of the recovery
			t.Errorf("%d wait, delivered %q", l.waiting(), codes)
		}
	})
}

func TestAMailServerThatHangsUpGetsTheEMailAgain(t *testing.T) {
	for _, fault := range []mailFault{breaks, breaksAfter} {
		s := runMailServer(t, fault)
		withMailServer(t, s, func(l lockedOut) {
			l.ask()
			if l.waiting() != 1 {
				t.Errorf("%s: %d wait", fault, l.waiting())
			}
			time.Sleep(time.Minute)
			messages, tries := s.mailbox()
			codes := s.codes(l.user.Email)
			if l.waiting() != 0 || tries != 2 || len(codes) == 0 {
				t.Fatalf("%s: %d wait after %d tries, delivered %q", fault, l.waiting(), tries, codes)
			}
			// Nobody can tell a server that kept the e-mail from one that did not (RFC 5321 §4.5.3.2.6). Mailboxes show two
			// copies as one if they have the same Message-ID.
			ids := map[string]bool{}
			for _, m := range messages {
				ids[messageID.FindString(m)] = true
			}
			if len(ids) != 1 || ids[""] {
				t.Errorf("%s: Message-IDs %v", fault, ids)
			}
			l.works(codes[0], l.codes[0])
		})
	}
}

var messageID = regexp.MustCompile(`(?mi)^Message-ID: <\S+@example\.com>`)
