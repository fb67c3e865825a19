// Package provision sends people and groups to applications over SCIM 2.0 (RFC 7643, RFC 7644), so that an account is
// there before the first sign-in and is disabled when the person leaves.
//
//	change ─▶ its event, and the user's ID in the outbox: one transaction (store/rows)
//	Deliver, on one replica an application:
//	  outbox ─▶ who the user is now ─▶ what the application should have ─▶ only what differs from what it has (digest)
//	  once a day, and after changes that may concern many: look at everybody, enqueue those who differ
//
// The outbox says who may have changed, not how. So a user has one place in it, nothing is sent twice, and nothing
// overtakes anything. An application that fails is tried again later and later, and paused after some days.
package provision

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/store/roster"
	"github.com/stepward/stepward/internal/subject"
)

// Config wires a Service. All fields but Turn are needed.
type Config struct {
	Operations *admin.Operations
	Outbound   *outbound.Client
	// Key encrypts tokens at rest: 32 bytes of the installation's secrets. The operator's key encrypts those, so another
	// operator's key leaves the tokens as they are.
	Key    []byte
	Names  *subject.Names
	Logger *slog.Logger
	// Turn is how long one application keeps its place while others wait for one; 0: 30 seconds.
	Turn time.Duration
}

// A Service manages the applications that people are sent to, and sends people to them. It is safe for concurrent use.
type Service struct {
	cfg     Config
	records *provisioning.Records
	roster  *roster.Roster
	wrapper *keys.Wrapper
	turns   *turns
}

// New returns a Service.
func New(cfg Config) (*Service, error) {
	if cfg.Operations == nil || cfg.Outbound == nil || cfg.Names == nil || cfg.Logger == nil {
		return nil, errors.New("provisioning needs operations, an outbound client, names and a logger")
	}
	wrapper, err := keys.NewWrapper(cfg.Key)
	if err != nil {
		return nil, err
	}
	cfg.Turn = cmp.Or(cfg.Turn, turn)
	db := cfg.Operations.DB()
	return &Service{
		cfg: cfg, records: provisioning.New(db), roster: roster.New(db), wrapper: wrapper, turns: newTurns(),
	}, nil
}

// Of returns a Service with the secrets of an installation.
func Of(
	operations *admin.Operations, secrets *keys.Secrets, out *outbound.Client, log *slog.Logger,
) (*Service, error) {
	names, err := subject.NewNames(secrets.Key("subject"))
	if err != nil {
		return nil, err
	}
	return New(Config{
		Operations: operations, Outbound: out, Key: secrets.Key("provisioning"), Names: names, Logger: log,
	})
}

// An Input describes an application, with names of groups.
type Input struct {
	BaseURL    string            // of SCIM there, without /Users
	Token      idp.Secret        // bearer token (RFC 6750); empty: the one that is there
	Groups     []string          // only their members are sent; empty: all who may use the client
	SendGroups []string          // are sent themselves
	Attributes []string          // of [Attributes]; nil: [DefaultAttributes]
	Claims     map[string]string // claim → attribute
	Delete     bool              // who leaves is deleted there, not disabled
}

// A View is an application as admins see it, without the token.
type View struct {
	provisioning.Target
	Client             idp.Client
	Groups, SendGroups []string // names
	State              provisioning.State
}

// List returns the applications by client ID, without their states.
func (s *Service) List(ctx context.Context, by admin.Actor) ([]View, error) {
	if err := s.cfg.Operations.MayRead(ctx, by); err != nil {
		return nil, err
	}
	targets, err := s.records.Targets(ctx)
	if err != nil {
		return nil, err
	}
	var views []View
	for _, t := range targets {
		c, err := s.cfg.Operations.DB().StoredClient(ctx, t.ClientID)
		if err != nil {
			return nil, err
		}
		t.Token = nil
		views = append(views, View{Target: t, Client: c})
	}
	return views, nil
}

// Get returns an application; idp.ErrNotFound.
func (s *Service) Get(ctx context.Context, by admin.Actor, clientID string) (v View, err error) {
	if err := s.cfg.Operations.MayRead(ctx, by); err != nil {
		return v, err
	}
	if v.Target, err = s.records.Target(ctx, clientID); err != nil {
		return v, err
	}
	v.Token = nil
	if v.Client, err = s.cfg.Operations.DB().StoredClient(ctx, clientID); err != nil {
		return v, err
	}
	if v.Groups, err = s.names(ctx, v.Settings.Groups); err != nil {
		return v, err
	}
	if v.SendGroups, err = s.names(ctx, v.Settings.SendGroups); err != nil {
		return v, err
	}
	v.State, err = s.records.State(ctx, clientID)
	return v, err
}

// names returns the names of groups; one that is gone keeps its ID.
func (s *Service) names(ctx context.Context, ids []string) (names []string, err error) {
	for _, id := range ids {
		g, err := s.roster.Group(ctx, id)
		switch {
		case errors.Is(err, idp.ErrNotFound):
			g.Name = id
		case err != nil:
			return nil, err
		}
		names = append(names, g.Name)
	}
	return names, nil
}

