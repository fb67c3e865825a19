// Package client authenticates clients (Authenticator) and registers clients that describe themselves (Registrar).
//
//	secret, assertion, certificate ──▶ Authenticator ──▶ idp.Client
//	                                        └── key sets, fetched and cached
//	registration (RFC 7591, 7592), metadata document ──▶ Registrar ──▶ metadata ──▶ idp.Client
package client

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/web"
)

// AuthenticatorConfig configures an Authenticator.
type AuthenticatorConfig struct {
	Issuer    string
	DB        *store.DB
	Ephemeral ephemeral.Store
	Outbound  *outbound.Client    // fetches client keys
	CAs       *x509.CertPool      // for tls_client_auth; nil disables the method
	Rate      *limit.Rate[string] // of each client; nil: no limit
}

// An Authenticator authenticates clients. It is safe for concurrent use.
type Authenticator struct {
	cfg     AuthenticatorConfig
	keySets keySets
}

// NewAuthenticator returns an Authenticator.
func NewAuthenticator(cfg AuthenticatorConfig) *Authenticator {
	return &Authenticator{cfg: cfg, keySets: keySets{outbound: cfg.Outbound, sets: map[string]*keySet{}}}
}

// Authenticate returns the client that made a call. The client must use its registered method (OIDC Core §9); if it is
// registered for either way of sending a secret, both are accepted. The reason for a failure appears only in the log.
// All errors are *oauth.Error.
func (s *Authenticator) Authenticate(ctx context.Context, call *oauth.Call) (idp.Client, error) {
	now, id, method := time.Now(), call.Credentials.ClientID, idp.AuthMethodNone
	var a *assertion
	switch {
	case call.Credentials.Assertion != "":
		var err error
		a, err = parseAssertion(call.Credentials.Assertion)
		if err == nil && id != "" && id != a.claims.Subject { // RFC 7521 §4.2
			err = errors.New("client_id differs from the assertion's")
		}
		if err != nil {
			return idp.Client{}, notClient(ctx, err)
		}
		id, method = a.claims.Subject, idp.AuthMethodPrivateKey
	case call.Credentials.Basic:
		method = idp.AuthMethodBasic
	case call.Credentials.Secret != "":
		method = idp.AuthMethodPost
	}
	c, err := s.cfg.DB.Client(ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		web.Note(ctx, oauth.Sent("client_id_sent", id))
		return idp.Client{}, notClient(ctx, errors.New("no such client"))
	}
	if err != nil {
		return idp.Client{}, oauth.Broken(ctx, "load client", err)
	}
	if method == idp.AuthMethodNone && c.ByCertificate() { // such a client sends nothing but its client_id (RFC 8705 §2)
		method = c.AuthMethod
	}
	switch {
	case !c.MayAuthenticate(method):
		err = fmt.Errorf("sent %s, registered for %s", method, c.AuthMethod)
	case a != nil:
		err = s.checkAssertion(ctx, a, c, call.Sender.Path, now)
	case c.ByCertificate():
		err = s.checkCertificate(ctx, call.Sender, c, now)
	case method != idp.AuthMethodNone:
		id, ok := c.MatchSecret(idp.Secret(call.Credentials.Secret), now)
		if !ok {
			err = errors.New("wrong secret")
			break
		}
		web.Note(ctx, slog.String("client_secret", id)) // which one: the operator sees when a secret is no longer in use
	}
	if err == nil && a != nil {
		fresh, failed := s.markUsed(ctx, a, now)
		if failed != nil {
			return idp.Client{}, oauth.Broken(ctx, "mark assertion", failed)
		}
		if !fresh {
			err = errors.New("the assertion was already used")
		}
	}
	if err != nil {
		web.Note(ctx, slog.String("client", c.ID))
		s.noteRefused(ctx, c)
		return idp.Client{}, notClient(ctx, err)
	}
	web.Note(ctx, slog.String("client", c.ID))
	call.NoteClient(c.ID)
	// Only who proved to be the client uses its requests up.
	if !c.Public() && !s.cfg.Rate.Allow(c.ID) {
		return idp.Client{}, oauth.TooMany(s.cfg.Rate.Limit, "too many requests of this client, try again in a moment")
	}
	s.noteUse(ctx, c, now)
	return c, nil
}

// notClient returns the same error for every failed authentication. The reason appears only in the log.
func notClient(ctx context.Context, reason error) error {
	web.Note(ctx, slog.String("client_refused", reason.Error()))
	return oauth.InvalidClient()
}

// noteRefused records that a client failed to authenticate, at most once a minute for each client, because anybody who
// knows a client_id can cause failures.
func (s *Authenticator) noteRefused(ctx context.Context, c idp.Client) {
	now := time.Now()
	claim := &ephemeral.Op{Verb: ephemeral.Claim, Key: "client-refused:" + c.ID, Value: []byte("1"), TTL: time.Minute}
	if err := s.cfg.Ephemeral.Do(ctx, claim); err != nil || !claim.Found {
		return
	}
	if err := s.cfg.DB.RecordEvents(ctx, oauth.ClientEvent(ctx, idp.EventClientAuthRefused, "", c.ID, now)); err != nil {
		web.Note(ctx, slog.Any("record_error", err))
	}
}

// useMark is the precision of UsedAt: one write a day for each client in use.
const useMark = 24 * time.Hour

// noteUse records once a day that a dynamic client is in use. Unused ones are removed.
func (s *Authenticator) noteUse(ctx context.Context, c idp.Client, now time.Time) {
	if c.UsedAt.IsZero() || now.Sub(c.UsedAt) < useMark {
		return
	}
	if err := registrations.Use(ctx, s.cfg.DB, c.ID, now); err != nil {
		web.Note(ctx, slog.Any("use_error", err))
	}
}
