package clients

import (
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
)

type clientTokenCmd struct {
	Uses      int           `default:"1" help:"How many applications may register with it. 0: any number, until it expires."`
	TTL       time.Duration `name:"ttl" default:"24h" help:"How long the token is valid."`
	RevokeAll bool          `name:"revoke-all" help:"Create no token, and revoke all existing ones."`
	manage.Flags
}

func (c clientTokenCmd) Run(e *manage.Env) error {
	if err := c.OnlyOnStore("client token"); err != nil {
		return err
	}
	if c.Uses < 0 {
		return fmt.Errorf("--uses %d must be 0 or more", c.Uses)
	}
	if c.TTL < time.Minute || c.TTL > 400*24*time.Hour {
		return fmt.Errorf("--ttl %s must be between 1m and 9600h", duration.Short(c.TTL))
	}
	return e.Writing(func(cfg *config.Config, db *store.DB) error {
		if c.RevokeAll {
			if err := registrations.RevokeTokens(e.Context(), db); err != nil {
				return fmt.Errorf("revoke tokens: %w", err)
			}
			return c.Say(map[string]bool{"revoked": true}, "revoked; applications already registered stay")
		}
		now, token, uses := time.Now(), idp.NewLongSecret(), c.Uses
		if uses == 0 {
			uses = registrations.AnyUses
		}
		if err := registrations.PutToken(e.Context(), db, token.Hash(), uses, now, now.Add(c.TTL)); err != nil {
			return fmt.Errorf("create token: %w", err)
		}
		made := initial{token.Reveal(), now.Add(c.TTL).UTC().Truncate(time.Second), c.Uses}
		return c.Print(made, func(t manage.Text) {
			t.Line("initial access token  %s\n\nIt is shown only once. Only its hash is stored. "+
				"Applications send it to %s/oauth2/register until %s.", made.Token, cfg.Issuer,
				now.Add(c.TTL).Format(time.DateTime))
			if cfg.Registration == "" {
				t.Line("Registration is off. Set registration to token first.")
			}
		})
	})
}

// initial is an initial access token (RFC 7591 §3) as JSON.
type initial struct {
	Token string    `json:"initial_access_token"`
	Until time.Time `json:"until"`
	Uses  int       `json:"uses"` // 0: any number
}
