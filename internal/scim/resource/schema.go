package resource

import (
	"slices"
	"strings"
)

// The identifiers of schemas and messages (RFC 7643 §8.7, RFC 7644 §3).
const (
	SchemaUser       = "urn:ietf:params:scim:schemas:core:2.0:User"
	SchemaGroup      = "urn:ietf:params:scim:schemas:core:2.0:Group"
	SchemaEnterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	MessageError     = "urn:ietf:params:scim:api:messages:2.0:Error"
	MessageList      = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
	messagePatch     = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
	messageSearch    = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
)

// An Attribute is one row of a schema (RFC 7643 §7).
type Attribute struct {
	Name        string      `json:"name"`
	Type        string      `json:"type"` // string, boolean, dateTime, reference or complex
	Multi       bool        `json:"multiValued"`
	Description string      `json:"description"`
	Required    bool        `json:"required"`
	Exact       bool        `json:"caseExact"`
	Mutability  string      `json:"mutability"` // readWrite, readOnly or immutable
	Returned    string      `json:"returned"`   // default or always
	Uniqueness  string      `json:"uniqueness"` // none or server
	Canonical   []string    `json:"canonicalValues,omitempty"`
	References  []string    `json:"referenceTypes,omitempty"`
	Sub         []Attribute `json:"subAttributes,omitempty"`
}

func text(name, description string) Attribute {
	return Attribute{
		Name: name, Type: "string", Description: description, Mutability: "readWrite", Returned: "default",
		Uniqueness: "none",
	}
}

func flag(name, description string) Attribute {
	a := text(name, description)
	a.Type = "boolean"
	return a
}

func reference(name, description string, to ...string) Attribute {
	a := text(name, description)
	a.Type, a.Exact, a.References = "reference", true, to
	return a
}

func complex(name, description string, sub ...Attribute) Attribute {
	a := text(name, description)
	a.Type, a.Sub = "complex", sub
	return a
}

func many(a Attribute) Attribute { a.Multi = true; return a }

func needed(a Attribute) Attribute { a.Required = true; return a }

func readOnly(a Attribute) Attribute {
	a.Mutability = "readOnly"
	for i := range a.Sub {
		a.Sub[i].Mutability = "readOnly"
	}
	return a
}

// common are the attributes of every resource that belong to no schema (RFC 7643 §3.1).
var common = []Attribute{
	{
		Name: "schemas", Type: "reference", Multi: true, Exact: true, Mutability: "readWrite", Returned: "always",
		Uniqueness: "none",
	},
	{Name: "id", Type: "string", Exact: true, Mutability: "readOnly", Returned: "always", Uniqueness: "server"},
	{Name: "externalId", Type: "string", Exact: true, Mutability: "readWrite", Returned: "default", Uniqueness: "none"},
	{
		Name: "meta", Type: "complex", Mutability: "readOnly", Returned: "default", Uniqueness: "none", Sub: []Attribute{
			readOnly(text("resourceType", "")),
			{Name: "created", Type: "dateTime", Mutability: "readOnly"},
			{Name: "lastModified", Type: "dateTime", Mutability: "readOnly"},
			readOnly(reference("location", "", "uri")), readOnly(text("version", "")),
		},
	},
}

// userAttributes are those that Stepward keeps of a user. Others are ignored, as RFC 7644 §3.3 allows.
var userAttributes = []Attribute{
	func() Attribute {
		a := needed(text("userName", "The directory's name for the user; an e-mail address unless emails has one"))
		a.Uniqueness = "server"
		return a
	}(),
	complex("name", "The parts of the name", text("formatted", "The whole name"), text("familyName", "Family name"),
		text("givenName", "Given name"), text("middleName", "Middle names"), text("honorificPrefix", "Title before the name"),
		text("honorificSuffix", "Title after the name")),
	text("displayName", "The name that people and applications see"),
	text("nickName", "Casual name"),
	reference("profileUrl", "Page about the user", "external"),
	text("title", "Position, such as Vice President"),
	text("userType", "Relation to the organisation, such as Employee"),
	text("preferredLanguage", "Language, such as en-US"),
	text("locale", "Locale, such as en-US"),
	text("timezone", "Time zone, such as Europe/Berlin"),
	flag("active", "Whether the user may sign in"),
	needed(many(complex("emails", "The e-mail address of the account; one is kept: the primary one, or the first",
		needed(text("value", "E-mail address")), text("type", "work, home or other"),
		flag("primary", "Whether it is the primary one")))),
	many(complex("phoneNumbers", "Telephone numbers", text("value", "Number"), text("type", "work, home, mobile or other"),
		flag("primary", "Whether it is the primary one"))),
	many(complex("addresses", "Postal addresses", text("formatted", "The whole address"), text("streetAddress", "Street"),
		text("locality", "City"), text("region", "State or region"), text("postalCode", "Postal code"),
		text("country", "Country"), text("type", "work, home or other"), flag("primary", "Whether it is the primary one"))),
	readOnly(many(complex("groups", "The groups that the user was put into directly", text("value", "ID of the group"),
		reference("$ref", "Address of the group", "Group"), text("display", "Name of the group")))),
}

