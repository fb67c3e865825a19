package provision

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/provisioning"
)

// Attributes are those of a user that may be sent besides userName, externalId and active (RFC 7643 §4.1);
// DefaultAttributes are sent unless an admin says otherwise.
var (
	Attributes = []string{
		"displayName", "name", "emails", "nickName", "profileUrl", "locale", "timezone", "phoneNumbers", "addresses",
	}
	DefaultAttributes = []string{"displayName", "name", "emails"}
)

const (
	maxGroups = 100
	maxClaims = 50
)

// settings returns what is stored of an input, and what is wrong with it.
func (s *Service) settings(ctx context.Context, in Input) (provisioning.Settings, directory.Faults, error) {
	out := provisioning.Settings{
		BaseURL: strings.TrimRight(strings.TrimSpace(in.BaseURL), "/"), Claims: in.Claims, Delete: in.Delete,
		Attributes: in.Attributes,
	}
	if out.Attributes == nil {
		out.Attributes = DefaultAttributes
	}
	var faults directory.Faults
	wrong := func(field, format string, args ...any) {
		faults = append(faults, directory.Fault{Field: field, Text: fmt.Sprintf(format, args...)})
	}
	if !s.cfg.Outbound.May(out.BaseURL) || strings.ContainsAny(out.BaseURL, "?#") {
		wrong("base_url", "must be an https address, without a query: https://app.example.com/scim/v2")
	}
	for _, name := range out.Attributes {
		if !slices.Contains(Attributes, name) {
			wrong("attributes", "%q is none of %s", name, strings.Join(Attributes, ", "))
		}
	}
	if len(in.Claims) > maxClaims {
		wrong("claims", "are limited to %d", maxClaims)
	}
	defined, err := s.roster.Claims(ctx)
	if err != nil {
		return out, nil, err
	}
	for _, claim := range slices.Sorted(maps.Keys(in.Claims)) {
		if !slices.ContainsFunc(defined, func(c directory.Claim) bool { return c.Name == claim }) {
			wrong("claims", "there is no claim %q", claim)
		}
		if at := in.Claims[claim]; !mappable(at) {
			wrong("claims", "%q is no attribute that claims can be sent as: title, userType, preferredLanguage, or "+
				"one of an extension, urn:…:User:department", at)
		}
	}
	for field, list := range map[string]*[]string{"groups": &out.Groups, "send_groups": &out.SendGroups} {
		names := map[string][]string{"groups": in.Groups, "send_groups": in.SendGroups}[field]
		if len(names) > maxGroups {
			wrong(field, "are limited to %d", maxGroups)
			continue
		}
		for _, name := range names {
			g, err := s.roster.GroupByName(ctx, name)
			switch {
			case errors.Is(err, idp.ErrNotFound):
				wrong(field, "there is no group %q", name)
			case err != nil:
				return out, nil, err
			case !slices.Contains(*list, g.ID):
				*list = append(*list, g.ID)
			}
		}
	}
	return out, faults, nil
}

// plainTargets are the attributes of the core schema that a claim may fill.
var plainTargets = []string{"title", "userType", "preferredLanguage"}

// mappable reports whether a claim may be sent as an attribute: one of the core schema that nothing else fills, or one
// of an extension.
func mappable(attribute string) bool {
	if slices.Contains(plainTargets, attribute) {
		return true
	}
	schema, name, ok := extension(attribute)
	return ok && schema != userSchema && schema != groupSchema && name != "" && len(attribute) <= 300 &&
		!strings.ContainsFunc(attribute, notInToken)
}

// extension splits urn:…:User:department into the schema and the attribute.
func extension(attribute string) (schema, name string, ok bool) {
	i := strings.LastIndex(attribute, ":")
	if i < 0 || !strings.HasPrefix(strings.ToLower(attribute), "urn:") || i <= len("urn:") {
		return "", "", false
	}
	return attribute[:i], attribute[i+1:], true
}
