package manage

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
	g, err := ops.Groups.Find(ctx, operator, name)
	if errors.Is(err, idp.ErrNotFound) {
		return g, fmt.Errorf("there is no group %s; see: stepward group list", name)
	}
	return g, told("find group", err)
}

// nest puts a group into others, and takes it out of others.
func nest(ctx context.Context, ops *admin.Operations, g directory.Group, into, outOf []string) error {
	for _, name := range into {
		parent, err := findGroup(ctx, ops, name)
		if err == nil {
			err = told("nest group", ops.Groups.Nest(ctx, operator, g.ID, parent.ID))
		}
		if err != nil {
			return err
		}
	}
	for _, name := range outOf {
		parent, err := findGroup(ctx, ops, name)
		if err == nil {
			err = told("take group out", ops.Groups.Unnest(ctx, operator, g.ID, parent.ID))
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
	output
}

func (c groupAddCmd) Run(e *Env) error {
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		for _, name := range c.Within { // before anything is stored
			if _, err := findGroup(e.ctx, ops, name); err != nil {
				return err
			}
		}
		g, err := ops.Groups.Create(e.ctx, operator, admin.GroupInput{Name: c.Name, Description: c.Description})
		if err != nil {
			return told("create group", err)
		}
		if err := nest(e.ctx, ops, g, c.Within, nil); err != nil {
			return err
		}
		if c.json() {
			return printJSON(g)
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

func (c groupSetCmd) Run(e *Env) error {
	if c.Name == nil && c.Description == nil && len(c.Within)+len(c.NotWithin)+len(c.Claim) == 0 {
		return errors.New("nothing to change: give --name, --description, --within, --not-within or --claim")
	}
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.ctx, ops, c.Group)
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
		if _, err := ops.Groups.Change(e.ctx, operator, g.ID, in, time.Time{}); err != nil {
			return told("change group", err)
		}
		if err := nest(e.ctx, ops, g, c.Within, c.NotWithin); err != nil {
			return err
		}
		if len(c.Claim) > 0 {
			values, err := claimValues(e.ctx, ops, c.Claim)
			if err == nil {
				err = told("set claims", ops.Claims.SetGroup(e.ctx, operator, g.ID, values))
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
	output
}

func (c groupShowCmd) Run(e *Env) error {
	return operating(e.reading, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.ctx, ops, c.Group)
		if err != nil {
			return err
		}
		around, err := ops.Groups.Around(e.ctx, operator, g.ID)
		if err != nil {
			return err
		}
		values, err := ops.Claims.OfGroup(e.ctx, operator, g.ID)
		if err != nil {
			return err
		}
		members, err := ops.Groups.Members(e.ctx, operator, g.ID, "", c.Limit)
		if err != nil {
			return err
		}
		if c.json() {
			emails := []string{}
			for _, u := range members {
				emails = append(emails, u.Email)
			}
			return printJSON(map[string]any{
				"group": g, "within": namesOf(around.Parents), "groups": namesOf(around.Children), "claims": values,
				"members": emails,
			})
		}
		w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
		line := func(name, value string) { fmt.Fprintf(w, "%s\t%s\n", name, value) }
		line("group id", g.ID)
		line("name", g.Name)
		line("description", g.Description)
		line("within", strings.Join(namesOf(around.Parents), ", "))
		line("groups in it", strings.Join(namesOf(around.Children), ", "))
		for _, v := range values {
			line("claim", v.Claim+" = "+v.JSON)
		}
		for _, u := range members {
			line("member", u.Email)
		}
		return w.Flush()
	})
}

func namesOf(groups []directory.Group) []string {
	names := []string{}
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}

type groupListCmd struct {
	Limit int `default:"1000" help:"Maximum number of groups."`
	output
}

func (c groupListCmd) Run(e *Env) error {
	return operating(e.reading, func(_ *config.Config, ops *admin.Operations) error {
		groups, err := ops.Groups.List(e.ctx, operator, "", c.Limit)
		if err != nil {
			return err
		}
		switch {
		case c.json():
			return printJSON(groups)
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

func (c groupRemoveCmd) Run(e *Env) error {
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.ctx, ops, c.Group)
		if err != nil {
			return err
		}
		if err := ops.Groups.Remove(e.ctx, operator, g.ID); err != nil {
			return told("remove group", err)
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

func (c groupMemberCmd) Run(e *Env) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return errors.New("nothing to change: give --add or --remove; see the members with: stepward group show")
	}
	return operating(e.writing, func(_ *config.Config, ops *admin.Operations) error {
		g, err := findGroup(e.ctx, ops, c.Group)
		if err != nil {
			return err
		}
		ids := func(names []string) (ids []string, err error) {
			for _, name := range names {
				u, err := findMember(e.ctx, ops, name)
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
			err = ops.Groups.AddMembers(e.ctx, operator, g.ID, add...)
		}
		if err == nil && len(remove) > 0 {
			err = ops.Groups.RemoveMembers(e.ctx, operator, g.ID, remove...)
		}
		if err != nil {
			return told("change members", err)
		}
		fmt.Println("changed; applications see it with the next tokens")
		return nil
	})
}

// findMember finds a user by e-mail address or ID.
func findMember(ctx context.Context, ops *admin.Operations, name string) (idp.User, error) {
	u, err := ops.Users.Find(ctx, operator, name)
	if errors.Is(err, idp.ErrNotFound) {
		return u, fmt.Errorf("there is no user %s; see: stepward user list", name)
	}
	return u, told("find user", err)
}
