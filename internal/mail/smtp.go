package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"time"

	"github.com/wneessen/go-mail"
)

const dialTimeout = 20 * time.Second

// SMTP is a mail server. It is safe for concurrent use; each message has a connection of its own.
type SMTP struct{ client func() (*mail.Client, error) }

// NewSMTP reads where and how to deliver from a URL:
//
//	smtps://user:password@mail.example.com      TLS from the first byte, port 465
//	smtp://user:password@mail.example.com:587   STARTTLS, and nothing is sent if the server does not offer it
//	smtp://localhost:25                         a server on this machine: STARTTLS if offered
//	smtp://mail.internal:25?starttls=never      in clear, for a network that is trusted; refused together with a password
//
// Without a port, smtp is 587.
func NewSMTP(raw string) (*SMTP, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		return nil, errors.New("mail server: not a URL like smtp://user:password@host:587") // u may hold the password: not shown
	}
	options := []mail.Option{mail.WithTimeout(dialTimeout), mail.WithPort(587)}
	never := false
	switch policy := u.Query().Get("starttls"); {
	case u.Scheme == "smtps" && policy == "":
		options = append(options, mail.WithSSL(), mail.WithPort(465))
	case u.Scheme != "smtp":
		return nil, errors.New("mail server: the scheme must be smtp or smtps")
	case policy == "never":
		never = true
		options = append(options, mail.WithTLSPolicy(mail.NoTLS))
	case policy == "" && loopback(u.Hostname()):
		options = append(options, mail.WithTLSPolicy(mail.TLSOpportunistic))
	case policy == "" || policy == "always":
		options = append(options, mail.WithTLSPolicy(mail.TLSMandatory))
	default:
		return nil, errors.New("mail server: starttls must be always or never")
	}
	if u.Port() != "" {
		port, err := strconv.ParseUint(u.Port(), 10, 16)
		if err != nil {
			return nil, errors.New("mail server: port out of range")
		}
		options = append(options, mail.WithPort(int(port)))
	}
	if u.User != nil {
		if never {
			return nil, errors.New("mail server: starttls=never would send the password in clear")
		}
		password, _ := u.User.Password()
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover), mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	s := &SMTP{client: func() (*mail.Client, error) { return mail.NewClient(u.Hostname(), options...) }}
	_, err = s.client() // says now what it would say at the first letter
	if err != nil {
		return nil, fmt.Errorf("mail server: %w", err)
	}
	return s, nil
}

// Deliver implements [Transport].
func (s *SMTP) Deliver(ctx context.Context, from *netmail.Address, m Message) error {
	msg := mail.NewMsg()
	msg.FromMailAddress(from)
	if err := msg.To(m.To); err != nil {
		return fmt.Errorf("%w: addressee: %w", ErrPermanent, err)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	msg.SetMessageID()
	msg.SetGenHeader("Auto-Submitted", "auto-generated") // RFC 3834 §5: no out-of-office replies
	msg.SetBodyString(mail.TypeTextPlain, m.Text)
	if m.HTML != "" {
		msg.AddAlternativeString(mail.TypeTextHTML, m.HTML)
	}
	client, err := s.client()
	if err != nil {
		return fmt.Errorf("mail server: %w", err)
	}
	err = client.DialAndSendWithContext(ctx, msg)
	switch refused, ok := errors.AsType[*mail.SendError](err); {
	case msg.IsDelivered(): // the server has it; whatever went wrong while saying goodbye must not send it twice
		return nil
	case !ok:
		return err // the connection's or the login's trouble
	case refused.ErrorCode() >= 500: // the server's last word on this message (RFC 5321 §4.2.1)
		return fmt.Errorf("%w: %s: %d %s", ErrPermanent, refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	default: // not the library's own text: it names the addressee
		return fmt.Errorf("%s: %d %s", refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
