// Package groups has the operator's commands for groups.
package groups

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type Group struct {
	Add    groupAddCmd    `cmd:"" help:"Create a group."`
	Set    groupSetCmd    `cmd:"" help:"Change a group: its name, its description, the groups that it is in."`
	Show   groupShowCmd   `cmd:"" help:"Show a group: the groups around it, its claims, its members."`
	List   groupListCmd   `cmd:"" help:"List the groups."`
	Remove groupRemoveCmd `cmd:"" help:"Remove a group. Its members stay users."`
	Member groupMemberCmd `cmd:"" help:"Add members to a group, or remove them: stepward group member dev --add ada@example.com."`
}

// nest puts a group into others, and takes it out of others.
func nest(api *manage.API, g adminapi.Group, into, outOf []string) error {
	for _, name := range into {
		parent, err := manage.FindGroup(api, name)
		if err == nil {
			err = api.Groups.Nest(api.Context, g.ID, parent.ID)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range outOf {
		parent, err := manage.FindGroup(api, name)
		if err == nil {
			err = api.Groups.Unnest(api.Context, g.ID, parent.ID)
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
	manage.Flags
}

func (c groupAddCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "create group", func(api *manage.API) error {
		for _, name := range c.Within { // before anything is stored
			if _, err := manage.FindGroup(api, name); err != nil {
				return err
			}
		}
		g, err := api.Groups.Create(api.Context, adminapi.NewGroup{Name: c.Name, Description: c.Description})
		if err == nil {
			err = nest(api, g, c.Within, nil)
		}
		if err != nil {
			return err
		}
		return c.Say(g, g.ID)
	})
}

type groupSetCmd struct {
	Group       string   `arg:"" help:"Name or ID."`
	Name        *string  `help:"Name. It cannot change while clients refer to it."`
	Description *string  `help:"What the group is for."`
	Within      []string `sep:"none" placeholder:"GROUP" help:"Put it into this group."`
	NotWithin   []string `sep:"none" placeholder:"GROUP" help:"Take it out of this group."`
	Claim       []string `sep:"none" placeholder:"NAME=VALUE" help:"Value of a claim, which the members inherit; NAME= removes it. A list is separated by commas."`
	manage.Flags
}

func (c groupSetCmd) Run(e *manage.Env) error {
	if c.Name == nil && c.Description == nil && len(c.Within)+len(c.NotWithin)+len(c.Claim) == 0 {
		return errors.New("nothing to change: give --name, --description, --within, --not-within or --claim")
	}
	return c.Flags.Run(e, manage.Writes, "change group", func(api *manage.API) error {
		g, err := manage.FindGroup(api, c.Group)
		if err != nil {
			return err
		}
		if c.Name != nil || c.Description != nil {
			change := adminapi.GroupChange{Name: c.Name, Description: c.Description}
			if g, _, err = api.Groups.Change(api.Context, g.ID, adminapi.Any, change); err != nil {
				return err
			}
		}
		if err := nest(api, g, c.Within, c.NotWithin); err != nil {
			return err
		}
		if len(c.Claim) > 0 {
			values, err := manage.ClaimValues(api, c.Claim)
			if err == nil {
				err = api.Groups.SetClaims(api.Context, g.ID, values)
			}
			if err != nil {
				return err
			}
		}
		return c.Say(g, "changed")
	})
}

type groupShowCmd struct {
	Group string `arg:"" help:"Name or ID."`
	Limit int    `default:"100" help:"Maximum number of members."`
	manage.Flags
}

// shown is a group with what is around it, as JSON.
type shown struct {
	adminapi.Group
	adminapi.Nesting
	Claims  adminapi.ClaimValues `json:"claims"`
	Members []adminapi.User      `json:"members"` // as many as --limit allows
}

func (c groupShowCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "load group", func(api *manage.API) (err error) {
		var out shown
		if out.Group, err = manage.FindGroup(api, c.Group); err != nil {
			return err
		}
		if out.Nesting, err = api.Groups.Nesting(api.Context, out.ID); err != nil {
			return err
		}
		if out.Claims, err = api.Groups.Claims(api.Context, out.ID); err != nil {
			return err
		}
		if out.Members, err = manage.Collect(api.Groups.Members(api.Context, out.ID), max(c.Limit, 1)); err != nil {
			return err
		}
		return c.Print(out, out.text)
	})
}

func (s shown) text(t manage.Text) {
	t.Pair("group id", s.ID)
	t.Pair("name", s.Name)
	t.Pair("description", s.Description)
	t.Pair("within", namesOf(s.Parents))
	t.Pair("groups in it", namesOf(s.Children))
	for _, name := range slices.Sorted(maps.Keys(s.Claims)) {
		t.Pair("claim", name+" = "+string(s.Claims[name]))
	}
	for _, u := range s.Members {
		t.Pair("member", u.Email)
	}
}

func namesOf(groups []adminapi.Group) string {
	names := []string{}
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return strings.Join(names, ", ")
}

type groupListCmd struct {
	Limit int `default:"1000" help:"Maximum number of groups."`
	manage.Flags
}

func (c groupListCmd) Run(e *manage.Env) error {
	if c.Limit < 1 {
		return fmt.Errorf("--limit %d must be 1 or more", c.Limit)
	}
	return c.Flags.Run(e, manage.Reads, "list groups", func(api *manage.API) error {
		groups, err := manage.Collect(api.Groups.All(api.Context), c.Limit)
		if err != nil {
			return err
		}
		return c.Print(groups, func(t manage.Text) {
			if len(groups) == 0 {
				t.Line("no groups yet; create one with: stepward group add engineering")
				return
			}
			t.Line("NAME\tGROUP ID\tDESCRIPTION")
			for _, g := range groups {
				t.Line("%s\t%s\t%s", g.Name, g.ID, g.Description)
			}
		})
	})
}

type groupRemoveCmd struct {
	Group string `arg:"" help:"Name or ID."`
	manage.Flags
}

func (c groupRemoveCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "remove group", func(api *manage.API) error {
		g, err := manage.FindGroup(api, c.Group)
		if err == nil {
			err = api.Groups.Remove(api.Context, g.ID)
		}
		if err != nil {
			return err
		}
		return c.Say(map[string]any{"id": g.ID, "removed": true}, "removed")
	})
}

type groupMemberCmd struct {
	Group  string   `arg:"" help:"Name or ID."`
	Add    []string `sep:"none" placeholder:"USER" help:"E-mail address or ID of a user to add. Repeat for several."`
	Remove []string `sep:"none" placeholder:"USER" help:"E-mail address or ID of a user to remove."`
	manage.Flags
}

func (c groupMemberCmd) Run(e *manage.Env) error {
	if len(c.Add)+len(c.Remove) == 0 {
		return errors.New("nothing to change: give --add or --remove; see the members with: stepward group show")
	}
	return c.Flags.Run(e, manage.Writes, "change members", func(api *manage.API) error {
		g, err := manage.FindGroup(api, c.Group)
		if err != nil {
			return err
		}
		add, err := idsOf(api, c.Add)
		if err != nil {
			return err
		}
		remove, err := idsOf(api, c.Remove)
		if err != nil {
			return err
		}
		if len(add) > 0 {
			err = api.Groups.AddMembers(api.Context, g.ID, add...)
		}
		for _, id := range remove {
			if err == nil {
				err = api.Groups.RemoveMember(api.Context, g.ID, id)
			}
		}
		if err != nil {
			return err
		}
		return c.Say(g, "changed; applications see it with the next tokens")
	})
}

// idsOf returns the IDs of users.
func idsOf(api *manage.API, names []string) (ids []string, err error) {
	for _, name := range names {
		u, err := manage.FindUser(api, name)
		if err != nil {
			return nil, err
		}
		ids = append(ids, u.ID)
	}
	return ids, nil
}
