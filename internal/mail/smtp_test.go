package mail_test

import (
	"bufio"
	"crypto/tls"
	"errors"
	"io"
	"net"
	netmail "net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"

	"github.com/stepward/stepward/internal/mail"
)

// An smtpServer speaks as much of RFC 5321 as a client needs, in clear unless it has a certificate for TLS from the
// first byte, and keeps what it was sent.
type smtpServer struct {
	address  string
	startTLS bool   // offered but broken: starting it fails
	refuse   string // the response to RCPT; empty: accepted

	mu       sync.Mutex
	commands []string
	data     []string
}

func (s *smtpServer) listen(t *testing.T) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	s.address = l.Addr().String()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(c)
		}
	}()
}

func (s *smtpServer) serve(c net.Conn) {
	defer c.Close()
	r, say := textproto.NewReader(bufio.NewReader(c)), func(line string) { io.WriteString(c, line+"\r\n") }
	say("220 test")
	for {
		line, err := r.ReadLine()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		switch verb, _, _ := strings.Cut(line, " "); strings.ToUpper(verb) {
		case "EHLO":
			if s.startTLS {
				say("250-test")
				say("250 STARTTLS")
			} else {
				say("250 test")
			}
		case "RCPT":
			if s.refuse != "" {
				say(s.refuse)
			} else {
				say("250 ok")
			}
		case "DATA":
			say("354 go on")
			lines, err := r.ReadDotLines()
			if err != nil {
				return
			}
			s.mu.Lock()
			s.data = append(s.data, strings.Join(lines, "\n"))
			s.mu.Unlock()
			say("250 ok")
		case "STARTTLS":
			say("220 go on")
			tls.Server(c, &tls.Config{}).Handshake() // no certificate: fails
			return
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 ok")
		}
	}
}

// sent returns the commands and messages so far.
func (s *smtpServer) sent() (commands string, data []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.commands, "\n"), s.data
}

var sender = &netmail.Address{Name: "Acme", Address: "no-reply@example.com"}

func deliver(t *testing.T, url string, m mail.Message) error {
	t.Helper()
	s, err := mail.NewSMTP(url)
	if err != nil {
		t.Fatal(err)
	}
	return s.Deliver(t.Context(), sender, m)
}

func TestSMTPDeliversTextAndHTML(t *testing.T) {
	s := &smtpServer{}
	s.listen(t)
	m := newMailer(t, nil, nil, nil).In(nil).VerifyEmail("ada@example.com", "12345678", "https://login.example.com/signup/verify#12345678", 15*60e9)
	m.Subject = "Ihr Schlüssel"
	if err := deliver(t, "smtp://"+s.address, m); err != nil {
		t.Fatal(err)
	}
	commands, data := s.sent()
	if !strings.Contains(commands, "MAIL FROM:<no-reply@example.com>") || !strings.Contains(commands, "RCPT TO:<ada@example.com>") || strings.Count(commands, "RCPT") != 1 {
		t.Errorf("commands %s", commands)
	}
	if len(data) != 1 {
		t.Fatalf("%d messages", len(data))
	}
	msg, err := netmail.ReadMessage(strings.NewReader(data[0]))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"From": `"Acme" <no-reply@example.com>`, "To": "<ada@example.com>", "Auto-Submitted": "auto-generated"} {
		if got := msg.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if msg.Header.Get("Bcc") != "" || !strings.Contains(data[0], "text/plain") || !strings.Contains(data[0], "text/html") || !strings.Contains(data[0], "12345678") {
		t.Errorf("message\n%s", data[0])
	}
}

func TestSMTPTellsPermanentErrorsFromTemporaryOnes(t *testing.T) {
	for _, row := range []struct {
		answer    string
		permanent bool
	}{{"550 5.1.1 no such mailbox", true}, {"450 4.2.0 greylisted", false}} {
		s := &smtpServer{refuse: row.answer}
		s.listen(t)
		err := deliver(t, "smtp://"+s.address, mail.Message{To: "ada@example.com", Subject: "s", Text: "t"})
		if err == nil || errors.Is(err, mail.ErrPermanent) != row.permanent || strings.Contains(err.Error(), "ada@") {
			t.Errorf("%s: %v", row.answer, err)
		}
	}
	s := &smtpServer{}
	s.listen(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	if err := deliver(t, "smtp://"+l.Addr().String(), mail.Message{To: "ada@example.com", Subject: "s", Text: "t"}); err == nil || errors.Is(err, mail.ErrPermanent) {
		t.Errorf("server down: %v", err)
	}
}

func TestSMTPSendsNothingInClearUnlessAllowed(t *testing.T) {
	msg := mail.Message{To: "ada@example.com", Subject: "s", Text: "12345678"}
	for _, offered := range []bool{false, true} { // a server without STARTTLS or with a broken one must not get the message
		s := &smtpServer{startTLS: offered}
		s.listen(t)
		if err := deliver(t, "smtp://"+s.address+"?starttls=always", msg); err == nil {
			t.Error("delivered")
		}
		if commands, data := s.sent(); len(data) > 0 || strings.Contains(commands, "MAIL") {
			t.Errorf("sent %s %q", commands, data)
		}
	}
	s := &smtpServer{startTLS: true}
	s.listen(t)
	if err := deliver(t, "smtp://"+s.address+"?starttls=never", msg); err != nil {
		t.Error(err)
	}
}

func TestAMailServersURLIsCheckedAtStart(t *testing.T) {
	for _, url := range []string{
		"", "mail.example.com", "http://mail.example.com", "smtp://", "smtp://h:99999", "smtp://h/path", "smtp://h?starttls=maybe",
		"smtp://user:geheim@h?starttls=never", "smtps://h?starttls=never", "smtp://user:geheim@h:port",
	} {
		if _, err := mail.NewSMTP(url); err == nil || strings.Contains(err.Error(), "geheim") {
			t.Errorf("%q: %v", url, err)
		}
	}
	for _, url := range []string{"smtp://h", "smtps://user:p%40ss@h", "smtp://h:25", "smtp://[::1]:25", "smtp://h/"} {
		if _, err := mail.NewSMTP(url); err != nil {
			t.Errorf("%q: %v", url, err)
		}
	}
}
