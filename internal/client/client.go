// Package client knows who a client is: how it authenticates itself (Authenticator), and how it describes itself (Registrar).
//
//	secret, assertion, certificate ──▶ Authenticator ──▶ idp.Client
//	                                        └── key sets, fetched and remembered
//	registration (RFC 7591, 7592), client ID metadata document ──▶ Registrar ──▶ metadata ──▶ idp.Client
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
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// AuthenticatorConfig wires an Authenticator.
type AuthenticatorConfig struct {
	Issuer    string
	DB        *store.DB
	Ephemeral ephemeral.Store
	Outbound  *outbound.Client // fetches the keys of clients
	CAs       *x509.CertPool   // of clients with tls_client_auth; nil: there are no such clients
}

// An Authenticator authenticates clients. It may be used by any number of goroutines.
type Authenticator struct {
	cfg     AuthenticatorConfig
	keySets keySets
}

// NewAuthenticator returns an Authenticator.
func NewAuthenticator(cfg AuthenticatorConfig) *Authenticator {
	return &Authenticator{cfg: cfg, keySets: keySets{outbound: cfg.Outbound, sets: map[string]*keySet{}}}
}

// Authenticate returns the client that a call comes from. The client must use the method it is registered for (OIDC Core §9); a
// secret may come either way if it is registered so. The reason for a failure goes into the log alone. Its errors are *Error.
func (s *Authenticator) Authenticate(ctx context.Context, call *oauth.Call) (idp.Client, error) {
	now, id, method := time.Now(), call.Credentials.ClientID, idp.AuthMethodNone
	var a *assertion
	switch {
	case call.Credentials.Assertion != "":
		var err error
		a, err = parseAssertion(call.Credentials.Assertion)
		if err == nil && id != "" && id != a.claims.Subject { // RFC 7521 §4.2
			err = errors.New("client_id is not that of the assertion")
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
	if method == idp.AuthMethodNone && c.ByCertificate() { // it sends its client_id and nothing else (RFC 8705 §2)
		method = c.AuthMethod
	}
	switch {
	case !c.MayAuthenticate(method):
		err = fmt.Errorf("sent %s, registered for %s", method, c.AuthMethod)
	case a != nil:
		err = s.checkAssertion(ctx, a, c, call.Sender.Path, now)
	case c.ByCertificate():
		err = s.checkCertificate(ctx, call.Sender, c, now)
	case method != idp.AuthMethodNone && !c.HasSecret(idp.Secret(call.Credentials.Secret), now):
		err = errors.New("not its secret")
	}
	if err == nil && a != nil {
		fresh, failed := s.markUsed(ctx, a, now)
		if failed != nil {
			return idp.Client{}, oauth.Broken(ctx, "mark assertion", failed)
		}
		if !fresh {
			err = errors.New("the assertion was used before")
		}
	}
	if err != nil {
		web.Note(ctx, slog.String("client", c.ID))
		s.noteRefused(ctx, c)
		return idp.Client{}, notClient(ctx, err)
	}
	web.Note(ctx, slog.String("client", c.ID))
	call.NoteClient(c.ID)
	s.noteUse(ctx, c, now)
	return c, nil
}

// notClient returns the one answer to every failed authentication; reason is ours and stays in the log.
func notClient(ctx context.Context, reason error) error {
	web.Note(ctx, slog.String("client_refused", reason.Error()))
	return oauth.InvalidClient()
}

// noteRefused records that a client failed to authenticate: once a minute for each client, because anybody who
// knows a client_id can cause it at will.
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

// useMark is how exact UsedAt is: one write a day for each client in use.
const useMark = 24 * time.Hour

// noteUse records once a day that a dynamic client is in use. Those that are not are removed.
func (s *Authenticator) noteUse(ctx context.Context, c idp.Client, now time.Time) {
	if c.UsedAt.IsZero() || now.Sub(c.UsedAt) < useMark {
		return
	}
	if err := s.cfg.DB.UseClient(ctx, c.ID, now); err != nil {
		web.Note(ctx, slog.Any("use_error", err))
	}
}
