package stepup

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Introspection verifies tokens by asking the provider (RFC 7662). Use it for opaque tokens, and where revocation must
// take effect at once. Its Verify method is a [Verifier].
type Introspection struct {
	URL                    string // introspection_endpoint of the provider's metadata
	ClientID, ClientSecret string // credentials of the API, sent with HTTP Basic (RFC 6749 §2.3.1)
	// Audience is the API's own identifier. Tokens for another audience are rejected. If it is empty, the provider must
	// answer only for the caller's own tokens.
	Audience string
	// Client sends the requests; nil: a client with a timeout of 5 seconds. Redirects are never followed.
	Client *http.Client
}

// Verify asks whether the token is active. Transport errors and any status but 200 are [ErrUnavailable].
func (i *Introspection) Verify(ctx context.Context, token string) (Claims, error) {
	form := url.Values{"token": {token}, "token_type_hint": {"access_token"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, i.URL, strings.NewReader(form.Encode()))
	if err != nil {
		return Claims{}, fmt.Errorf("introspect: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	req.SetBasicAuth(url.QueryEscape(i.ClientID), url.QueryEscape(i.ClientSecret))

	client := http.Client{Timeout: 5 * time.Second}
	if i.Client != nil {
		client = *i.Client
	}
	// A redirect must not carry the token to another server.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	resp, err := client.Do(req)
	if err != nil {
		return Claims{}, fmt.Errorf("introspect: %w: %w", ErrUnavailable, err)
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil || resp.StatusCode != http.StatusOK {
		return Claims{}, fmt.Errorf("introspect: %w: status %d", ErrUnavailable, resp.StatusCode)
	}

	var active struct {
		Active bool `json:"active"`
	}
	var claims Claims
	if err := json.Unmarshal(body, &active); err != nil {
		return Claims{}, fmt.Errorf("introspect: %w: %w", ErrUnavailable, err)
	}
	if !active.Active {
		return Claims{}, errors.New("introspect: not active")
	}
	if err := json.Unmarshal(body, &claims); err != nil {
		return Claims{}, fmt.Errorf("introspect: %w", err)
	}
	switch {
	case !claims.Expiry.IsZero() && !time.Now().Before(claims.Expiry):
		return Claims{}, errors.New("introspect: expired")
	case i.Audience != "" && !slices.Contains(claims.Audience, i.Audience):
		return Claims{}, errors.New("introspect: wrong audience")
	}
	return claims, nil
}
