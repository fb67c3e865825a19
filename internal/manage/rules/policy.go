// Package rules has the operator's commands for the policy and for claims, and those that look for what they lead to.
package rules

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
)

type Policy struct {
	Show    policyShowCmd    `cmd:"" help:"Print the policy as YAML: each section and where it comes from. The output is a file for: stepward policy set."`
	Set     policySetCmd     `cmd:"" help:"Replace sections of the policy with those of a file. It counts on every replica within 5 seconds, without a restart."`
	Check   policyCheckCmd   `cmd:"" help:"Say what policy set would change, or everything that is wrong with the file. Changes nothing."`
	History policyHistoryCmd `cmd:"" help:"List the versions of the policy: when, by whom, what changed."`
}

type policyShowCmd struct {
	manage.Output
	Version int64 `help:"The stored sections of this version, to go back to; see: stepward policy history." placeholder:"N"`
}

func (c policyShowCmd) Run(e *manage.Env) error {
	return e.AsGiven(false, func(cfg *config.Config, ops *admin.Operations) error {
		if c.Version != 0 {
			return c.showFormer(e, cfg, ops)
		}
		state, err := ops.Policy.Get(e.Context(), manage.Operator)
		if err != nil {
			return manage.Told("read policy", err)
		}
		if c.JSON() {
			return manage.PrintJSON(state)
		}
		switch {
		case state.Version == 0:
			fmt.Println("# no policy is stored: the settings and their defaults count")
		default:
			fmt.Printf("# version %d, changed %s by %s\n", state.Version, state.ChangedAt.UTC().Format(time.RFC3339),
				by(state.ActorID))
		}
		for _, s := range state.Sections {
			text, err := s.YAML()
			if err != nil {
				return err
			}
			fmt.Println(text)
		}
		return nil
	})
}

func (c policyShowCmd) showFormer(e *manage.Env, cfg *config.Config, ops *admin.Operations) error {
	v, err := ops.Policy.Version(e.Context(), manage.Operator, c.Version)
	if errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("version %d is not kept; see: stepward policy history", c.Version)
	}
	if err != nil {
		return manage.Told("read policy", err)
	}
	doc, err := v.Sections()
	if err != nil {
		return err
	}
	for _, key := range config.PolicyKeys() { // null gives the default back, so that the output restores the whole version
		switch {
		case cfg.Locked(key) != "": // it cannot be set, and does not count
			delete(doc, key)
		case doc[key] == nil:
			doc[key] = []byte("null")
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
}

func (c policySetCmd) Run(e *manage.Env) error {
	doc, err := c.read()
	if err != nil {
		return err
	}
	return e.AsGiven(true, func(_ *config.Config, ops *admin.Operations) error {
		expected := c.Expect
		if expected < 0 {
			state, err := ops.Policy.History(e.Context(), manage.Operator, 0, 1)
			if err != nil {
				return manage.Told("read policy", err)
			}
			expected = 0
			if len(state) > 0 {
				expected = state[0].Number
			}
		}
		state, err := ops.Policy.Change(e.Context(), manage.Operator, expected, doc)
		switch {
		case errors.Is(err, admin.ErrStale):
			return fmt.Errorf("the policy is no longer version %d; see: stepward policy show", expected)
		case err != nil:
			return manage.Told("the policy cannot be changed so", err)
		case state.Version == expected:
			fmt.Println("nothing to change")
		default:
			fmt.Println(strings.Join(state.Changes, "\n"))
			fmt.Printf("version %d; it counts on every replica within 5 seconds\n", state.Version)
		}
		return nil
	})
}

type policyCheckCmd struct{ policyFileArg }

func (c policyCheckCmd) Run(e *manage.Env) error {
	doc, err := c.read()
	if err != nil {
		return err
	}
	return e.AsGiven(false, func(_ *config.Config, ops *admin.Operations) error {
		changes, err := ops.Policy.Check(e.Context(), manage.Operator, doc)
		if err != nil {
			return manage.Told("the policy cannot be changed so", err)
		}
		if len(changes) == 0 {
			fmt.Println("nothing would change")
		}
		for _, line := range changes {
			fmt.Println(line)
		}
		return nil
	})
}

type policyHistoryCmd struct {
	manage.Output
	Limit int `default:"20" help:"How many versions, from the newest."`
}

func (c policyHistoryCmd) Run(e *manage.Env) error {
	return e.AsGiven(false, func(_ *config.Config, ops *admin.Operations) error {
		versions, err := ops.Policy.History(e.Context(), manage.Operator, 0, max(1, min(c.Limit, 1000)))
		if err != nil {
			return manage.Told("read policy", err)
		}
		if c.JSON() {
			type version struct {
				Version   int64     `json:"version"`
				ChangedAt time.Time `json:"changed_at"`
				ActorID   string    `json:"actor,omitempty"`
				Changes   []string  `json:"changes"`
			}
			list := []version{}
			for _, v := range versions {
				list = append(list, version{v.Number, v.ChangedAt.UTC(), v.ActorID, strings.Split(v.Changes, "\n")})
			}
			return manage.PrintJSON(list)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "VERSION\tCHANGED\tBY\tWHAT")
		for _, v := range versions {
			fmt.Fprintf(w, "%d\t%s\t%s\t%s\n", v.Number, v.ChangedAt.UTC().Format(time.RFC3339), by(v.ActorID),
				strings.ReplaceAll(v.Changes, "\n", "; "))
		}
		return w.Flush()
	})
}

func by(actor string) string {
	if actor == "" {
		return "the operator"
	}
	return actor
}
