// Package secrets has the commands that rotate the secrets of clients: add one, put it into the application, and remove
// the old one when nobody uses it any more.
package secrets

import (
	"cmp"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Secret is the group of commands.
type Secret struct {
	Add    add    `cmd:"" help:"Give a client another secret. Prints it once; the others stay valid."`
	List   list   `cmd:"" help:"List the secrets of a client: names, expiry, last use. Never the secrets."`
	Expire expire `cmd:"" help:"Set when a secret stops working."`
	Remove remove `cmd:"" help:"End a secret at once."`
}

// Help is the long help text.
func (Secret) Help() string {
	return "To rotate a secret without an outage: add one, put it into the application, wait until list says that the " +
		"old one is no longer used, and remove that."
}

// maxTTL is the longest life of a secret that has one.
const maxTTL = 10 * 366 * 24 * time.Hour

type add struct {
	Client string        `arg:"" help:"Client ID."`
	Name   string        `help:"Where it is used, for people: \"production, spring\"."`
	TTL    time.Duration `name:"ttl" help:"How long it works: 8760h is a year. Default: until it is removed."`
	manage.Flags
}

func (c add) Run(e *manage.Env) error {
	if c.TTL != 0 && (c.TTL < time.Minute || c.TTL > maxTTL) {
		return fmt.Errorf("--ttl %s must be between 1m and %s", duration.Short(c.TTL), duration.Short(maxTTL))
	}
	in := adminapi.NewSecret{Name: c.Name}
	if c.TTL != 0 {
		in.ExpiresAt = new(from(c.TTL))
	}
	return c.Flags.Run(e, manage.Writes, "add a secret", func(api *manage.API) error {
		made, err := api.Clients.AddSecret(api.Context, c.Client, in)
		if err != nil {
			return unknown("add a secret", c.Client, err)
		}
		return c.Say(made, fmt.Sprintf("secret id      %s\nclient_secret  %s\n\nIt is shown only once. "+
			"Only its hash is stored. "+
			"The others stay valid; see: stepward client secret list %s", made.ID, made.Value, c.Client))
	})
}

// from returns the time after a duration.
func from(d time.Duration) time.Time { return time.Now().Add(d).UTC().Truncate(time.Millisecond) }

type list struct {
	Client string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c list) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "list the secrets", func(api *manage.API) error {
		client, _, err := api.Clients.Get(api.Context, c.Client)
		if err != nil {
			return unknown("list the secrets", c.Client, err)
		}
		return table(c.Flags, append([]adminapi.Secret{}, client.Secrets...))
	})
}

func table(f manage.Flags, rows []adminapi.Secret) error {
	return f.Print(rows, func(t manage.Text) {
		if len(rows) == 0 {
			t.Line("this client has no secret")
			return
		}
		t.Line("SECRET ID\tNAME\tCREATED\tEXPIRES\tLAST USED")
		for _, row := range rows {
			t.Line("%s\t%s\t%s\t%s\t%s", row.ID, cmp.Or(row.Name, "-"), manage.Day(&row.CreatedAt), minute(row.ExpiresAt),
				minute(row.LastUsedAt))
		}
	})
}

// minute writes a time in UTC, and "never" for none.
func minute(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Format("2006-01-02 15:04Z")
}

type expire struct {
	Client string        `arg:"" help:"Client ID."`
	Secret string        `arg:"" help:"ID of the secret; see list."`
	In     time.Duration `name:"in" xor:"when" required:"" help:"When it stops working, from now: 24h."`
	Never  bool          `xor:"when" required:"" help:"It works until it is removed."`
	manage.Flags
}

func (c expire) Run(e *manage.Env) error {
	if !c.Never && (c.In < time.Minute || c.In > maxTTL) {
		return fmt.Errorf("--in %s must be between 1m and %s", duration.Short(c.In), duration.Short(maxTTL))
	}
	return c.Flags.Run(e, manage.Writes, "change the secret", func(api *manage.API) error {
		var at *time.Time
		if !c.Never {
			at = new(from(c.In))
		}
		changed, err := api.Clients.ExpireSecret(api.Context, c.Client, c.Secret, at)
		if err != nil {
			return unknown("change the secret", c.Client, err)
		}
		if c.JSON() {
			return manage.PrintJSON(changed)
		}
		return table(c.Flags, []adminapi.Secret{changed})
	})
}

type remove struct {
	Client string `arg:"" help:"Client ID."`
	Secret string `arg:"" help:"ID of the secret; see list."`
	manage.Flags
}

func (c remove) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "remove the secret", func(api *manage.API) error {
		if err := api.Clients.RemoveSecret(api.Context, c.Client, c.Secret); err != nil {
			return unknown("remove the secret", c.Client, err)
		}
		return c.Say(map[string]any{"id": c.Secret, "removed": true}, "removed; running servers notice within 5 seconds")
	})
}

// unknown says where to look if an error is about a client or a secret that does not exist.
func unknown(what, client string, err error) error {
	if manage.Refused(err, "not_found") {
		return fmt.Errorf("%s: there is no such client or secret; see: stepward client list, "+
			"stepward client secret list %s", what, client)
	}
	return err
}
