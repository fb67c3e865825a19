package directory

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

const (
	// MaxTokenGroups and MaxTokenGroupBytes limit the groups in one token. Applications keep tokens in cookies and send
	// them in headers, which break at 8 to 16 KiB.
	MaxTokenGroups     = 200
	MaxTokenGroupBytes = 8 << 10

	maxClientGroups = 200
	maxMappings     = 50
	maxPrefix       = 50
	maxDefault      = 1000 // bytes
)

// A GroupsClaim says how a client sees the groups of its users. The zero value is the claim "groups", a list of names.
type GroupsClaim struct {
	Name    string   `json:"name,omitempty"`   // of the claim; empty: groups
	Prefix  string   `json:"prefix,omitempty"` // put before each name
	Only    []string `json:"only,omitempty"`   // names of the groups that the client sees; empty: all
	Objects bool     `json:"objects,omitempty"`
}

// A groupObject is a group in a claim of objects.
type groupObject struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Claim returns the name of the claim.
func (g GroupsClaim) Claim() string {
	if g.Name == "" {
		return "groups"
	}
	return g.Name
}

// Value returns the value of the claim, a list, which may be empty.
func (g GroupsClaim) Value(groups []Group) any {
	names, objects := []string{}, []groupObject{}
	for _, group := range groups {
		if len(g.Only) > 0 && !slices.Contains(g.Only, group.Name) {
			continue
		}
		names = append(names, g.Prefix+group.Name)
		objects = append(objects, groupObject{group.ID, g.Prefix + group.Name})
	}
	if g.Objects {
		return objects
	}
	return names
}

// Add puts the claim for a token into claims. Above the limits a part of the groups would be worse than none, because
// an application could not know that one is missing: then the claim is left out, and groups_overage says how many
// groups there are. It returns that number; 0 if the claim is there.
func (g GroupsClaim) Add(claims map[string]any, groups []Group) (overage int) {
	value := g.Value(groups)
	n := 0
	switch v := value.(type) {
	case []string:
		n = len(v)
	case []groupObject:
		n = len(v)
	}
	text, err := json.Marshal(value)
	if err != nil || n > MaxTokenGroups || len(text) > MaxTokenGroupBytes {
		claims["groups_overage"] = n
		return n
	}
	claims[g.Claim()] = json.RawMessage(text)
	return 0
}

// A Mapping gives a client a claim under another name, or with a default.
type Mapping struct {
	// Source is a claim that an admin defined, or a standard one (OIDC Core §5.1).
	Source string `json:"source"`
	Claim  string `json:"claim"` // the name under which the client sees it
	// Default is the value for users without one, as JSON; empty: they have no claim.
	Default json.RawMessage `json:"default,omitempty"`
	// AccessToken puts the claim into JWT access tokens and introspection as well.
	AccessToken bool `json:"access_token,omitempty"`
}

// ReleaseFaults returns what is wrong with the way a client sees groups and claims, each a sentence that begins with
// the name of the member.
func ReleaseFaults(allowed []string, g GroupsClaim, mappings []Mapping) (faults []string) {
	fault := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	for _, list := range []struct {
		member string
		names  []string
	}{{"allowed_groups", allowed}, {"groups_claim.only", g.Only}} {
		if len(list.names) > maxClientGroups {
			fault("%s is limited to %d groups", list.member, maxClientGroups)
		}
		for _, name := range list.names {
			if text := groupNameFault(name); text != "" {
				fault("%s %q %s", list.member, name, text)
			}
		}
	}
	if g.Name != "" && g.Name != "groups" {
		if text := targetFault(g.Name); text != "" || slices.Contains(standardClaims, g.Name) {
			fault("groups_claim.name %q cannot be used for groups", g.Name)
		}
	}
	if !plainText(g.Prefix) || strings.ContainsAny(g.Prefix, ",;\"\\") || utf8.RuneCountInString(g.Prefix) > maxPrefix {
		fault("groups_claim.prefix must be at most %d characters, without commas and quotation marks", maxPrefix)
	}
	if len(mappings) > maxMappings {
		fault("claim_mappings are limited to %d", maxMappings)
	}
	taken := map[string]bool{g.Claim(): true}
	for _, m := range mappings {
		if text := targetFault(m.Claim); text != "" {
			fault("claim_mappings %q %s", m.Claim, text)
		}
		if taken[m.Claim] {
			fault("claim_mappings %q is filled twice", m.Claim)
		}
		taken[m.Claim] = true
		if m.Source == "" || !slices.Contains(standardClaims, m.Source) && claimNameFault(m.Source) != "" {
			fault("claim_mappings source %q cannot be mapped", m.Source)
		}
		if text := defaultFault(m.Default); text != "" {
			fault("claim_mappings default of %q %s", m.Claim, text)
		}
	}
	return faults
}

// targetFault says why a mapping cannot fill a claim.
func targetFault(name string) string {
	if text := claimNameFault(name); text != "" {
		return text
	}
	if slices.Contains(standardClaims, name) && !slices.Contains(mappable, name) {
		return "cannot be replaced: applications link accounts by it"
	}
	return ""
}

func defaultFault(value json.RawMessage) string {
	if len(value) == 0 {
		return ""
	}
	if len(value) > maxDefault {
		return "must be at most 1000 bytes"
	}
	for _, t := range ClaimTypes {
		if _, fault := (Claim{Type: t}).Normalize(value); fault == "" {
			return ""
		}
	}
	return "must be a string, a number, true, false or a list of strings"
}
