// Package apply holds the commands that bring a server into the state that a file describes, and write such a file.
//
//	stepward apply -f stepward.yaml ─▶ YAML, schema, secrets ─▶ package desired, or the admin API ─▶ the plan in words
package apply

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	schema "github.com/stepward/stepward/internal/adminapi/file"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desired"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Apply is stepward apply.
type Apply struct {
	File    string `short:"f" default:"stepward.yaml" placeholder:"FILE" help:"YAML or JSON; - reads standard input. Default: stepward.yaml."`
	DryRun  bool   `name:"dry-run" help:"Change nothing: print the plan. Exit code 0: nothing would change; 2: the server differs from the file; 1: something is wrong."`
	Prune   bool   `help:"Remove what this file managed and no longer names. Never anything else."`
	Expect  string `placeholder:"DIGEST" help:"Fail unless the plan is the one with this digest, as --dry-run --output json prints it."`
	As      string `placeholder:"NAME" help:"Name under which the file manages things. Default: its name without folders."`
	Release bool   `help:"Manage nothing under this name any more. The server stays as it is."`
	Schema  bool   `help:"Print the JSON schema of the file."`
	manage.Output
	server
}

// Help is shown by --help.
func (Apply) Help() string {
	return `The file describes clients, groups, claims, policy and roles. What it does not name stays as it is.

  clients:
    - client_id: grafana
      client_name: Grafana
      redirect_uris: [https://grafana.example.com/login/generic_oauth]
      secrets: [{name: first, value: "env:GRAFANA_SECRET"}]
  groups:
    - {name: staff}
    - {name: engineering, within: [staff]}

First look, then apply: stepward apply --dry-run, and stepward apply. All of it happens, or nothing. What the file
manages can then be changed only there. docs/apply.md has the rest; stepward export writes the file for what is there.`
}

// Drift says that the server differs from the file.
type Drift struct{ text string }

func (d Drift) Error() string { return d.text }

// ExitCode is that of the program.
func (d Drift) ExitCode() int { return 2 }

// Run implements the command.
func (c *Apply) Run(e *manage.Env) error {
	if c.Schema {
		text, err := schema.Schema()
		if err == nil {
			fmt.Println(string(text))
		}
		return err
	}
	if c.Release {
		return c.release(e)
	}
	f, err := load(c.File, os.LookupEnv)
	if err != nil {
		return err
	}
	if c.As != "" {
		f.source = c.As
	}
	plan, err := c.plan(e, f)
	if err != nil {
		return c.refused(f, err)
	}
	if err := c.print(plan); err != nil {
		return err
	}
	if c.DryRun && plan.Drift() {
		return Drift{"the server differs from " + f.source}
	}
	return nil
}

// plan applies the file, or plans it, on the store or over the API.
func (c *Apply) plan(e *manage.Env, f *file) (plan adminapi.Plan, err error) {
	if c.Against != "" {
		api, err := c.api(e)
		if err != nil {
			return plan, err
		}
		return api.Apply(e.Context(), wire.Desired(f.state, wire.Hashed), adminapi.ApplyOptions{
			Source: f.source, Hash: f.hash, DryRun: c.DryRun, Prune: c.Prune, Expect: c.Expect,
		})
	}
	by := admin.Actor{Channel: admin.ChannelApply, File: f.hash}
	err = e.Operate(!c.DryRun, func(_ *config.Config, ops *admin.Operations) (err error) {
		plan, err = desired.Apply(e.Context(), ops, by, f.state, desired.Options{
			Source: f.source, Prune: c.Prune, DryRun: c.DryRun, Expect: c.Expect,
		})
		return err
	})
	return plan, err
}

// refused says why a file was not applied.
func (c *Apply) refused(f *file, err error) error {
	if p, ok := errors.AsType[*adminapi.Problem](err); ok && len(p.Faults) > 0 {
		var faults directory.Faults
		for _, fault := range p.Faults {
			faults = append(faults, directory.Fault(fault))
		}
		return f.told(faults)
	} else if ok && p.Code == "stale" {
		err = admin.ErrStale
	}
	if errors.Is(err, admin.ErrStale) {
		return errors.New("something has changed since the plan was made; nothing was applied. Look again with --dry-run")
	}
	return f.told(err)
}

func (c *Apply) print(plan adminapi.Plan) error {
	if c.JSON() {
		return manage.PrintJSON(plan)
	}
	colours := terminal()
	for _, change := range plan.Changes {
		fmt.Println(coloured(change, colours))
	}
	switch {
	case !plan.Drift():
		fmt.Println("nothing to change")
	case plan.Applied:
		fmt.Println("applied; it counts on every replica within 5 seconds")
	}
	return nil
}

// terminal reports whether people read the output in a terminal that shows colours.
func terminal() bool {
	info, err := os.Stdout.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// coloured returns the line of a change. Clients and people may have chosen parts of it, so it shows nothing that
// could control the terminal.
func coloured(c adminapi.PlannedChange, colours bool) string {
	text := strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u2028' || r == '\u2029' || r >= 0x202a && r <= 0x202e ||
			r >= 0x2066 && r <= 0x2069 {
			return '\ufffd'
		}
		return r
	}, c.Text)
	code := map[string]string{
		adminapi.ActionAdd: "32", adminapi.ActionChange: "33", adminapi.ActionRemove: "31", adminapi.ActionWait: "35",
	}[c.Action]
	if !colours || code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// release ends the management by a name.
func (c *Apply) release(e *manage.Env) error {
	if c.Against != "" {
		return errors.New("--release works on the store alone: run it on the server")
	}
	return e.Operate(true, func(_ *config.Config, ops *admin.Operations) error {
		name := cmp.Or(c.As, sourceOf(c.File))
		n, err := desired.Release(e.Context(), ops, admin.Actor{Channel: admin.ChannelApply}, name)
		if err != nil {
			return err
		}
		return c.Say(map[string]any{"source": name, "released": n},
			fmt.Sprintf("%s manages nothing any more (%d things)", name, n))
	})
}
