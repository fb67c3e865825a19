package rules

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Events is the command that lists audit events.
type Events struct {
	User   string        `placeholder:"ADDRESS" help:"About this user: e-mail address or ID."`
	Client string        `placeholder:"ID" help:"About this client."`
	Kind   []string      `sep:"none" help:"Of this kind: user.signed_in, for instance; docs/events.md has all. Repeat for several."`
	Since  time.Duration `help:"Not older than this: 24h."`
	Limit  int           `default:"100" help:"Maximum number of events, from the newest."`
	manage.Flags
}

// Run lists the events.
func (c Events) Run(e *manage.Env) error {
	if c.Limit < 1 || c.Since < 0 {
		return errors.New("--limit must be 1 or more, and --since 0s or more")
	}
	return c.Flags.Run(e, manage.Reads, "list events", func(api *manage.API) error {
		f := adminapi.EventFilter{ClientID: c.Client, Kinds: c.Kind}
		if c.User != "" {
			u, err := manage.FindUser(api, c.User)
			if err != nil {
				return err
			}
			f.UserID = u.ID
		}
		if c.Since > 0 {
			f.From = time.Now().Add(-c.Since)
		}
		events, err := manage.Collect(api.Events.Search(api.Context, f), c.Limit)
		if err != nil {
			return err
		}
		return c.Print(events, func(t manage.Text) {
			t.Line("AT\tKIND\tUSER\tCLIENT\tDETAIL")
			for _, ev := range events {
				t.Line("%s\t%s\t%s\t%s\t%s", ev.At.UTC().Format(time.RFC3339), ev.Kind, ev.UserID, ev.ClientID, detail(ev.Detail))
			}
		})
	})
}

// detail writes the details of an event on one line.
func detail(d map[string]string) (text string) {
	for _, name := range slices.Sorted(maps.Keys(d)) {
		text += name + "=" + d[name] + " "
	}
	return text
}
