package sample

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

// An order is the request body of the API, a receipt its response.
type order struct {
	Amount   string `json:"amount"`
	Currency string `json:"currency"`
	To       string `json:"to"`
}

type receipt struct {
	order
	Subject  string   `json:"sub"`
	ACR      string   `json:"acr"`
	AMR      []string `json:"amr"`
	AuthTime int64    `json:"auth_time"`
	PaidAt   int64    `json:"paid_at"`
}

// payoutsAPI returns the handler of POST /api/payouts, a resource server. It pays only within the window after a
// phishing-resistant authentication for payouts, which the scope proves.
func (a *app) payoutsAPI() http.Handler {
	need := stepup.Requirement{
		ACRValues: []string{"phr"}, MaxAge: stepup.Within(PayoutWindow), Scopes: []string{ScopePayouts},
	}
	return stepup.Require(need, a.verifyAccessToken)(http.HandlerFunc(pay))
}

func pay(w http.ResponseWriter, r *http.Request) {
	claims, _ := stepup.FromContext(r.Context())
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	var o order
	if err := json.NewDecoder(r.Body).Decode(&o); err != nil || o.Amount == "" || o.Currency == "" || o.To == "" {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = w.Write([]byte(`{"error":"invalid_order"}`))
		return
	}
	if !covers(claims.Raw, o) {
		w.WriteHeader(http.StatusForbidden)
		_, _ = w.Write([]byte(`{"error":"not_what_was_confirmed"}`))
		return
	}
	paid := receipt{o, claims.Subject, claims.ACR, claims.AMR, claims.AuthTime.Unix(), time.Now().Unix()}
	_ = json.NewEncoder(w).Encode(paid)
}

// covers reports whether a token is valid for this order. A token that names payouts is valid only for those.
func covers(claims json.RawMessage, o order) bool {
	var named struct {
		Details []struct{ Type, Currency, Amount, Creditor string } `json:"authorization_details"`
	}
	if err := json.Unmarshal(claims, &named); err != nil {
		return false
	}
	for _, d := range named.Details {
		if d.Type == DetailPayout && d.Currency == o.Currency && d.Amount == o.Amount && d.Creditor == o.To {
			return true
		}
	}
	return len(named.Details) == 0
}

// verifyAccessToken is the [stepup.Verifier] of RFC 9068 §4. It checks the type to reject ID tokens, which the same
// keys sign.
func (a *app) verifyAccessToken(ctx context.Context, token string) (stepup.Claims, error) {
	var header struct {
		Type string `json:"typ"`
	}
	first, _, _ := strings.Cut(token, ".")
	data, err := base64.RawURLEncoding.DecodeString(first)
	if err != nil || json.Unmarshal(data, &header) != nil {
		return stepup.Claims{}, errors.New("access token: not a JWT")
	}
	if t := strings.ToLower(header.Type); t != "at+jwt" && t != "application/at+jwt" {
		return stepup.Claims{}, fmt.Errorf("access token: type %q", header.Type)
	}
	p, err := a.provider(ctx)
	if err != nil {
		return stepup.Claims{}, fmt.Errorf("access token: %w: %w", stepup.ErrUnavailable, err)
	}
	verified, err := p.accessTokens.Verify(ctx, token) // signature, issuer, audience, expiry
	if err != nil {
		return stepup.Claims{}, fmt.Errorf("access token: %w", err)
	}
	var claims stepup.Claims
	if err := verified.Claims(&claims); err != nil {
		return stepup.Claims{}, fmt.Errorf("access token: %w", err)
	}
	if claims.Subject == "" {
		return stepup.Claims{}, errors.New("access token: no sub")
	}
	return claims, nil
}
