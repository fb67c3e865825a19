package account

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// lastUses returns by client ID when the user's clients last got tokens, as far as families and recent events show.
func (a *Account) lastUses(ctx context.Context, userID string, families []idp.Family) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	now := time.Now()
	use := func(client string, at time.Time) {
		// RotatedAt is in the future if the new token was never delivered.
		if client != "" && !at.After(now) && at.After(last[client]) {
			last[client] = at
		}
	}
	for _, f := range families {
		use(f.ClientID, f.CreatedAt)
		use(f.ClientID, f.RotatedAt)
	}
	events, err := a.cfg.DB.EventsOf(ctx, userID, activityLimit)
	if err != nil {
		return nil, fmt.Errorf("load events: %w", err)
	}
	for _, e := range events {
		switch e.Kind {
		case idp.EventTokensIssued, idp.EventTokensExchanged, idp.EventSignedIn, idp.EventSteppedUp, idp.EventConsentGranted:
			use(e.ClientID, e.At)
		}
	}
	return last, nil
}

// hostOf returns the host of the client's redirect URIs, where sign-ins return to, or else of its home page.
func hostOf(c idp.Client) string {
	for _, address := range append(slices.Clone(c.RedirectURIs), c.URI) {
		if u, err := url.Parse(address); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return u.Host
		}
	}
	return ""
}

// scopeOrder is the order in which the page lists scopes: what the application learns about the user, what it may do
// (all other scopes, as ""), and last whether it may do so while the user is away.
var scopeOrder = []string{"openid", "profile", "email", "phone", "address", "groups", "", "offline_access"}

func sortScopes(scopes []string) []string {
	rank := func(scope string) int {
		if i := slices.Index(scopeOrder, scope); i >= 0 {
			return i
		}
		return slices.Index(scopeOrder, "")
	}
	scopes = slices.Clone(scopes)
	slices.SortStableFunc(scopes, func(x, y string) int { return rank(x) - rank(y) })
	return scopes
}
