package scim

import (
	"strings"

	"github.com/stepward/stepward/internal/scim/resource"
)

// claimable are the attributes of the core schema that a defined claim of the same name gets, besides all of the
// enterprise extension.
var claimable = []string{"title", "userType", "preferredLanguage"}

// claimKey is the spelling by which a claim and an attribute have the same name: employee_number, employeeNumber.
func claimKey(name string) string {
	return strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(name))
}

// claims returns the values for defined claims, by claimKey; "" for those that the directory does not say.
func (p person) claims() map[string]string {
	values := map[string]string{}
	for _, name := range claimable {
		values[claimKey(name)] = textOf(p.kept, name)
	}
	extra, _ := p.kept[resource.SchemaEnterprise].(resource.Document)
	for _, a := range resource.User.Extended {
		values[claimKey(a.Name)] = textOf(extra, a.Name)
		if a.Type == "complex" {
			values[claimKey(a.Name)] = part(extra, a.Name, "value")
		}
	}
	return values
}
