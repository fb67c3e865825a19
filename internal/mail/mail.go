// Package mail writes the e-mails that Stepward sends, and delivers them: Send puts a message into the store's outbox,
// and Run hands it to a [Transport], retrying until it is accepted or hopeless.
//
//	handler ── Send ──▶ outbox (Postgres, SQLite) ── Run, on any replica ──▶ Transport: SMTP | Mailbox
//
// A page that sends mail therefore never waits for a mail server, and its response time does not depend on the mail.
package mail

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/words"
)

// A Message is one complete e-mail.
type Message struct {
	// ID is the same for each try of one message, so that mailboxes notice a copy. Empty: a random one.
	ID          string
	To, Subject string
	Text, HTML  string
}

// check rejects characters that could start another header line (RFC 5322 §2.2), and anything but a single recipient.
func (m Message) check() error {
	if strings.ContainsFunc(m.To+m.Subject, unicode.IsControl) {
		return errors.New("control character in a header")
	}
	if to, ok := directory.NormalizeEmail(m.To); !ok || to != m.To {
		return errors.New("not one normalised address")
	}
	return nil
}

// A Transport hands over one message for delivery. After an error that wraps [ErrPermanent], the message is not
// retried.
type Transport interface {
	Deliver(ctx context.Context, from *netmail.Address, m Message) error
}

// ErrPermanent means that the message will never be accepted.
var ErrPermanent = errors.New("permanently rejected")

// Config configures a Mailer.
type Config struct {
	DB *store.DB
	// Transport delivers; nil: there is no mail server, and messages are dropped.
	Transport Transport
	From      string       // "Stepward <no-reply@example.com>"
	Product   string       // name in subjects and signatures; empty: Stepward
	Languages *words.Set   // of the e-mails; nil: all
	Logger    *slog.Logger // nil: slog.Default
}

// A Mailer writes and sends e-mails. It is safe for concurrent use.
type Mailer struct {
	db        *store.DB
	transport Transport
	from      *netmail.Address
	product   string
	languages *words.Set
	log       *slog.Logger
	wake      chan struct{} // holds one token while something new may be in the outbox
}

// New returns a Mailer. It fails if the sender's address is invalid.
func New(c Config) (*Mailer, error) {
	from, err := netmail.ParseAddress(c.From)
	if err != nil {
		return nil, fmt.Errorf("sender's address %q: %w", c.From, err)
	}
	if c.Product == "" {
		c.Product = "Stepward"
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return &Mailer{
		db: c.DB, transport: c.Transport, from: from, product: c.Product, languages: cmp.Or(c.Languages, words.All()),
		log: c.Logger, wake: make(chan struct{}, 1),
	}, nil
}

// Named returns a Mailer that writes in the name of another product, over the same outbox.
func (m *Mailer) Named(product string) *Mailer {
	named := *m
	named.product = cmp.Or(product, "Stepward")
	return &named
}

// Over returns a Mailer that sends as part of a transaction.
func (m *Mailer) Over(tx *store.DB) *Mailer {
	over := *m
	over.db = tx
	return &over
}

// Delivers reports whether there is a mail server.
func (m *Mailer) Delivers() bool { return m.transport != nil }

// Send puts the message into the outbox. Once Send returns nil, the message survives a restart. Without a transport
// Send does nothing.
func (m *Mailer) Send(ctx context.Context, msg Message) error {
	if err := msg.check(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if m.transport == nil {
		return nil
	}
	now := time.Now()
	if err := outbox.EnqueueMail(ctx, m.db, outbox.Mail{
		ID: idp.NewID(), To: msg.To, Subject: msg.Subject, Text: msg.Text, HTML: msg.HTML, CreatedAt: now, NextAt: now,
	}); err != nil {
		return fmt.Errorf("enqueue mail: %w", err)
	}
	select {
	case m.wake <- struct{}{}:
	default:
	}
	return nil
}

const (
	lease    = 2 * time.Minute // longer than any delivery; the message of a crashed replica is retried after this
	deadline = time.Minute     // for one delivery
	pause    = 5 * time.Second // between checks of an empty outbox; the longest delay for a message of another replica
)

// backoff is the wait after each failed delivery; after the last one, the message is given up. A greylisting server
// accepts after a few minutes, and a broken one is usually repaired within the day.
var backoff = []time.Duration{
	15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour,
}

// Run delivers the outbox until ctx ends. Several replicas may run it: only one at a time claims a message.
func (m *Mailer) Run(ctx context.Context) error {
	if m.transport == nil { // messages of an earlier configuration wait for a transport, or for the sweep
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			if more, err := m.deliverNext(ctx); err != nil {
				if !errors.Is(err, idp.ErrUnavailable) { // the store logs that itself, once
					m.log.WarnContext(ctx, "mail outbox", "error", err)
				}
				break // the store failed: retry at the next tick
			} else if !more {
				break
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-m.wake:
		case <-tick.C:
		}
	}
}

// deliverNext claims one due message and tries to deliver it; false if none is due.
func (m *Mailer) deliverNext(ctx context.Context) (bool, error) {
	claimed, err := outbox.ClaimMail(ctx, m.db, time.Now(), lease)
	if errors.Is(err, idp.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("claim mail: %w", err)
	}
	failure := m.deliver(ctx, claimed)
	if ctx.Err() != nil && failure != nil {
		return false, nil // we are shutting down: the message is retried when its lease expires
	}
	var reason string
	var next time.Time // zero: no further attempt
	if failure != nil {
		reason = failure.Error()
		if tried := claimed.Attempts - 1; tried < len(backoff) && !errors.Is(failure, ErrPermanent) {
			next = time.Now().Add(backoff[max(tried, 0)])
		}
		// Recipient and subject do not belong in the log.
		m.log.WarnContext(ctx, "mail not delivered", "mail", claimed.ID, "attempt", claimed.Attempts,
			"given_up", next.IsZero(), "error", failure)
	}
	// Record the delivery even if we are shutting down, or the person gets the message twice.
	if err := outbox.FinishMail(context.WithoutCancel(ctx), m.db, claimed.ID, reason, next); err != nil {
		return false, fmt.Errorf("finish mail: %w", err)
	}
	return true, nil
}

func (m *Mailer) deliver(ctx context.Context, claimed outbox.Mail) error {
	msg := Message{ID: claimed.ID, To: claimed.To, Subject: claimed.Subject, Text: claimed.Text, HTML: claimed.HTML}
	if err := msg.check(); err != nil { // messages from the database are checked like those from handlers
		return fmt.Errorf("%w: %w", ErrPermanent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return m.transport.Deliver(ctx, m.from, msg)
}