// Set adds an application, or changes it. version is the UpdatedAt as the caller read it; zero: whatever it is now.
// admin.ErrStale; idp.ErrNotFound without the client; directory.Faults.
func (s *Service) Set(
	ctx context.Context, by admin.Actor, clientID string, in Input, version time.Time,
) (View, error) {
	if err := s.cfg.Operations.MayChange(ctx, by); err != nil {
		return View{}, err
	}
	if _, err := s.cfg.Operations.DB().StoredClient(ctx, clientID); err != nil {
		return View{}, err
	}
	was, err := s.records.Target(ctx, clientID)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return View{}, err
	}
	if !version.IsZero() && !was.UpdatedAt.Equal(version) {
		return View{}, admin.ErrStale
	}
	settings, faults, err := s.settings(ctx, in)
	if err != nil {
		return View{}, err
	}
	now := time.Now().Truncate(time.Millisecond)
	if !now.After(was.UpdatedAt) {
		now = was.UpdatedAt.Add(time.Millisecond)
	}
	t := provisioning.Target{ClientID: clientID, Settings: settings, Token: was.Token, UpdatedAt: now}
	if fault := tokenFault(was, t, in.Token.Reveal()); fault != "" {
		faults = append(faults, directory.Fault{Field: "token", Text: fault})
	}
	if err := faults.Err(); err != nil {
		return View{}, err
	}
	if token := in.Token.Reveal(); token != "" {
		t.Token = s.wrapper.Seal([]byte(token), sealContext(clientID))
	}
	change := "changed"
	if was.ClientID == "" {
		change = "added"
	}
	err = s.records.Put(ctx, was, t, s.event(by, idp.EventProvisionChanged, clientID, "change", change))
	if errors.Is(err, idp.ErrConflict) {
		return View{}, admin.ErrStale
	}
	if err != nil {
		return View{}, err
	}
	return s.Get(ctx, by, clientID)
}

// tokenFault says what is wrong with the token of a changed application; "" if nothing is. An empty one keeps what is
// there, except for another address: an admin could have it sent to themselves.
func tokenFault(was, t provisioning.Target, token string) string {
	switch {
	case len(token) > maxToken || strings.ContainsFunc(token, notInToken):
		return "must be at most 8192 visible ASCII characters (RFC 6750)"
	case token != "":
		return ""
	case was.ClientID == "":
		return "is needed: an admin of the application makes it"
	case was.Settings.BaseURL != t.Settings.BaseURL:
		return "is needed again for another address"
	}
	return ""
}

// sealContext binds a sealed token to its client.
func sealContext(clientID string) string { return "provisioning token of " + clientID }

const maxToken = 8192 // bytes; JWTs are long

// notInToken reports whether a character is not in a bearer token; some issue tokens with characters beyond RFC 6750.
func notInToken(r rune) bool { return r <= ' ' || r >= 0x7f }

// event returns the record of a change.
func (s *Service) event(by admin.Actor, kind idp.EventKind, clientID string, detail ...string) idp.Event {
	e := s.cfg.Operations.Event(by, kind, "", detail...)
	e.ClientID = clientID
	return e
}

// Pause stops sending; admin.ErrAlready, idp.ErrNotFound.
func (s *Service) Pause(ctx context.Context, by admin.Actor, clientID string) error {
	ev := s.event(by, idp.EventProvisionPaused, clientID)
	return s.flip(ctx, by, clientID, func() error {
		return s.records.Pause(ctx, clientID, provisioning.ByAdmin, time.Now(), ev)
	})
}

// Resume sends again; admin.ErrAlready, idp.ErrNotFound.
func (s *Service) Resume(ctx context.Context, by admin.Actor, clientID string) error {
	ev := s.event(by, idp.EventProvisionResumed, clientID)
	return s.flip(ctx, by, clientID, func() error { return s.records.Resume(ctx, clientID, ev) })
}

func (s *Service) flip(ctx context.Context, by admin.Actor, clientID string, change func() error) error {
	if err := s.cfg.Operations.MayChange(ctx, by); err != nil {
		return err
	}
	if _, err := s.records.Target(ctx, clientID); err != nil {
		return err
	}
	err := change()
	if errors.Is(err, idp.ErrNotFound) {
		return admin.ErrAlready
	}
	return err
}

// SendAll sends everything again, as if the application had lost it; idp.ErrNotFound.
func (s *Service) SendAll(ctx context.Context, by admin.Actor, clientID string) error {
	if err := s.cfg.Operations.MayChange(ctx, by); err != nil {
		return err
	}
	return s.records.SendAll(ctx, clientID, s.event(by, idp.EventProvisionResumed, clientID, "all", "yes"))
}

// Remove forgets an application. What it has stays there; idp.ErrNotFound.
func (s *Service) Remove(ctx context.Context, by admin.Actor, clientID string) error {
	if err := s.cfg.Operations.MayChange(ctx, by); err != nil {
		return err
	}
	return s.records.Remove(ctx, clientID, s.event(by, idp.EventProvisionChanged, clientID, "change", "removed"))
}
