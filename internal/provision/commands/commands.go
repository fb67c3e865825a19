// Package commands has the operator's commands for applications that people are sent to over SCIM.
package commands

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Provisioning is the group of commands.
type Provisioning struct {
	Add     set     `cmd:"" help:"Send people to an application over SCIM, or change how. The token comes from a file."`
	List    list    `cmd:"" help:"List the applications that people are sent to."`
	Show    show    `cmd:"" help:"Show one: what it has, what waits, the last error."`
	Preview preview `cmd:"" help:"Say who would be created, changed, disabled or deleted there now. Sends nothing."`
	Pause   pause   `cmd:"" help:"Send nothing until resume."`
	Resume  resume  `cmd:"" help:"Send again."`
	Sync    all     `cmd:"" help:"Send everything again, to an application that has lost something."`
	Remove  remove  `cmd:"" help:"Stop for good. The accounts there stay as they are."`
}

// told says which client an error is about that does not name it.
func told(what, client string, err error) error {
	switch {
	case manage.Refused(err, "not_found"):
		return fmt.Errorf("%s: there is no client %s, or nobody is sent to it; see: stepward provisioning list", what, client)
	case manage.Refused(err, "already"):
		return fmt.Errorf("%s: it is so already", what)
	}
	return err
}

type set struct {
	Client    string            `arg:"" help:"Client ID."`
	URL       string            `name:"url" required:"" help:"Address of its SCIM, without /Users: https://app.example.com/scim/v2"`
	TokenFile string            `name:"token-file" placeholder:"FILE" help:"File with the bearer token that the application made. Without it, the token from before stays."`
	Group     []string          `sep:"none" placeholder:"GROUP" help:"Send only members of this group. Repeat for several. Default: all who may use the client."`
	SendGroup []string          `name:"send-group" sep:"none" placeholder:"GROUP" help:"Send this group itself. Repeat for several."`
	Attribute []string          `sep:"none" placeholder:"NAME" help:"Send this attribute: displayName, name, emails, nickName, profileUrl, locale, timezone, phoneNumbers, addresses. Default: the first three."`
	Claim     map[string]string `placeholder:"CLAIM=ATTRIBUTE" help:"Send a claim as this attribute: department=urn:ietf:params:scim:schemas:extension:enterprise:2.0:User:department"`
	Delete    bool              `help:"Delete the accounts of those who leave, instead of disabling them."`
	manage.Flags
}

func (c set) Run(e *manage.Env) error {
	in := adminapi.NewProvisioning{
		BaseURL: c.URL, Groups: c.Group, SendGroups: c.SendGroup, Attributes: c.Attribute, Claims: c.Claim, Delete: c.Delete,
	}
	if c.TokenFile != "" {
		text, err := os.ReadFile(c.TokenFile)
		if err != nil {
			return errors.New("token-file: " + config.FileReason(err))
		}
		in.Token = strings.TrimSpace(string(text))
	}
	return c.Flags.Run(e, manage.Sends, "send people", func(api *manage.API) error {
		v, err := api.Clients.SetProvisioning(api.Context, c.Client, adminapi.Any, in)
		if err != nil {
			return told("send people", c.Client, err)
		}
		return c.Say(v, "saved; a running server sends within 5 seconds. See: stepward provisioning show "+c.Client)
	})
}

func stateOf(pausedBy string, failures int) string {
	switch {
	case pausedBy != "":
		return "paused by " + pausedBy
	case failures > 0:
		return "failing"
	}
	return "sending"
}

type list struct{ manage.Flags }

func (c list) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Sends, "list", func(api *manage.API) error {
		found, err := manage.Collect(api.Clients.Provisioned(api.Context), 0)
		if err != nil {
			return err
		}
		return c.Print(found, func(t manage.Text) {
			t.Line("CLIENT ID\tSTATE\tADDRESS\tLAST ERROR")
			for _, v := range found {
				t.Line("%s\t%s\t%s\t%s", v.ClientID, stateOf(v.PausedBy, v.Failures), v.BaseURL, v.LastError)
			}
		})
	})
}

type show struct {
	Client string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c show) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Sends, "show", func(api *manage.API) error {
		v, _, err := api.Clients.Provisioning(api.Context, c.Client)
		if err != nil {
			return told("show", c.Client, err)
		}
		return c.Print(v, func(t manage.Text) {
			t.Pair("state", stateOf(v.PausedBy, v.Failures))
			t.Pair("address", v.BaseURL)
			t.Pair("last success", when(v.LastSuccess))
			t.Pair("last error", strings.TrimSpace(when(v.LastErrorAt)+" "+v.LastError))
			t.Line("accounts\t%d", v.Accounts)
			t.Line("disabled\t%d", v.Disabled)
			t.Line("groups\t%d", v.GroupsThere)
			t.Line("waiting\t%d", v.Waiting)
			t.Pair("refused", strings.TrimSpace(fmt.Sprint(v.Refused, " ", v.RefusedError)))
		})
	})
}

func when(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

type preview struct {
	Client string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c preview) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Sends, "preview", func(api *manage.API) error {
		p, err := api.Clients.PreviewProvisioning(api.Context, c.Client)
		if err != nil {
			return told("preview", c.Client, err)
		}
		return c.Print(p, func(t manage.Text) {
			for _, action := range slices.Sorted(maps.Keys(p.Counts)) {
				t.Line("%s: %d", action, p.Counts[action])
			}
			for _, person := range p.People {
				t.Line("  %s %s", person.Action, person.Email)
			}
			if len(p.Counts) == 0 {
				t.Line("nothing: the application has everything")
			}
			if p.More {
				t.Line("there are more users than were looked at")
			}
		})
	})
}

// one is a command that needs nothing but the client.
type one struct {
	Client string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c one) do(e *manage.Env, what, done string, change func(adminapi.Clients) change) error {
	return c.Flags.Run(e, manage.Sends, what, func(api *manage.API) error {
		if err := change(api.Clients)(api.Context, c.Client); err != nil {
			return told(what, c.Client, err)
		}
		return c.Say(map[string]any{"client_id": c.Client, strings.ReplaceAll(done, " ", "_"): true}, done)
	})
}

type (
	pause  struct{ one }
	resume struct{ one }
	all    struct{ one }
	remove struct{ one }
)

type change = func(ctx context.Context, client string) error

func (c pause) Run(e *manage.Env) error {
	return c.do(e, "pause", "paused", func(api adminapi.Clients) change { return api.PauseProvisioning })
}

func (c resume) Run(e *manage.Env) error {
	return c.do(e, "resume", "resumed", func(api adminapi.Clients) change { return api.ResumeProvisioning })
}

func (c all) Run(e *manage.Env) error {
	return c.do(e, "sync", "sent again", func(api adminapi.Clients) change { return api.SyncProvisioning })
}

func (c remove) Run(e *manage.Env) error {
	return c.do(e, "remove", "removed", func(api adminapi.Clients) change { return api.RemoveProvisioning })
}
