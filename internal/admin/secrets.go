package admin

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
)

// MaxSecrets is how many secrets a client can have at once: the one in use, the next, and some for other places.
const MaxSecrets = 5

// A NewSecret is the input for another secret of a client.
type NewSecret struct {
	Name      string    // for people: "production, spring"; may be empty
	ExpiresAt time.Time // zero: never
}

// AddSecret gives a client another secret and returns it: it is shown once, and only its hash is stored. The others
// stay valid, so that the client can change over without an outage; expired ones are removed. A client that
// authenticates in another way can have one too, before its method changes. ErrStale, idp.ErrNotFound.
func (s *Clients) AddSecret(
	ctx context.Context, by Actor, id string, in NewSecret, version time.Time,
) (secret idp.Secret, added idp.ClientSecret, err error) {
	name, ok := directory.NormalizeName(in.Name)
	switch {
	case !ok && in.Name != "":
		return "", added, directory.Faults{{Field: "name", Text: "must be 1 to 80 characters"}}
	case !in.ExpiresAt.IsZero() && !in.ExpiresAt.After(time.Now()):
		return "", added, directory.Faults{{Field: "expires_at", Text: "is in the past"}}
	}
	_, err = s.editSecrets(ctx, by, id, version, func(c idp.Client) (idp.Client, []string, error) {
		now := time.Now().Truncate(time.Millisecond)
		c.Secrets = slices.DeleteFunc(slices.Clone(c.Secrets), func(s idp.ClientSecret) bool { return expired(s, now) })
		if len(c.Secrets) >= MaxSecrets {
			return c, nil, directory.Faults{{Text: fmt.Sprintf("a client can have %d secrets; remove one first", MaxSecrets)}}
		}
		secret = c.AddSecret(now)
		last := &c.Secrets[len(c.Secrets)-1]
		last.Name, last.ExpiresAt = name, in.ExpiresAt
		added = *last
		return c, []string{"fields", "secrets", "change", "added", "secret", added.ID}, nil
	})
	return secret, added, err
}

// ExpireSecret sets when a secret of a client stops working; zero: never. idp.ErrNotFound, ErrStale.
func (s *Clients) ExpireSecret(
	ctx context.Context, by Actor, id, secretID string, at, version time.Time,
) (changed idp.ClientSecret, err error) {
	_, err = s.editSecrets(ctx, by, id, version, func(c idp.Client) (idp.Client, []string, error) {
		c.Secrets = slices.Clone(c.Secrets)
		i := slices.IndexFunc(c.Secrets, func(s idp.ClientSecret) bool { return s.ID == secretID })
		if i < 0 {
			return c, nil, idp.ErrNotFound
		}
		c.Secrets[i].ExpiresAt = at
		changed = c.Secrets[i]
		return c, []string{"fields", "secrets", "change", "expiry", "secret", secretID}, nil
	})
	return changed, err
}

// RemoveSecret ends a secret of a client at once. The last one stays, because the client could not authenticate any
// more: disable the client instead. idp.ErrNotFound, ErrStale.
func (s *Clients) RemoveSecret(ctx context.Context, by Actor, id, secretID string, version time.Time) error {
	_, err := s.editSecrets(ctx, by, id, version, func(c idp.Client) (idp.Client, []string, error) {
		left := slices.DeleteFunc(slices.Clone(c.Secrets), func(s idp.ClientSecret) bool { return s.ID == secretID })
		uses := c.AuthMethod == idp.AuthMethodBasic || c.AuthMethod == idp.AuthMethodPost
		switch {
		case len(left) == len(c.Secrets):
			return c, nil, idp.ErrNotFound
		case len(left) == 0 && uses:
			return c, nil, directory.Faults{{Text: "this is the client's only secret; add another one first"}}
		}
		c.Secrets = left
		return c, []string{"fields", "secrets", "change", "removed", "secret", secretID}, nil
	})
	return err
}

// editSecrets is edit for a client whose secrets no file lists.
func (s *Clients) editSecrets(
	ctx context.Context, by Actor, id string, version time.Time,
	change func(was idp.Client) (idp.Client, []string, error),
) (idp.Client, error) {
	if err := s.free(ctx, by, declared.Secrets, id); err != nil {
		return idp.Client{}, err
	}
	return s.edit(ctx, by, id, version, change)
}

func expired(s idp.ClientSecret, now time.Time) bool {
	return !s.ExpiresAt.IsZero() && !now.Before(s.ExpiresAt)
}
