// Package groups has the operator's commands for groups.
package groups

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
)

type Group struct {
	Add    groupAddCmd    `cmd:"" help:"Create a group."`
	Set    groupSetCmd    `cmd:"" help:"Change a group: its name, its description, the groups that it is in."`
	Show   groupShowCmd   `cmd:"" help:"Show a group: the groups around it, its claims, its members."`
	List   groupListCmd   `cmd:"" help:"List the groups."`
	Remove groupRemoveCmd `cmd:"" help:"Remove a group. Its members stay users."`
	Member groupMemberCmd `cmd:"" help:"Add members to a group, or remove them: stepward group member dev --add ada@example.com."`
}

func findGroup(ctx context.Context, ops *admin.Operations, name string) (directory.Group, error) {
	g, err := ops.Groups.Find(ctx, manage.Operator, name)
	if errors.Is(err, idp.ErrNotFound) {
		return g, fmt.Errorf("there is no group %s; see: stepward group list", name)
	}
	return g, manage.Told("find group", err)
}

// nest puts a group into others, and takes it out of others.
func nest(ctx context.Context, ops *admin.Operations, g directory.Group, into, outOf []string) error {
	for _, name := range into {
		parent, err := findGroup(ctx, ops, name)
		if err == nil {
			err = manage.Told("nest group", ops.Groups.Nest(ctx, manage.Operator, g.ID, parent.ID))
		}
		if err != nil {
			return err
		}
	}
	for _, name := range outOf {
		parent, err := findGroup(ctx, ops, name)
		if err == nil {
			err = manage.Told("take group out", ops.Groups.Unnest(ctx, manage.Operator, g.ID, parent.ID))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

type groupAddCmd struct {
	Name        string   `arg:"" help:"Name, as applications see it: \"engineering\"."`
	Description string   `help:"What the group is for."`
	Within      []string `sep:"none" placeholder:"GROUP" help:"Group that this one is in: its members are members of that as well. Repeat for several."`
	manage.Output
}

func (c groupAddCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		for _, name := range c.Within { // before anything is stored
			if _, err := findGroup(e.Context(), ops, name); err != nil {
				return err
			}
		}
		g, err := ops.Groups.Create(e.Context(), manage.Operator, admin.GroupInput{Name: c.Name, Description: c.Description})
		if err != nil {
			return manage.Told("create group", err)
		}
		if err := nest(e.Context(), ops, g, c.Within, nil); err != nil {
			return err
		}
		if c.JSON() {
			return manage.PrintJSON(g)
		}
		fmt.Println(g.ID)
		return nil
	})
}

type groupSetCmd struct {
	Group       string   `arg:"" help:"Name or ID."`
	Name        *string  `help:"Name. It cannot change while clients refer to it."`
	Description *string  `help:"What the group is for."`
	Within      []string `sep:"none" placeholder:"GROUP" help:"Put it into this group."`
	NotWithin   []string `sep:"none" placeholder:"GROUP" help:"Take it out of this group."`
	Claim       []string `sep:"none" placeholder:"NAME=VALUE" help:"Value of a claim, which the members inherit; NAME= removes it. A list is separated by commas."`
}

func (c groupSetCmd) Run(e *manage.Env) error {
	if c.Name == nil && c.Description == nil && len(c.Within)+len(c.NotWithin)+len(c.Claim) == 0 {
		return errors.New("nothing to change: give --name, --description, --within, --not-within or --claim")
	}
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.Context(), ops, c.Group)
		if err != nil {
			return err
		}
		in := admin.GroupInput{Name: g.Name, Description: g.Description}
		if c.Name != nil {
			in.Name = *c.Name
		}
		if c.Description != nil {
			in.Description = *c.Description
		}
		if _, err := ops.Groups.Change(e.Context(), manage.Operator, g.ID, in, time.Time{}); err != nil {
			return manage.Told("change group", err)
		}
		if err := nest(e.Context(), ops, g, c.Within, c.NotWithin); err != nil {
			return err
		}
		if len(c.Claim) > 0 {
			values, err := manage.ClaimValues(e.Context(), ops, c.Claim)
			if err == nil {
				err = manage.Told("set claims", ops.Claims.SetGroup(e.Context(), manage.Operator, g.ID, values))
			}
			if err != nil {
				return err
			}
		}
		fmt.Println("changed")
		return nil
	})
}

