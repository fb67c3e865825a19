// Package secrets has the commands that rotate the secrets of clients: add one, put it into the application, and remove
// the old one when nobody uses it any more.
package secrets

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/store"
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

// shown is a secret as JSON.
type shown struct {
	ID        string     `json:"id"`
	Name      string     `json:"name,omitempty"`
	Value     string     `json:"client_secret,omitempty"` // only when it is made
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	UsedAt    *time.Time `json:"used_at,omitempty"` // to the minute
}

func show(s idp.ClientSecret) shown {
	return shown{ID: s.ID, Name: s.Name, CreatedAt: s.CreatedAt.UTC(), ExpiresAt: moment(s.ExpiresAt)}
}

// moment returns a time as JSON has it: nil if it is zero.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return new(t.UTC())
}

type output struct {
	Output string `enum:"text,json" default:"text" help:"text or json."`
}

// print prints v as JSON if that was asked for, or else calls text.
func (o output) print(v any, text func() error) error {
	if o.Output != "json" {
		return text()
	}
	out := json.NewEncoder(os.Stdout)
	out.SetIndent("", "  ")
	return out.Encode(v)
}

type add struct {
	Client string        `arg:"" help:"Client ID."`
	Name   string        `help:"Where it is used, for people: \"production, spring\"."`
	TTL    time.Duration `name:"ttl" help:"How long it works: 8760h is a year. Default: until it is removed."`
	output
}

func (c add) Run(e *manage.Env) error {
	if c.TTL != 0 && (c.TTL < time.Minute || c.TTL > maxTTL) {
		return fmt.Errorf("--ttl %s must be between 1m and %s", config.Short(c.TTL), config.Short(maxTTL))
	}
	return e.Operating(func(_ *config.Config, _ *store.DB, ops *admin.Operations) error {
		in := admin.NewSecret{Name: c.Name}
		if c.TTL != 0 {
			in.ExpiresAt = time.Now().Add(c.TTL).Truncate(time.Millisecond)
		}
		secret, added, err := ops.Clients.AddSecret(e.Context(), admin.Operator(), c.Client, in, time.Time{})
		if err != nil {
			return refused("add a secret", c.Client, err)
		}
		made := show(added)
		made.Value = secret.Reveal()
		return c.print(made, func() error {
			fmt.Printf("secret id      %s\nclient_secret  %s\n\nIt is shown only once. Only its hash is stored. "+
				"The others stay valid; see: stepward client secret list %s\n", added.ID, secret.Reveal(), c.Client)
			return nil
		})
	})
}

type list struct {
	Client string `arg:"" help:"Client ID."`
	output
}

func (c list) Run(e *manage.Env) error {
	return e.Operate(false, func(_ *config.Config, ops *admin.Operations) error {
		client, err := ops.Clients.Get(e.Context(), admin.Operator(), c.Client)
		if err != nil {
			return refused("list the secrets", c.Client, err)
		}
		usage, err := ops.Clients.Usage(e.Context(), admin.Operator(), c.Client)
		if err != nil {
			return fmt.Errorf("last use: %w", err)
		}
		rows := []shown{}
		for _, secret := range client.Secrets {
			row := show(secret)
			row.UsedAt = moment(usage[client.ID].Secrets[secret.ID])
			rows = append(rows, row)
		}
		return c.print(rows, func() error { return table(rows) })
	})
}

func table(rows []shown) error {
	if len(rows) == 0 {
		fmt.Println("this client has no secret")
		return nil
	}
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "SECRET ID\tNAME\tCREATED\tEXPIRES\tLAST USED")
	for _, row := range rows {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", row.ID, cmp.Or(row.Name, "-"), row.CreatedAt.Format(time.DateOnly),
			minute(row.ExpiresAt), minute(row.UsedAt))
	}
	return w.Flush()
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
	output
}

func (c expire) Run(e *manage.Env) error {
	if !c.Never && (c.In < time.Minute || c.In > maxTTL) {
		return fmt.Errorf("--in %s must be between 1m and %s", config.Short(c.In), config.Short(maxTTL))
	}
	return e.Operating(func(_ *config.Config, _ *store.DB, ops *admin.Operations) error {
		var at time.Time
		if !c.Never {
			at = time.Now().Add(c.In).Truncate(time.Millisecond)
		}
		changed, err := ops.Clients.ExpireSecret(e.Context(), admin.Operator(), c.Client, c.Secret, at, time.Time{})
		if err != nil {
			return refused("change the secret", c.Client, err)
		}
		return c.print(show(changed), func() error { return table([]shown{show(changed)}) })
	})
}

type remove struct {
	Client string `arg:"" help:"Client ID."`
	Secret string `arg:"" help:"ID of the secret; see list."`
}

func (c remove) Run(e *manage.Env) error {
	return e.Operating(func(_ *config.Config, _ *store.DB, ops *admin.Operations) error {
		err := ops.Clients.RemoveSecret(e.Context(), admin.Operator(), c.Client, c.Secret, time.Time{})
		if err != nil {
			return refused("remove the secret", c.Client, err)
		}
		fmt.Println("removed; running servers notice within 5 seconds")
		return nil
	})
}

// refused says what an operation refused, and where to look.
func refused(what, client string, err error) error {
	if errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("%s: there is no such client or secret; see: stepward client list, "+
			"stepward client secret list %s", what, client)
	}
	return fmt.Errorf("%s: %w", what, err)
}
