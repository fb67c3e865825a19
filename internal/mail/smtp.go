package mail

import (
	"context"
	"errors"
	"fmt"
	"net"
	netmail "net/mail"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/wneessen/go-mail"
)

const dialTimeout = 20 * time.Second

// SMTP is a mail server. It is safe for concurrent use; each message gets its own connection.
type SMTP struct{ client func() (*mail.Client, error) }

// NewSMTP parses a URL that says where and how to deliver:
//
//	smtps://user:password@mail.example.com      TLS from the first byte, port 465
//	smtp://user:password@mail.example.com:587   STARTTLS, required
//	smtp://localhost:25                         a server on this machine: STARTTLS if offered
//	smtp://mail.internal:25?starttls=never      in clear, for a trusted network; not allowed with a password
//
// The default port of smtp is 587.
func NewSMTP(raw string) (*SMTP, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Hostname() == "" || (u.Path != "" && u.Path != "/") || u.Fragment != "" {
		// Do not show u, which may contain the password.
		return nil, errors.New("mail server: not a URL like smtp://user:password@host:587")
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
		options = append(options, mail.WithSMTPAuth(mail.SMTPAuthAutoDiscover),
			mail.WithUsername(u.User.Username()), mail.WithPassword(password))
	}
	s := &SMTP{client: func() (*mail.Client, error) { return mail.NewClient(u.Hostname(), options...) }}
	_, err = s.client() // fail now, not with the first e-mail
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
		return fmt.Errorf("%w: recipient: %w", ErrPermanent, err)
	}
	msg.Subject(m.Subject)
	msg.SetDate()
	if _, domain, _ := strings.Cut(from.Address, "@"); m.ID != "" {
		msg.SetMessageIDWithValue(m.ID + "@" + domain)
	} else {
		msg.SetMessageID()
	}
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
	case msg.IsDelivered(): // the server has it; an error while closing must not cause a second delivery
		return nil
	case !ok:
		return err // the connection or the login failed
	case refused.ErrorCode() >= 500: // permanent (RFC 5321 §4.2.1)
		return fmt.Errorf("%w: %s: %d %s", ErrPermanent, refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	default: // without the library's text, which names the recipient
		return fmt.Errorf("%s: %d %s", refused.Reason, refused.ErrorCode(), refused.EnhancedStatusCode())
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