type groupShowCmd struct {
	Group string `arg:"" help:"Name or ID."`
	Limit int    `default:"100" help:"Maximum number of members."`
	manage.Output
}

func (c groupShowCmd) Run(e *manage.Env) error {
	return manage.With(e.Reading, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.Context(), ops, c.Group)
		if err != nil {
			return err
		}
		around, err := ops.Groups.Around(e.Context(), manage.Operator, g.ID)
		if err != nil {
			return err
		}
		values, err := ops.Claims.OfGroup(e.Context(), manage.Operator, g.ID)
		if err != nil {
			return err
		}
		members, err := ops.Groups.Members(e.Context(), manage.Operator, g.ID, "", c.Limit)
		if err != nil {
			return err
		}
		if c.JSON() {
			emails := []string{}
			for _, u := range members {
				emails = append(emails, u.Email)
			}
			return manage.PrintJSON(map[string]any{
				"group": g, "within": manage.NamesOf(around.Parents), "groups": manage.NamesOf(around.Children), "claims": values,
				"members": emails,
			})
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
		line("group id", g.ID)
		line("name", g.Name)
		line("description", g.Description)
		line("within", strings.Join(manage.NamesOf(around.Parents), ", "))
		line("groups in it", strings.Join(manage.NamesOf(around.Children), ", "))
		for _, v := range values {
			line("claim", v.Claim+" = "+v.JSON)
		}
		for _, u := range members {
			line("member", u.Email)
		}
		return w.Flush()
	})
}

type groupListCmd struct {
	Limit int `default:"1000" help:"Maximum number of groups."`
	manage.Output
}

func (c groupListCmd) Run(e *manage.Env) error {
	return manage.With(e.Reading, func(_ *config.Config, ops *admin.Operations) error {
		groups, err := ops.Groups.List(e.Context(), manage.Operator, "", c.Limit)
		if err != nil {
			return err
		}
		switch {
		case c.JSON():
			return manage.PrintJSON(groups)
		case len(groups) == 0:
			fmt.Println("no groups yet; create one with: stepward group add engineering")
			return nil
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		fmt.Fprintln(w, "NAME\tGROUP ID\tDESCRIPTION")
		for _, g := range groups {
			fmt.Fprintf(w, "%s\t%s\t%s\n", g.Name, g.ID, g.Description)
		}
		return w.Flush()
	})
}

type groupRemoveCmd struct {
	Group string `arg:"" help:"Name or ID."`
}

func (c groupRemoveCmd) Run(e *manage.Env) error {
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.Context(), ops, c.Group)
		if err != nil {
			return err
		}
		if err := ops.Groups.Remove(e.Context(), manage.Operator, g.ID); err != nil {
			return manage.Told("remove group", err)
		}
		fmt.Println("removed")
		return nil
	})
}

type groupMemberCmd struct {
	Group  string   `arg:"" help:"Name or ID."`
	Add    []string `sep:"none" placeholder:"USER" help:"E-mail address or ID of a user to add. Repeat for several."`
	Remove []string `sep:"none" placeholder:"USER" help:"E-mail address or ID of a user to remove."`
}

func (c groupMemberCmd) Run(e *manage.Env) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return errors.New("nothing to change: give --add or --remove; see the members with: stepward group show")
	}
	return manage.With(e.Writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.Context(), ops, c.Group)
		if err != nil {
			return err
		}
		ids := func(names []string) (ids []string, err error) {
			for _, name := range names {
				u, err := manage.FindMember(e.Context(), ops, name)
				if err != nil {
					return nil, err
				}
				ids = append(ids, u.ID)
			}
			return ids, nil
		}
		add, err := ids(c.Add)
		if err != nil {
			return err
		}
		remove, err := ids(c.Remove)
		if err != nil {
			return err
		}
		if len(add) > 0 {
			err = ops.Groups.AddMembers(e.Context(), manage.Operator, g.ID, add...)
		}
		if err == nil && len(remove) > 0 {
			err = ops.Groups.RemoveMembers(e.Context(), manage.Operator, g.ID, remove...)
		}
		if err != nil {
			return manage.Told("change members", err)
		}
		fmt.Println("changed; applications see it with the next tokens")
		return nil
	})
}