// enterpriseAttributes are those of the enterprise extension (RFC 7643 §4.3).
var enterpriseAttributes = []Attribute{
	text("employeeNumber", "Number of the employee"), text("costCenter", "Cost centre"),
	text("organization", "Organisation"), text("division", "Division"), text("department", "Department"),
	complex("manager", "The manager", text("value", "ID of the manager"),
		reference("$ref", "Address of the manager", "User"),
		readOnly(text("displayName", "Name of the manager"))),
}

var groupAttributes = []Attribute{
	func() Attribute {
		a := needed(text("displayName", "The name by which applications know the group"))
		a.Uniqueness = "server"
		return a
	}(),
	many(complex("members", "The users who were put into the group directly",
		fixed(text("value", "ID of the user")), fixed(reference("$ref", "Address of the user", "User")),
		fixed(oneOf(text("type", "User"), "User")))),
}

func oneOf(a Attribute, values ...string) Attribute { a.Canonical = values; return a }

// fixed is an attribute of a value that is added and removed as a whole.
func fixed(a Attribute) Attribute { a.Mutability = "immutable"; return a }

// A Kind is a type of resource with its schemas. Path is the end of its address.
type Kind struct {
	Name, Path, Schema string
	Attributes         []Attribute
	Extension          string // schema of its extension; empty: none
	Extended           []Attribute
}

// User and Group are the kinds that there are.
var (
	User = Kind{
		Name: "User", Path: "/Users", Schema: SchemaUser, Attributes: userAttributes, Extension: SchemaEnterprise,
		Extended: enterpriseAttributes,
	}
	Group = Kind{Name: "Group", Path: "/Groups", Schema: SchemaGroup, Attributes: groupAttributes}
)

// named returns the attribute with a name, in any case; nil: there is none.
func named(list []Attribute, name string) *Attribute {
	i := slices.IndexFunc(list, func(a Attribute) bool { return strings.EqualFold(a.Name, name) })
	if i < 0 {
		return nil
	}
	return &list[i]
}

// A Path leads to an attribute, or to a sub-attribute of one.
type Path struct {
	Extension string // the member that the attribute is in; empty: the resource itself
	Attr      *Attribute
	Sub       *Attribute // nil: the whole attribute
}

// Resolve returns what an attribute name or URN (RFC 7644 §3.10) leads to; false: to nothing. A path with an extension
// but without Attr is the whole extension.
func (k Kind) Resolve(name string) (p Path, ok bool) {
	list, rest := append(slices.Clip(common), k.Attributes...), name
	if cut, found := cutFold(name, k.Schema); found {
		rest = strings.TrimPrefix(cut, ":")
	} else if cut, found := cutFold(name, k.Extension); found && k.Extension != "" {
		p.Extension, list = k.Extension, k.Extended
		if rest = strings.TrimPrefix(cut, ":"); rest == "" {
			return p, true
		}
	}
	first, second, dotted := strings.Cut(rest, ".")
	if p.Attr = named(list, first); p.Attr == nil {
		return p, false
	}
	if dotted {
		p.Sub = named(p.Attr.Sub, second)
		return p, p.Sub != nil
	}
	return p, true
}

func cutFold(s, prefix string) (string, bool) {
	if len(s) < len(prefix) || !strings.EqualFold(s[:len(prefix)], prefix) {
		return s, false
	}
	return s[len(prefix):], true
}
