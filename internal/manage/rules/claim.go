package rules

import (
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
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
	manage.Flags
}

func (c claimSetCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "define claim", func(api *manage.API) error {
		claim, err := api.Claims.Define(api.Context, adminapi.Claim{
			Name: c.Name, Type: c.Type, Scope: c.Scope, Description: c.Description, SeenBy: c.SeenBy, EditedBy: c.EditedBy,
		})
		if err != nil {
			return err
		}
		return c.Say(claim, "defined")
	})
}

type claimListCmd struct{ manage.Flags }

func (c claimListCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "list claims", func(api *manage.API) error {
		claims, err := manage.Collect(api.Claims.All(api.Context), 0)
		if err != nil {
			return err
		}
		return c.Print(claims, func(t manage.Text) {
			t.Line("NAME\tTYPE\tSCOPE\tEDITED BY\tDESCRIPTION")
			for _, d := range claims {
				t.Line("%s\t%s\t%s\t%s\t%s", d.Name, d.Type, d.Scope, strings.Join(d.EditedBy, ","), d.Description)
			}
		})
	})
}

type claimRemoveCmd struct {
	Name string `arg:"" help:"Name."`
	Yes  bool   `help:"Do not ask."`
	manage.Flags
}

func (c claimRemoveCmd) Run(e *manage.Env) error {
	if !c.Yes {
		return fmt.Errorf("this removes %s with all values for good; say it with --yes", c.Name)
	}
	return c.Flags.Run(e, manage.Writes, "remove claim", func(api *manage.API) error {
		err := api.Claims.Remove(api.Context, c.Name)
		if manage.Refused(err, "not_found") {
			return fmt.Errorf("there is no claim %s; see: stepward claim list", c.Name)
		}
		if err != nil {
			return err
		}
		return c.Say(map[string]any{"name": c.Name, "removed": true}, "removed")
	})
}
