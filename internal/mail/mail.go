// Package mail writes the letters Stepward sends and brings them to their addressee: Send puts a message into the
// store's outbox, Run takes it out and hands it to a [Transport], again and again until it is accepted or hopeless.
//
//	handler ── Send ──▶ outbox (Postgres, SQLite) ── Run, on any replica ──▶ Transport: SMTP | Mailbox
//
// A page that sends mail therefore never waits for a mail server, and answers in the same time whatever the mail says.
package mail

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	netmail "net/mail"
	"strings"
	"time"
	"unicode"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// A Message is one letter, written and addressed.
type Message struct {
	To, Subject string
	Text, HTML  string
}

// check refuses what could end a header line and begin another (RFC 5322 §2.2), or address more than one mailbox.
func (m Message) check() error {
	if strings.ContainsFunc(m.To+m.Subject, unicode.IsControl) {
		return errors.New("control character in a header")
	}
	if to, ok := idp.NormalizeEmail(m.To); !ok || to != m.To {
		return errors.New("not one normalised address")
	}
	return nil
}

// A Transport hands one message over for delivery. An error that wraps [ErrPermanent] is not tried again.
type Transport interface {
	Deliver(ctx context.Context, from *netmail.Address, m Message) error
}

// ErrPermanent says that the message will never be accepted, however often it is offered.
var ErrPermanent = errors.New("permanently refused")

// Config is what a Mailer is made of.
type Config struct {
	DB *store.DB
	// Transport delivers; nil: there is no mail server, and what is sent is dropped.
	Transport Transport
	From      string       // "Stepward <no-reply@example.com>"
	Product   string       // the name in subjects and signatures; empty: Stepward
	Logger    *slog.Logger // nil: slog.Default
}

// A Mailer writes and sends. It may be used by any number of goroutines.
type Mailer struct {
	db        *store.DB
	transport Transport
	from      *netmail.Address
	product   string
	log       *slog.Logger
	wake      chan struct{} // holds one token while something new may be in the outbox
}

// New checks the sender's address.
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
	return &Mailer{db: c.DB, transport: c.Transport, from: from, product: c.Product, log: c.Logger, wake: make(chan struct{}, 1)}, nil
}

// Send puts the message into the outbox; it is on its way when Send returns nil, and survives a restart. Without a
// transport it does nothing.
func (m *Mailer) Send(ctx context.Context, msg Message) error {
	if err := msg.check(); err != nil {
		return fmt.Errorf("mail: %w", err)
	}
	if m.transport == nil {
		return nil
	}
	now := time.Now()
	if err := m.db.EnqueueMail(ctx, store.Mail{
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
	lease    = 2 * time.Minute // longer than any delivery: a replica that dies with a message gives it back after this
	deadline = time.Minute     // for one delivery
	pause    = 5 * time.Second // between two looks into an empty outbox: what another replica has written waits so long
)

// backoff is how long to wait after the first, second, … failed delivery; after the last one a message is given up. A
// grey-listing server answers after some minutes, a broken one is mended within the day.
var backoff = []time.Duration{
	15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour, 4 * time.Hour, 12 * time.Hour,
}

// Run delivers what is in the outbox until ctx ends. Several replicas may run it: each message has one winner at a time.
func (m *Mailer) Run(ctx context.Context) error {
	if m.transport == nil { // what an earlier configuration left in the outbox waits for the next, or for the sweep
		<-ctx.Done()
		return nil
	}
	tick := time.NewTicker(pause)
	defer tick.Stop()
	for {
		for ctx.Err() == nil {
			if more, err := m.deliverNext(ctx); err != nil {
				if !errors.Is(err, idp.ErrUnavailable) { // the store tells that itself, once
					m.log.WarnContext(ctx, "mail outbox", "error", err)
				}
				break // the store's trouble: look again at the next tick
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

// deliverNext claims one message that is due and tries to deliver it; false: none is.
func (m *Mailer) deliverNext(ctx context.Context) (bool, error) {
	claimed, err := m.db.ClaimMail(ctx, time.Now(), lease)
	if errors.Is(err, idp.ErrNotFound) {
		return false, nil
	} else if err != nil {
		return false, fmt.Errorf("claim mail: %w", err)
	}
	failure := m.deliver(ctx, claimed)
	if ctx.Err() != nil && failure != nil {
		return false, nil // we are being stopped: no fault of the message, its lease runs out by itself
	}
	var reason string
	var next time.Time // zero: no further attempt
	if failure != nil {
		reason = failure.Error()
		if tried := claimed.Attempts - 1; tried < len(backoff) && !errors.Is(failure, ErrPermanent) {
			next = time.Now().Add(backoff[max(tried, 0)])
		}
		// Neither the addressee nor the subject: the log is not the place for either.
		m.log.WarnContext(ctx, "mail not delivered", "mail", claimed.ID, "attempt", claimed.Attempts, "given_up", next.IsZero(), "error", failure)
	}
	// What was delivered must be noted even if we are stopped in this moment, or the person gets it twice.
	if err := m.db.FinishMail(context.WithoutCancel(ctx), claimed.ID, reason, next); err != nil {
		return false, fmt.Errorf("finish mail: %w", err)
	}
	return true, nil
}

func (m *Mailer) deliver(ctx context.Context, claimed store.Mail) error {
	msg := Message{To: claimed.To, Subject: claimed.Subject, Text: claimed.Text, HTML: claimed.HTML}
	if err := msg.check(); err != nil { // what is in the database is checked like what comes from a handler
		return fmt.Errorf("%w: %w", ErrPermanent, err)
	}
	ctx, cancel := context.WithTimeout(ctx, deadline)
	defer cancel()
	return m.transport.Deliver(ctx, m.from, msg)
}
