package scim

import (
	"cmp"
	"encoding/json"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/scim/resource"
	"github.com/stepward/stepward/internal/store/managed"
)

// A person is what a resource says about the account of a user.
type person struct {
	userName, email, name string
	externalID            string
	active                *bool // nil: not said
	profile               idp.Profile
	kept                  resource.Document // what is kept beside the account
}

const (
	maxUserName = 254 // characters
	maxClaim    = 256 // characters of a claim of the profile
)

// personOf reads a cleaned resource.
func personOf(doc resource.Document) (p person, err error) {
	p.userName, _ = doc["userName"].(string)
	p.userName = norm.NFC.String(p.userName)
	if err := userNameFault(p.userName); err != nil {
		return p, err
	}
	p.externalID, _ = doc["externalId"].(string)
	if active, ok := doc["active"].(bool); ok {
		p.active = &active
	}
	oneEmail(doc)
	p.kept = resource.Copied(doc)
	for _, name := range []string{"userName", "externalId", "active"} {
		delete(p.kept, name)
	}
	if p.email, err = emailOf(doc, p.userName); err != nil {
		return p, err
	}
	if p.name, err = nameOf(doc, p.email); err != nil {
		return p, err
	}
	p.profile, err = profileOf(doc)
	if email, _ := directory.NormalizeEmail(p.userName); email != p.email {
		p.profile.PreferredUsername = p.userName
	}
	return p, err
}

// userNameFault refuses names that look like another one.
func userNameFault(name string) error {
	if name == "" {
		return resource.Bad("invalidValue", "userName is missing")
	}
	if utf8.RuneCountInString(name) > maxUserName {
		return resource.Bad("invalidValue", "userName is longer than %d characters", maxUserName)
	}
	for _, r := range name {
		if r != ' ' && (!directory.Visible(r) && !unicode.IsMark(r) || unicode.Is(unicode.Variation_Selector, r)) {
			return resource.Bad("invalidValue", "userName has a character that is invisible")
		}
	}
	return nil
}

// oneEmail leaves one e-mail address: the primary one, that of work, or the first. An account has no others from a
// directory, because nobody has shown that they are the user's.
func oneEmail(doc resource.Document) {
	list, _ := doc["emails"].([]any)
	best, rank := resource.Document(nil), -1
	for _, v := range list {
		element, _ := v.(resource.Document)
		r := 0
		switch {
		case element["value"] == nil:
			continue
		case element["primary"] == true:
			r = 2
		case element["type"] == "work":
			r = 1
		}
		if r > rank {
			best, rank = element, r
		}
	}
	delete(doc, "emails")
	if best != nil {
		doc["emails"] = []any{best}
	}
}

func emailOf(doc resource.Document, userName string) (string, error) {
	given := first(doc, "emails", "value")
	email, ok := directory.NormalizeEmail(cmp.Or(given, userName))
	switch {
	case !ok && given == "":
		return "", resource.Bad("invalidValue", "emails is missing, and userName is not an e-mail address")
	case !ok:
		return "", resource.Bad("invalidValue", "emails has no valid e-mail address")
	}
	return email, nil
}

func nameOf(doc resource.Document, email string) (string, error) {
	local, _, _ := strings.Cut(email, "@")
	display, _ := doc["displayName"].(string)
	given, family := part(doc, "name", "givenName"), part(doc, "name", "familyName")
	name, ok := directory.NormalizeName(cmp.Or(display, part(doc, "name", "formatted"),
		strings.TrimSpace(given+" "+family), local))
	if !ok {
		return "", resource.Bad("invalidValue", "displayName must be 1 to 80 visible characters")
	}
	return name, nil
}

// part returns a text of a complex attribute; "" if it is not there.
func part(doc resource.Document, name, sub string) string {
	inner, _ := doc[name].(resource.Document)
	text, _ := inner[sub].(string)
	return text
}

// first returns a text of the primary element of an attribute, or of its first.
func first(doc resource.Document, name, sub string) string {
	return part(resource.Document{name: firstOf(doc, name)}, name, sub)
}

func firstOf(doc resource.Document, name string) any {
	list, _ := doc[name].([]any)
	if len(list) == 0 {
		return nil
	}
	i := slices.IndexFunc(list, func(v any) bool {
		element, _ := v.(resource.Document)
		return element["primary"] == true
	})
	return list[max(i, 0)]
}

// A claim is one of the profile, and the attribute that it comes from.
type claim struct {
	attribute string // a name, or name.sub
	of        func(*idp.Profile) *string
}

var claims = []claim{
	{"name.givenName", func(p *idp.Profile) *string { return &p.GivenName }},
	{"name.familyName", func(p *idp.Profile) *string { return &p.FamilyName }},
	{"name.middleName", func(p *idp.Profile) *string { return &p.MiddleName }},
	{"nickName", func(p *idp.Profile) *string { return &p.Nickname }},
	{"profileUrl", func(p *idp.Profile) *string { return &p.URL }},
	{"timezone", func(p *idp.Profile) *string { return &p.Zoneinfo }},
	{"locale", func(p *idp.Profile) *string { return &p.Locale }},
}

