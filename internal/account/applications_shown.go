package account

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// lastUses says when the user's applications last got something: by application, as far as families and recent events tell.
func (a *Account) lastUses(ctx context.Context, userID string, families []idp.Family) (map[string]time.Time, error) {
	last := map[string]time.Time{}
	now := time.Now()
	use := func(client string, at time.Time) {
		if client != "" && !at.After(now) && at.After(last[client]) { // a rotation whose answer was lost lies ahead
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

// host is where an application is at home: the host that answers go to, which is what was verified.
func host(c idp.Client) string {
	for _, address := range append(slices.Clone(c.RedirectURIs), c.URI) {
		if u, err := url.Parse(address); err == nil && (u.Scheme == "https" || u.Scheme == "http") && u.Host != "" {
			return u.Host
		}
	}
	return ""
}

// scopeOrder is the order in which people read what an application may do: what it learns about them, then what it may do
// (everything that is not here), and last that it may do so without them.
var scopeOrder = []string{"openid", "profile", "email", "phone", "address", "", "offline_access"}

func inOrder(scopes []string) []string {
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
