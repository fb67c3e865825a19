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

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
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

// with runs f with what sends people to applications.
func with(e *manage.Env, f func(ctx context.Context, s *provision.Service) error) error {
	return e.Operating(func(cfg *config.Config, db *store.DB, ops *admin.Operations) error {
		operator, err := operatorkey.Load(e.Context(), cfg)
		if err != nil {
			return err
		}
		secrets, err := keys.LoadSecrets(e.Context(), db, operator)
		if err != nil {
			return err
		}
		out, err := server.OutboundOf(cfg)
		if err != nil {
			return err
		}
		s, err := provision.Of(ops, secrets, out, manage.Logger(cfg))
		if err != nil {
			return err
		}
		return f(e.Context(), s)
	})
}

func told(what, client string, err error) error {
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return fmt.Errorf("%s: there is no client %s, or nobody is sent to it; see: stepward provisioning list", what, client)
	case errors.Is(err, admin.ErrAlready):
		return fmt.Errorf("%s: it is so already", what)
	}
	return manage.Told(what, err)
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
	manage.Output
}

func (c set) Run(e *manage.Env) error {
	return with(e, func(ctx context.Context, s *provision.Service) error {
		in := provision.Input{
			BaseURL: c.URL, Groups: c.Group, SendGroups: c.SendGroup, Attributes: c.Attribute, Claims: c.Claim,
			Delete: c.Delete,
		}
		if c.TokenFile != "" {
			text, err := os.ReadFile(c.TokenFile)
			if err != nil {
				return errors.New("token-file: " + config.FileReason(err))
			}
			in.Token = idp.Secret(strings.TrimSpace(string(text)))
		}
		v, err := s.Set(ctx, manage.Operator, c.Client, in, time.Time{})
		if err != nil {
			return told("send people", c.Client, err)
		}
		return c.Say(v.Wire(), "saved; a running server sends within 5 seconds. See: stepward provisioning show "+c.Client)
	})
}

func stateOf(v provision.View) string {
	switch {
	case v.Paused():
		return "paused by " + v.PausedBy
	case v.Failures > 0:
		return "failing"
	}
	return "sending"
}

type list struct{ manage.Output }

func (c list) Run(e *manage.Env) error {
	return with(e, func(ctx context.Context, s *provision.Service) error {
		found, err := s.List(ctx, manage.Operator)
		if err != nil {
			return err
		}
		rows := []adminapi.Provisioning{}
		for _, v := range found {
			rows = append(rows, v.Wire())
		}
		return c.Print(rows, func(t manage.Text) {
			t.Line("CLIENT ID\tSTATE\tADDRESS\tLAST ERROR")
			for _, v := range found {
				t.Line("%s\t%s\t%s\t%s", v.ClientID, stateOf(v), v.Settings.BaseURL, v.LastError)
			}
		})
	})
}

type show struct {
	Client string `arg:"" help:"Client ID."`
	manage.Output
}

func (c show) Run(e *manage.Env) error {
	return with(e, func(ctx context.Context, s *provision.Service) error {
		v, err := s.Get(ctx, manage.Operator, c.Client)
		if err != nil {
			return told("show", c.Client, err)
		}
		return c.Print(v.Wire(), func(t manage.Text) {
			t.Pair("state", stateOf(v))
			t.Pair("address", v.Settings.BaseURL)
			t.Pair("last success", when(v.SentAt))
			t.Pair("last error", strings.TrimSpace(when(v.ErrorAt)+" "+v.LastError))
			t.Line("accounts\t%d", v.State.Users)
			t.Line("disabled\t%d", v.State.Gone)
			t.Line("groups\t%d", v.State.Groups)
			t.Line("waiting\t%d", v.State.Waiting)
			t.Pair("refused", strings.TrimSpace(fmt.Sprint(v.State.Refused, " ", v.State.Error)))
		})
	})
}

func when(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.UTC().Format(time.RFC3339)
}

type preview struct {
	Client string `arg:"" help:"Client ID."`
	manage.Output
}

func (c preview) Run(e *manage.Env) error {
	return with(e, func(ctx context.Context, s *provision.Service) error {
		p, err := s.Preview(ctx, manage.Operator, c.Client)
		if err != nil {
			return told("preview", c.Client, err)
		}
		return c.Print(p.Wire(), func(t manage.Text) {
			for _, action := range slices.Sorted(maps.Keys(p.Counts)) {
				t.Line("%s: %d", action, p.Counts[action])
			}
			for _, person := range p.People {
				t.Line("  %s %s", person.Action, person.User.Email)
			}
			if len(p.Counts) == 0 {
				t.Line("nothing: the application has everything")
			}
			if p.More {
				t.Line("looked at the first %d users only", p.Looked)
			}
		})
	})
}

// one is a command that needs nothing but the client.
type one struct {
	Client string `arg:"" help:"Client ID."`
	manage.Output
}

func (c one) do(
	e *manage.Env, what, done string, change func(*provision.Service) func(context.Context, admin.Actor, string) error,
) error {
	return with(e, func(ctx context.Context, s *provision.Service) error {
		if err := change(s)(ctx, manage.Operator, c.Client); err != nil {
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

type change = func(context.Context, admin.Actor, string) error

func (c pause) Run(e *manage.Env) error {
	return c.do(e, "pause", "paused", func(s *provision.Service) change { return s.Pause })
}

func (c resume) Run(e *manage.Env) error {
	return c.do(e, "resume", "resumed", func(s *provision.Service) change { return s.Resume })
}

func (c all) Run(e *manage.Env) error {
	return c.do(e, "sync", "sent again", func(s *provision.Service) change { return s.SendAll })
}

func (c remove) Run(e *manage.Env) error {
	return c.do(e, "remove", "removed", func(s *provision.Service) change { return s.Remove })
}
