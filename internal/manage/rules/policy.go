// Package rules has the operator's commands for the policy and for claims, and those that look for what they lead to.
package rules

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type Policy struct {
	Show    policyShowCmd    `cmd:"" help:"Print the policy as YAML: each section and where it comes from. The output is a file for: stepward policy set."`
	Set     policySetCmd     `cmd:"" help:"Replace sections of the policy with those of a file. It counts on every replica within 5 seconds, without a restart."`
	Check   policyCheckCmd   `cmd:"" help:"Say what policy set would change, or everything that is wrong with the file. Changes nothing."`
	History policyHistoryCmd `cmd:"" help:"List the versions of the policy: when, by whom, what changed."`
}

type policyShowCmd struct {
	manage.Flags
	Version int64 `help:"The stored sections of this version, to go back to; see: stepward policy history." placeholder:"N"`
}

func (c policyShowCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Sees, "read policy", func(api *manage.API) error {
		state, _, err := api.Policy.Get(api.Context)
		if err != nil {
			return err
		}
		if c.Version != 0 {
			return c.former(api, state)
		}
		var sections []string
		for _, s := range state.Sections {
			text, err := config.Section{Key: s.Key, Value: s.Value, Source: s.Source, Locked: s.Locked}.YAML()
			if err != nil {
				return err
			}
			sections = append(sections, text)
		}
		return c.Print(state, func(t manage.Text) {
			if state.Version == 0 {
				t.Line("# no policy is stored: the settings and their defaults count")
			} else if state.ChangedAt != nil {
				t.Line("# version %d, changed %s by %s", state.Version, state.ChangedAt.UTC().Format(time.RFC3339),
					by(state.ActorID))
			}
			t.Line("%s", strings.Join(sections, "\n"))
		})
	})
}

// former prints what a version stored, as a file for: stepward policy set.
func (c policyShowCmd) former(api *manage.API, now adminapi.Policy) error {
	v, err := api.Policy.Version(api.Context, c.Version)
	if manage.Refused(err, "not_found") {
		return fmt.Errorf("version %d is not kept; see: stepward policy history", c.Version)
	}
	if err != nil {
		return err
	}
	doc := adminapi.Sections{}
	for _, s := range now.Sections { // null gives the default back, so that the output restores the whole version
		switch {
		case s.Locked: // it cannot be set, and does not count
		case v.Stored[s.Key] == nil:
			doc[s.Key] = []byte("null")
		default:
			doc[s.Key] = v.Stored[s.Key]
		}
	}
	return manage.PrintJSON(doc)
}

type policyFileArg struct {
	File string `arg:"" help:"YAML or JSON with sections of the policy, in the form of the settings file; - reads standard input. A section that is null gets its default back, sections that are not named stay."`
}

func (c policyFileArg) read() (config.Document, error) {
	name, in := c.File, io.Reader(os.Stdin)
	if name == "-" {
		name = "standard input"
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, errors.New(config.FileReason(err))
		}
		defer file.Close()
		in = file
	}
	text, err := io.ReadAll(io.LimitReader(in, config.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	return config.ReadDocument(name, text)
}

type policySetCmd struct {
	policyFileArg
	Expect int64 `default:"-1" placeholder:"N" help:"Change nothing unless this is still the version of the policy. Default: whatever it is."`
	manage.Flags
}

func (c policySetCmd) Run(e *manage.Env) error {
	doc, err := c.read()
	if err != nil {
		return err
	}
	return c.Flags.Run(e, manage.Mends, "the policy cannot be changed so", func(api *manage.API) error {
		last, err := manage.Collect(api.Policy.History(api.Context), 1) // what counts may be broken
		if err != nil {
			return err
		}
		was := c.Expect
		if was < 0 {
			was = 0
			for _, v := range last {
				was = v.Version
			}
		}
		now, _, err := api.Policy.Change(api.Context, adminapi.PolicyTag(was), adminapi.Sections(doc))
		if manage.Refused(err, "stale") {
			return fmt.Errorf("the policy is no longer version %d; see: stepward policy show", was)
		}
		if err != nil {
			return err
		}
		return c.Print(now, func(t manage.Text) {
			if now.Version == was {
				t.Line("nothing to change")
				return
			}
			t.Line("%s", strings.Join(now.Changes, "\n"))
			t.Line("version %d; it counts on every replica within 5 seconds", now.Version)
		})
	})
}

type policyCheckCmd struct {
	policyFileArg
	manage.Flags
}

func (c policyCheckCmd) Run(e *manage.Env) error {
	doc, err := c.read()
	if err != nil {
		return err
	}
	return c.Flags.Run(e, manage.Sees, "the policy cannot be changed so", func(api *manage.API) error {
		changes, err := api.Policy.Check(api.Context, adminapi.Sections(doc))
		if err != nil {
			return err
		}
		return c.Print(map[string]any{"changes": append([]string{}, changes...)}, func(t manage.Text) {
			if len(changes) == 0 {
				t.Line("nothing would change")
			}
			for _, line := range changes {
				t.Line("%s", line)
			}
		})
	})
}

type policyHistoryCmd struct {
	manage.Flags
	Limit int `default:"20" help:"How many versions, from the newest."`
}

func (c policyHistoryCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Sees, "read policy", func(api *manage.API) error {
		versions, err := manage.Collect(api.Policy.History(api.Context), max(1, min(c.Limit, 1000)))
		if err != nil {
			return err
		}
		return c.Print(versions, func(t manage.Text) {
			t.Line("VERSION\tCHANGED\tBY\tWHAT")
			for _, v := range versions {
				t.Line("%d\t%s\t%s\t%s", v.Version, v.ChangedAt.Format(time.RFC3339), by(v.ActorID), strings.Join(v.Changes, "; "))
			}
		})
	})
}

func by(actor string) string {
	if actor == "" {
		return "the operator"
	}
	return actor
}
