package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

type Claim struct {
	Set    claimSetCmd    `cmd:"" help:"Define a claim of your own, or change its definition. Users and groups get values with: stepward user set --claim, stepward group set --claim."`
	List   claimListCmd   `cmd:"" help:"List the claims that you defined."`
	Remove claimRemoveCmd `cmd:"" help:"Remove a claim with all its values."`
}

type claimSetCmd struct {
	Name        string   `arg:"" help:"Name, as applications see it: \"department\"."`
	Type        string   `enum:"string,number,boolean,list" default:"string" help:"${enum}."`
	Scope       string   `default:"profile" help:"Scope that releases it: profile, email, address, phone, groups, or one of scopes."`
	Description string   `help:"What it is for."`
	SeenBy      []string `name:"seen-by" sep:"," placeholder:"PARTY,…" enum:"user,admin,scim" default:"user,admin,scim" help:"Who sees the values here: user, admin, scim. Applications see them with the scope."`
	EditedBy    []string `name:"edited-by" sep:"," placeholder:"PARTY,…" enum:"user,admin,scim" default:"admin,scim" help:"Who edits the values."`
}

func (c claimSetCmd) Run(e *Env) error {
	parties := func(names []string) (out []directory.Party) {
		for _, name := range names {
			out = append(out, directory.Party(name))
		}
		return out
	}
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		_, err := ops.Claims.Define(e.ctx, operator, directory.Claim{
			Name: c.Name, Type: directory.ClaimType(c.Type), Scope: c.Scope, Description: c.Description,
			SeenBy: parties(c.SeenBy), EditedBy: parties(c.EditedBy),
		})
		if err != nil {
			return told("define claim", err)
		}
		fmt.Println("defined")
		return nil
	})
}

type claimListCmd struct{ output }

func (c claimListCmd) Run(e *Env) error {
	return operating(e.reading, func(_ *config.Config, ops *admin.Operations) error {
		claims, err := ops.Claims.List(e.ctx, operator)
		if err != nil {
			return err
		}
		if c.json() {
			return printJSON(claims)
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tTYPE\tSCOPE\tEDITED BY\tDESCRIPTION")
		for _, d := range claims {
			by := []string{}
			for _, p := range d.EditedBy {
				by = append(by, string(p))
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Name, d.Type, d.Scope, strings.Join(by, ","), d.Description)
		}
		return w.Flush()
	})
}

type claimRemoveCmd struct {
	Name string `arg:"" help:"Name."`
	Yes  bool   `help:"Do not ask."`
}

func (c claimRemoveCmd) Run(e *Env) error {
	if !c.Yes {
		return fmt.Errorf("this removes %s with all values for good; say it with --yes", c.Name)
	}
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		err := ops.Claims.Remove(e.ctx, operator, c.Name)
		if errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("there is no claim %s; see: stepward claim list", c.Name)
		}
		if err != nil {
			return told("remove claim", err)
		}
		fmt.Println("removed")
		return nil
	})
}

// claimValues reads NAME=VALUE; an empty value removes.
func claimValues(ctx context.Context, ops *admin.Operations, given []string) (map[string]json.RawMessage, error) {
	claims, err := ops.Claims.List(ctx, operator)
	if err != nil {
		return nil, err
	}
	values := map[string]json.RawMessage{}
	for _, text := range given {
		name, typed, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--claim %q: write NAME=VALUE, or NAME= to remove the value", text)
		}
		values[name] = nil
		for _, c := range claims {
			if c.Name == name && typed != "" {
				values[name] = c.ParseValue(typed)
			}
		}
	}
	return values, nil
}
