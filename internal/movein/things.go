package movein

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/arrivals"
)

// claims defines the claims of the source. One that is defined here already stays as it is.
func (m *mover) claims(ctx context.Context) error {
	found, err := m.src.claims(ctx)
	if err != nil {
		return err
	}
	if m.defined, err = m.a.Claims(); err != nil {
		return err
	}
	for _, c := range found {
		mark := m.mark("claim", c.Name)
		before, err := m.before(mark)
		if err != nil {
			return err
		}
		if _, here := m.defined[c.Name]; here || before {
			m.report.here(kindClaims)
			continue
		}
		c.SeenBy, c.EditedBy = []directory.Party{directory.PartyAdmin}, []directory.Party{directory.PartyAdmin}
		c.CreatedAt, c.UpdatedAt = m.now, m.now
		if faults := c.Faults(m.Ops.Claims.Scopes()); len(faults) > 0 {
			m.report.cannot(kindClaims, c.Name, oneLine(faults))
			continue
		}
		if len(m.defined) >= directory.MaxClaims {
			m.report.cannot(kindClaims, c.Name, fmt.Sprintf("there can be %d claims here", directory.MaxClaims))
			continue
		}
		if err := m.a.DefineClaim(c, mark, m.event(idp.EventClaimDefined, "", "claim", c.Name)); err != nil {
			return err
		}
		m.defined[c.Name] = c
		m.report.come(kindClaims)
	}
	return nil
}

// value returns a value of a claim as it is stored, or why it cannot be.
func (m *mover) value(v value) (directory.Value, string) {
	c, defined := m.defined[v.claim]
	if !defined {
		return directory.Value{}, fmt.Sprintf("the claim %q does not come", v.claim)
	}
	raw := json.RawMessage(v.text)
	if c.Type == directory.ClaimString {
		var s string
		if json.Unmarshal(raw, &s) != nil {
			s = v.text
		}
		raw, _ = json.Marshal(s) // text always marshals
	}
	stored, fault := c.Normalize(raw)
	if fault != "" {
		return directory.Value{}, fmt.Sprintf("a value of %q %s", v.claim, fault)
	}
	return directory.Value{Claim: c.Name, JSON: stored}, ""
}

