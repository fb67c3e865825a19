package provision

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/provisioning"
)

// Schemas and messages of RFC 7643 and RFC 7644.
const (
	userSchema  = "urn:ietf:params:scim:schemas:core:2.0:User"
	groupSchema = "urn:ietf:params:scim:schemas:core:2.0:Group"
	patchSchema = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
)

type object = map[string]any

// belongs reports whether a user is to be sent: they may use the client, and are in one of the groups, if there are
// any.
func belongs(c idp.Client, settings provisioning.Settings, p provisioning.Person) bool {
	if p.Removed || p.User.Disabled() || !p.User.Membership.Admitted(c.AllowedGroups) {
		return false
	}
	return len(settings.Groups) == 0 || len(groupsOf(p, settings.Groups)) > 0
}

// groupsOf returns those of the groups that a user is in.
func groupsOf(p provisioning.Person, of []string) (in []string) {
	for _, g := range p.User.Membership.Groups {
		if slices.Contains(of, g.ID) {
			in = append(in, g.ID)
		}
	}
	slices.Sort(in)
	return in
}

// document returns the resource of a user without schemas: what [provisioning.Settings] allows of it, and nothing that
// is empty. sub is the user's name at the client.
func document(settings provisioning.Settings, u idp.User, sub string) object {
	doc := object{"userName": u.Email, "externalId": sub, "active": true}
	p := u.Profile
	name := filled(object{
		"formatted": u.Name, "givenName": p.GivenName, "familyName": p.FamilyName, "middleName": p.MiddleName,
	})
	all := filled(object{
		"displayName": u.Name, "nickName": p.Nickname, "profileUrl": p.URL, "locale": p.Locale, "timezone": p.Zoneinfo,
	})
	all["name"] = name
	all["emails"] = []any{object{"value": u.Email, "type": "work", "primary": true}}
	if p.PhoneNumber != "" {
		all["phoneNumbers"] = []any{object{"value": p.PhoneNumber, "type": "work", "primary": true}}
	}
	if address := filled(object{
		"formatted": p.Address.Formatted, "streetAddress": p.Address.StreetAddress, "locality": p.Address.Locality,
		"region": p.Address.Region, "postalCode": p.Address.PostalCode, "country": p.Address.Country,
	}); len(address) > 0 {
		address["type"], address["primary"] = "work", true
		all["addresses"] = []any{address}
	}
	for _, name := range settings.Attributes {
		if v, ok := all[name]; ok {
			doc[name] = v
		}
	}
	for _, v := range u.Membership.Claims() {
		at, ok := settings.Claims[v.Claim]
		if !ok {
			continue
		}
		value := plainly(v.JSON)
		if schema, attribute, extended := extension(at); extended {
			inner, _ := doc[schema].(object)
			if inner == nil {
				inner = object{}
			}
			inner[attribute], doc[schema] = value, inner
			continue
		}
		doc[at] = value
	}
	return doc
}

// plainly returns the value of a claim; a list becomes one text, because attributes differ in how they have several.
func plainly(text string) any {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return ""
	}
	list, ok := v.([]any)
	if !ok {
		return v
	}
	var parts []string
	for _, e := range list {
		if s, ok := e.(string); ok {
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// filled returns an object without its empty texts.
func filled(o object) object {
	maps.DeleteFunc(o, func(_ string, v any) bool { return v == "" })
	return o
}

// schemasOf returns the schemas of a resource of a user.
func schemasOf(doc object) []string {
	list := []string{userSchema}
	for _, name := range slices.Sorted(maps.Keys(doc)) {
		if strings.HasPrefix(name, "urn:") {
			list = append(list, name)
		}
	}
	return list
}

// digest returns what is stored of a resource that was sent: for each attribute 8 bytes of the SHA-256 of its value. So
// a later change is sent alone, and nothing about the person is kept twice.
func digest(doc object) string {
	short := map[string]string{}
	for name, v := range doc {
		short[name] = fingerprint(v)
	}
	return marshal(short)
}

func fingerprint(v any) string {
	sum := sha256.Sum256([]byte(marshal(v)))
	return base64.RawURLEncoding.EncodeToString(sum[:8])
}

// marshal returns the JSON of something that was made here, with the members of objects in order.
func marshal(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic(err) // texts, bools, numbers, and lists and objects of them
	}
	return string(text)
}

// differs returns the attributes of a resource that are not as the digest says, and the names of those that are gone.
func differs(doc object, was string) (set object, gone []string) {
	before := map[string]string{}
	_ = json.Unmarshal([]byte(cmp.Or(was, "{}")), &before) // unreadable: everything differs
	set = object{}
	for name, v := range doc {
		if before[name] != fingerprint(v) {
			set[name] = v
		}
	}
	for name := range before {
		if _, there := doc[name]; !there {
			gone = append(gone, name)
		}
	}
	slices.Sort(gone)
	return set, gone
}
