package login

import (
	"context"
	"net/http"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/web"
)

// tooMany returns the error for an exceeded limit.
func tooMany(l limit.Limit) error {
	return &web.Problem{
		Status: http.StatusTooManyRequests, Limit: l, Code: "too_many_requests", Words: "login.attempts",
	}
}

// crowded returns the error for a network with too many waiting requests.
func crowded(l limit.Limit) error {
	return &web.Problem{
		Status: http.StatusTooManyRequests, Limit: l, Code: "too_many_requests", Words: "login.crowded",
	}
}

// begins returns the counts for the begin of a ceremony. A typed name is stored as a hash, for privacy.
func begins(r *http.Request, email string) []*limit.Count {
	network := web.ClientNetwork(r)
	counts := []*limit.Count{limit.CeremonyBegin.Of(network)}
	if email != "" {
		counts = append(counts, limit.NamesFrom.Of(network), limit.NameTyped.Of(limit.Hashed(email)))
	}
	return counts
}

// closed reports whether a source of this failure has used up its limit. Then the failure is not recorded. A valid
// response is never rejected because of others' failures.
func (l *Login) closed(ctx context.Context, r *http.Request, a attempt) (bool, error) {
	var ops []*ephemeral.Op
	for _, s := range sources(r, a) {
		ops = append(ops, s.Closed(s.Key))
	}
	if err := l.cfg.Ephemeral.Do(ctx, ops...); err != nil {
		return false, err
	}
	for _, op := range ops {
		if op.Found {
			return true, nil
		}
	}
	return false, nil
}

// sources returns the sources that a failed ceremony is counted for.
func sources(r *http.Request, a attempt) []limit.Source {
	sources := []limit.Source{{Limit: limit.CeremonyFailed, Key: web.ClientNetwork(r)}}
	if a.interaction.Browser != "" {
		sources = append(sources, limit.Source{Limit: limit.CeremonyFailedBrowser, Key: a.interaction.Browser})
	}
	if a.passkey.ID != "" {
		sources = append(sources, limit.Source{Limit: limit.CeremonyFailedPasskey, Key: a.passkey.ID})
	}
	return sources
}