// groups adds the groups of the source. A group here that has the same name is that group.
func (m *mover) groups(ctx context.Context) error {
	found, err := m.src.groups(ctx)
	if err != nil {
		return err
	}
	for _, g := range found {
		if err := m.group(g); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) group(g group) error {
	mark := m.mark("group", g.key)
	before, err := m.before(mark)
	if err != nil {
		return err
	}
	g.Name = strings.Join(strings.Fields(norm.NFC.String(g.Name)), " ")
	there, found, err := m.a.Group(g.key, g.Name)
	switch {
	case err != nil:
		return err
	case found && m.owner[there.ID] != "" && m.owner[there.ID] != g.key: // its members must not join another group
		m.report.cannot(kindGroups, g.Name, "another group there has the same name, perhaps in another case")
		return nil
	case found:
		m.owner[there.ID] = g.key
		m.groupIDs[g.key], m.names[g.key] = there.ID, there.Name
		m.report.here(kindGroups)
		if !before {
			m.report.note(kindGroups, there.Name, "is here already: its members join those of here")
		}
		return nil
	case before: // removed here since
		m.report.here(kindGroups)
		return nil
	}
	g.ID, g.CreatedAt, g.UpdatedAt = g.key, m.now, m.now
	if !plainID(g.ID) {
		g.ID = idp.NewID()
	}
	if faults := g.Group.Faults(); len(faults) > 0 {
		m.report.cannot(kindGroups, g.Name, oneLine(faults))
		return nil
	}
	var values []directory.Value
	for _, v := range g.values {
		stored, fault := m.value(v)
		if fault != "" || slices.ContainsFunc(values, func(v directory.Value) bool { return v.Claim == stored.Claim }) {
			m.report.cannot(kindValues, g.Name, fault)
			continue
		}
		values = append(values, stored)
		m.report.come(kindValues)
	}
	nested, err := m.a.AddGroup(g.Group, m.groupIDs[g.parent], values, mark,
		m.event(idp.EventGroupCreated, "", "group", g.ID, "name", g.Name))
	if err != nil {
		return err
	}
	if g.parent != "" && !nested {
		m.report.note(kindGroups, g.Name,
			"is in no other group here: the chain would be too long, or that group does not come")
	}
	m.groupIDs[g.key], m.names[g.key], m.owner[g.ID] = g.ID, g.Name, g.key
	m.report.come(kindGroups)
	return nil
}

// clients adds the clients of the source.
func (m *mover) clients(ctx context.Context) error {
	found, err := m.src.clients(ctx)
	if err != nil {
		return err
	}
	for _, c := range found {
		if err := m.client(c); err != nil {
			return err
		}
	}
	return nil
}

func (m *mover) client(c app) error {
	mark := m.mark("client", c.ID)
	before, err := m.before(mark)
	if err != nil {
		return err
	}
	here, err := m.a.HasClient(c.ID)
	if err != nil {
		return err
	}
	same, err := m.a.Look(arrivals.Question{UserIDs: []string{c.ID}})
	switch {
	case err != nil:
		return err
	case before:
		m.report.here(kindClients)
		if here {
			m.known[c.ID] = c.Scopes
		}
		return nil
	case here:
		c.left = "a client with this ID is here already"
	case len(same.Users) > 0: // RFC 9068 §5: a client is the sub of its own tokens
		c.left = "a user here has the same ID, so their tokens could be confused"
	}
	c.RedirectURIs = m.usable(&c, "redirect_uris", c.RedirectURIs)
	c.PostLogoutRedirectURIs = m.usable(&c, "post_logout_redirect_uris", c.PostLogoutRedirectURIs)
	for _, k := range c.groups {
		if name := m.names[k]; name != "" && !slices.Contains(c.AllowedGroups, name) {
			c.AllowedGroups = append(c.AllowedGroups, name)
		}
	}
	if c.restricted && len(c.AllowedGroups) == 0 { // an empty list would admit everybody
		c.left = "it is for members of groups alone, and none of these groups comes"
	}
	name, _ := idp.NormalizeClientName(c.Name)
	if name == "" {
		name = c.ID
	}
	if c.Name = name; c.left == "" {
		c.CreatedAt, c.UpdatedAt = m.now, m.now
		c.left = strings.Join(c.Faults(m.Settings.Policy), "; ") // what admin.Clients.Add would refuse
	}
	if c.left != "" {
		m.report.cannot(kindClients, clientName(c), c.left)
		return nil
	}
	ev := m.event(idp.EventClientAdded, "")
	ev.ClientID = c.ID
	if err := m.a.AddClient(c.Client, mark, ev); err != nil {
		return err
	}
	m.known[c.ID] = c.Scopes
	m.report.come(kindClients)
	for _, note := range c.notes {
		m.report.note(kindClients, clientName(c), note)
	}
	return nil
}

func clientName(c app) string {
	if c.Name == c.ID || c.Name == "" {
		return c.ID
	}
	return c.Name + " " + c.ID
}

// usable returns the URIs that a client can have here, and notes the others.
func (m *mover) usable(c *app, field string, uris []string) (usable []string) {
	for _, uri := range uris {
		trial := idp.Client{Native: c.Native, RedirectURIs: []string{uri}}
		wrong := slices.IndexFunc(trial.Faults(m.Settings.Policy), func(s string) bool {
			return strings.HasPrefix(s, `redirect_uris "`)
		})
		switch {
		case slices.Contains(usable, uri):
		case wrong < 0:
			usable = append(usable, uri)
		default:
			_, why, _ := strings.Cut(trial.Faults(m.Settings.Policy)[wrong], " ")
			c.notes = append(c.notes, "without one of "+field+": "+why)
		}
	}
	return usable
}

// oneLine returns faults as one sentence.
func oneLine(f directory.Faults) string { return strings.ReplaceAll(f.Error(), "\n", "; ") }