// profileOf returns the profile that a resource describes: only what [claims], phoneNumbers and addresses say.
func profileOf(doc resource.Document) (p idp.Profile, err error) {
	for _, c := range claims {
		name, sub, inner := strings.Cut(c.attribute, ".")
		value, _ := doc[name].(string)
		if inner {
			value = part(doc, name, sub)
		}
		*c.of(&p) = value
	}
	p.Locale = cmp.Or(p.Locale, textOf(doc, "preferredLanguage"))
	p.PhoneNumber = strings.TrimPrefix(first(doc, "phoneNumbers", "value"), "tel:")
	at := resource.Document{"at": firstOf(doc, "addresses")}
	p.Address = idp.Address{
		Formatted: part(at, "at", "formatted"), StreetAddress: part(at, "at", "streetAddress"),
		Locality: part(at, "at", "locality"), Region: part(at, "at", "region"), PostalCode: part(at, "at", "postalCode"),
		Country: part(at, "at", "country"),
	}
	for _, c := range claims {
		if utf8.RuneCountInString(*c.of(&p)) > maxClaim {
			return p, resource.Bad("invalidValue", "%s is longer than %d characters", c.attribute, maxClaim)
		}
	}
	if utf8.RuneCountInString(p.PhoneNumber) > maxClaim {
		return p, resource.Bad("invalidValue", "phoneNumbers is longer than %d characters", maxClaim)
	}
	if u, err := url.Parse(p.URL); p.URL != "" && (err != nil || u.Scheme != "https" && u.Scheme != "http") {
		return p, resource.Bad("invalidValue", "profileUrl must be a web address")
	}
	return p, nil
}

func textOf(doc resource.Document, name string) string { text, _ := doc[name].(string); return text }

// over returns a profile with what the directory says now. What it neither says nor said before stays: users may have
// filled that in themselves.
func over(profile, was, now idp.Profile) idp.Profile {
	for _, c := range claims {
		if *c.of(&now) != "" || *c.of(&was) != "" {
			*c.of(&profile) = *c.of(&now)
		}
	}
	if now.PhoneNumber != "" || was.PhoneNumber != "" {
		profile.PhoneVerified = profile.PhoneVerified && profile.PhoneNumber == now.PhoneNumber
		profile.PhoneNumber = now.PhoneNumber
	}
	if now.Address != (idp.Address{}) || was.Address != (idp.Address{}) {
		profile.Address = now.Address
	}
	if now.PreferredUsername != "" {
		profile.PreferredUsername = now.PreferredUsername
	}
	return profile
}

// keptOf returns what is kept of a user beside the account.
func keptOf(m directory.Managed) resource.Document {
	doc := resource.Document{}
	_ = json.Unmarshal([]byte(m.Attributes), &doc) // written by us; without it, the account says all
	return doc
}

// userDocument returns the resource of a user, as a client sees it. Where the account differs from what the directory
// said, the account wins.
func (s *Server) userDocument(u managed.User, clientID string) resource.Document {
	doc := keptOf(u.Managed)
	userName := cmp.Or(u.UserName, u.Email)
	doc["userName"], doc["active"] = userName, !u.Disabled()
	if email, err := emailOf(doc, userName); err != nil || email != u.Email {
		doc["emails"] = []any{resource.Document{"value": u.Email, "type": "work", "primary": true}}
	} else if doc["emails"] == nil {
		doc["emails"] = []any{resource.Document{"value": u.Email, "type": "work", "primary": true}}
	}
	if name, err := nameOf(doc, u.Email); err != nil || name != u.Name || u.ClientID == "" {
		doc["displayName"] = u.Name
	}
	showProfile(doc, u.Profile)
	if u.ExternalID != "" && u.ClientID == clientID {
		doc["externalId"] = u.ExternalID
	}
	if len(u.Groups) > 0 {
		list := []any{}
		for _, g := range u.Groups {
			list = append(list, resource.Document{
				"value": g.ID, "$ref": s.at(resource.Group, g.ID), "display": g.Name, "type": "direct",
			})
		}
		doc["groups"] = list
	}
	s.label(doc, resource.User, u.ID, u.CreatedAt, u.User.UpdatedAt)
	return doc
}

// showProfile puts the claims of an account into its resource where they differ.
func showProfile(doc resource.Document, p idp.Profile) {
	said, err := profileOf(doc)
	for _, c := range claims {
		if value := *c.of(&p); err == nil && value != *c.of(&said) && value != "" {
			name, sub, inner := strings.Cut(c.attribute, ".")
			if !inner {
				doc[name] = value
				continue
			}
			whole, _ := doc[name].(resource.Document)
			if whole == nil {
				whole = resource.Document{}
			}
			whole[sub], doc[name] = value, whole
		}
	}
	if p.PhoneNumber != "" && p.PhoneNumber != said.PhoneNumber {
		doc["phoneNumbers"] = []any{resource.Document{"value": p.PhoneNumber, "type": "other"}}
	}
}

// label adds what every resource has.
func (s *Server) label(doc resource.Document, k resource.Kind, id string, created, updated time.Time) {
	schemas := []string{k.Schema}
	if _, extended := doc[k.Extension]; extended && k.Extension != "" {
		schemas = append(schemas, k.Extension)
	}
	doc["schemas"], doc["id"] = schemas, id
	doc["meta"] = resource.Document{
		"resourceType": k.Name, "created": created.UTC().Format(time.RFC3339Nano),
		"lastModified": updated.UTC().Format(time.RFC3339Nano), "location": s.at(k, id), "version": etag(updated),
	}
}

// at returns the address of a resource.
func (s *Server) at(k resource.Kind, id string) string {
	return s.cfg.Issuer + directory.PathSCIM + k.Path + "/" + url.PathEscape(id)
}
