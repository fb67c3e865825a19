package provider

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Grants of the token endpoint.
const (
	grantCode    = idp.GrantAuthorizationCode
	grantRefresh = idp.GrantRefreshToken
	grantClient  = idp.GrantClientCredentials
	grantDevice  = idp.GrantDeviceCode

	grantExchange = idp.GrantTokenExchange
)

// server is our side of the library: it routes and decodes, every decision is here. What is not overridden answers
// "not implemented" (op.UnimplementedServer), so that an update of the library cannot open an endpoint.
type server struct {
	op.UnimplementedServer
	p *Provider
}

// client lets the library see the three things it asks of a client. The embedded interface is nil: the rest belongs to
// parts of the library that are not routed.
type client struct {
	op.Client
	registered idp.Client
}

func (c client) GetID() string               { return c.registered.ID }
func (c client) AuthMethod() oidc.AuthMethod { return oidc.AuthMethod(c.registered.AuthMethod) }
func (c client) GrantTypes() []oidc.GrantType {
	out := make([]oidc.GrantType, len(c.registered.GrantTypes))
	for i, g := range c.registered.GrantTypes {
		out[i] = oidc.GrantType(g)
	}
	return out
}

// event returns an event that a client caused.
func (p *Provider) event(ctx context.Context, kind idp.EventKind, userID, clientID string, now time.Time) idp.Event {
	e := idp.NewEvent(kind, userID, now)
	e.ClientID, e.RequestID = clientID, web.RequestID(ctx)
	return e
}

// broken is the answer to our own failure: nothing of it is told, the record has it.
func broken(ctx context.Context, step string, err error) error {
	web.Note(ctx, slog.Any("error", fmt.Errorf("%s: %w", step, err)))
	if errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) {
		return op.NewStatusError(&oidc.Error{ErrorType: "temporarily_unavailable", Description: "try again in a moment"}, http.StatusServiceUnavailable)
	}
	return op.NewStatusError(oidc.ErrServerError(), http.StatusInternalServerError)
}
