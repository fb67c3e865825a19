package provider

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
)

// Accept checks an access token that is presented at one of our own APIs (token.Service.Accept).
func (p *Provider) Accept(ctx context.Context, call *oauth.Call, token, resource string) (token.Accepted, error) {
	return p.tokens.Accept(ctx, call, token, resource)
}

// Nonce returns the nonce for the next DPoP proof (RFC 9449 §8.2).
func (p *Provider) Nonce(now time.Time) string { return p.door.Nonce(now) }

// Authenticate returns the client that makes a call (client.Authenticator).
func (p *Provider) Authenticate(ctx context.Context, call *oauth.Call) (idp.Client, error) {
	return p.clients.Authenticate(ctx, call)
}
