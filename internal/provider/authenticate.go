package provider

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// VerifyClient authenticates the client by exactly the method it is registered for (OIDC Core §9).
func (s server) VerifyClient(ctx context.Context, r *op.Request[op.ClientCredentials]) (op.Client, error) {
	c, err := s.p.authenticate(ctx, r.Header, r.Data)
	if err != nil {
		return nil, err
	}
	return client{registered: c}, nil
}

// authenticate finds the client that a request comes from. What made it fail goes into the log alone.
func (p *Provider) authenticate(ctx context.Context, header http.Header, cc *op.ClientCredentials) (idp.Client, error) {
	now, id, method := time.Now(), cc.ClientID, idp.AuthMethodNone
	var a *assertion
	switch {
	case cc.ClientAssertion != "":
		var err error
		a, err = parseAssertion(cc.ClientAssertion)
		if err == nil && id != "" && id != a.claims.Subject { // RFC 7521 §4.2
			err = errors.New("client_id is not that of the assertion")
		}
		if err != nil {
			return idp.Client{}, notClient(ctx, err)
		}
		id, method = a.claims.Subject, idp.AuthMethodPrivateKey
	case header.Get("Authorization") != "":
		method = idp.AuthMethodBasic
	case cc.ClientSecret != "":
		method = idp.AuthMethodPost
	}
	c, err := p.DB.Client(ctx, id)
	if errors.Is(err, idp.ErrNotFound) {
		return idp.Client{}, notClient(ctx, errors.New("no such client"))
	}
	if err != nil {
		return idp.Client{}, broken(ctx, "load client", err)
	}
	if method == idp.AuthMethodNone && c.ByCertificate() { // it sends its client_id and nothing else (RFC 8705 §2)
		method = c.AuthMethod
	}
	switch {
	case method != c.AuthMethod:
		err = errors.New("not the registered method")
	case a != nil:
		err = p.checkAssertion(ctx, a, c, now)
	case c.ByCertificate():
		err = p.checkCertificate(ctx, c, now)
	case method != idp.AuthMethodNone && !c.HasSecret(idp.Secret(cc.ClientSecret), now):
		err = errors.New("not its secret")
	}
	if err == nil && a != nil {
		fresh, failed := p.use(ctx, a, now)
		if failed != nil {
			return idp.Client{}, broken(ctx, "mark assertion", failed)
		}
		if !fresh {
			err = errors.New("the assertion was used before")
		}
	}
	if err != nil {
		p.noteRefused(ctx, c)
		return idp.Client{}, notClient(ctx, err)
	}
	web.Note(ctx, slog.String("client", c.ID))
	asks(ctx, c.ID)
	p.used(ctx, c, now)
	return c, nil
}

// notClient is the one answer to every failed authentication; reason is ours and stays in the log.
func notClient(ctx context.Context, reason error) error {
	web.Note(ctx, slog.String("client_refused", reason.Error()))
	return oidc.ErrInvalidClient()
}

// noteRefused records that a client failed to authenticate: once a minute for each client, because whoever knows a
// client_id can cause it as often as he likes.
func (p *Provider) noteRefused(ctx context.Context, c idp.Client) {
	now := time.Now()
	claim := &ephemeral.Op{Verb: ephemeral.Claim, Key: "client-refused:" + c.ID, Value: []byte("1"), TTL: time.Minute}
	if err := p.Ephemeral.Do(ctx, claim); err != nil || !claim.Found {
		return
	}
	if err := p.DB.RecordEvents(ctx, p.event(ctx, idp.EventClientAuthRefused, "", c.ID, now)); err != nil {
		web.Note(ctx, slog.Any("record_error", err))
	}
}
