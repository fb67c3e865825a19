package rules

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
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

func (c claimSetCmd) Run(e *manage.Env) error {
	parties := func(names []string) (out []directory.Party) {
		for _, name := range names {
			out = append(out, directory.Party(name))
		}
		return out
	}
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		_, err := ops.Claims.Define(e.Context(), manage.Operator, directory.Claim{
			Name: c.Name, Type: directory.ClaimType(c.Type), Scope: c.Scope, Description: c.Description,
			SeenBy: parties(c.SeenBy), EditedBy: parties(c.EditedBy),
		})
		if err != nil {
			return manage.Told("define claim", err)
		}
		fmt.Println("defined")
		return nil
	})
}

type claimListCmd struct{ manage.Output }

func (c claimListCmd) Run(e *manage.Env) error {
	return manage.With(e.Reading, func(_ *config.Config, ops *admin.Operations) error {
		claims, err := ops.Claims.List(e.Context(), manage.Operator)
		if err != nil {
			return err
		}
		if c.JSON() {
			return manage.PrintJSON(claims)
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

func (c claimRemoveCmd) Run(e *manage.Env) error {
	if !c.Yes {
		return fmt.Errorf("this removes %s with all values for good; say it with --yes", c.Name)
	}
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		err := ops.Claims.Remove(e.Context(), manage.Operator, c.Name)
		if errors.Is(err, idp.ErrNotFound) {
			return fmt.Errorf("there is no claim %s; see: stepward claim list", c.Name)
		}
		if err != nil {
			return manage.Told("remove claim", err)
		}
		fmt.Println("removed")
		return nil
	})
}
