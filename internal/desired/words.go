package desired

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/pkg/adminapi"
)

// between returns the members in which two objects differ in their JSON, by name.
func between(was, is any) []adminapi.FieldChange {
	before, after := members(was), members(is)
	names := map[string]bool{}
	for name := range before {
		names[name] = true
	}
	for name := range after {
		names[name] = true
	}
	var changes []adminapi.FieldChange
	for name := range names {
		a, b := before[name], after[name]
		if bytes.Equal(a, b) {
			continue
		}
		old, wasList := texts(a)
		now, isList := texts(b)
		if (wasList || a == nil) && (isList || b == nil) && (wasList || isList) {
			added, removed := without(now, old), without(old, now)
			if len(added)+len(removed) > 0 {
				changes = append(changes, adminapi.FieldChange{Name: name, Added: added, Removed: removed})
				continue
			}
		}
		changes = append(changes, adminapi.FieldChange{Name: name, From: a, To: b})
	}
	slices.SortFunc(changes, func(a, b adminapi.FieldChange) int { return strings.Compare(a.Name, b.Name) })
	return changes
}

func members(v any) (m map[string]json.RawMessage) {
	text, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil { // both come from JSON or from the store
		panic(err)
	}
	for name, value := range m {
		m[name] = canonical(value)
	}
	return m
}

// canonical returns JSON in the one spelling in which values are compared and shown.
func canonical(value json.RawMessage) json.RawMessage {
	if len(value) == 0 {
		return nil
	}
	var v any
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if json.Unmarshal(value, &v) != nil || e.Encode(v) != nil {
		return value
	}
	return bytes.TrimSpace(b.Bytes())
}

func texts(value json.RawMessage) (list []string, ok bool) {
	ok = len(value) > 0 && value[0] == '[' && json.Unmarshal(value, &list) == nil
	return list, ok
}

func without(list, others []string) (left []string) {
	for _, s := range list {
		if !slices.Contains(others, s) {
			left = append(left, s)
		}
	}
	return left
}

// maxWord is how much of a value a line shows, in bytes.
const maxWord = 120

func word(value string) string {
	if len(value) > maxWord {
		value = strings.ToValidUTF8(value[:maxWord], "") + "…"
	}
	return value
}

// signs are what a line of a plan begins with.
var signs = map[string]string{
	adminapi.ActionAdd: "+", adminapi.ActionChange: "~", adminapi.ActionRemove: "-", adminapi.ActionAdopt: "=",
	adminapi.ActionLeave: "-", adminapi.ActionWait: "!",
}

// inWords returns a change on one line, such as "~ client grafana: redirect_uris + https://grafana.example/login".
func inWords(c adminapi.PlannedChange, why string) string {
	var parts []string
	for _, f := range c.Fields {
		switch {
		case len(f.Added)+len(f.Removed) > 0:
			part := f.Name
			for _, s := range f.Added {
				part += " + " + word(s)
			}
			for _, s := range f.Removed {
				part += " - " + word(s)
			}
			parts = append(parts, part)
		default:
			parts = append(parts, fmt.Sprintf("%s from %s to %s", f.Name, value(f.From), value(f.To)))
		}
	}
	if why != "" {
		parts = append(parts, why)
	}
	line := signs[c.Action] + " " + c.Kind + " " + word(c.Name)
	if len(parts) > 0 {
		line += ": " + strings.Join(parts, "; ")
	}
	return line
}

func value(v json.RawMessage) string {
	if len(v) == 0 || string(v) == "null" {
		return "nothing"
	}
	return word(string(v))
}

// Normal returns a client in a form in which two clients that work alike are alike: what is implied is left out, but
// for the policy and the algorithm of ID tokens, whose defaults in a file are others.
func Normal(c idp.Client) idp.Client {
	c.Policy, c.IDTokenAlg = cmp.Or(c.Policy, idp.PolicyStandard), cmp.Or(c.IDTokenAlg, idp.ES256)
	if c.SubjectType == idp.SubjectPublic {
		c.SubjectType = ""
	}
	if c.AccessFormat == idp.FormatJWT {
		c.AccessFormat = ""
	}
	if c.ResponseAlg == idp.ES256 {
		c.ResponseAlg = ""
	}
	if c.IntrospectionAlg == idp.RS256 {
		c.IntrospectionAlg = ""
	}
	for _, list := range []*[]string{&c.RedirectURIs, &c.GrantTypes, &c.Scopes} {
		if len(*list) == 0 {
			*list = []string{}
		}
	}
	return c
}
