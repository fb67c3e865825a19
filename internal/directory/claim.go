package directory

import (
	"encoding/json"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"
)

// ClaimType is the JSON type of a claim's values.
type ClaimType string

const (
	ClaimString  ClaimType = "string"
	ClaimNumber  ClaimType = "number"
	ClaimBoolean ClaimType = "boolean"
	ClaimList    ClaimType = "list" // of strings
)

// ClaimTypes are all types.
var ClaimTypes = []ClaimType{ClaimString, ClaimNumber, ClaimBoolean, ClaimList}

// A Party sees or edits the values of a claim.
type Party string

const (
	PartyUser  Party = "user" // about themselves, on the account pages
	PartyAdmin Party = "admin"
	PartySCIM  Party = "scim"
)

// Parties are all parties.
var Parties = []Party{PartyUser, PartyAdmin, PartySCIM}

const (
	// MaxClaims is how many claims an installation can define.
	MaxClaims = 200

	maxClaimName = 100  // bytes
	maxText      = 1000 // characters of a string
	maxItems     = 100  // of a list
	maxItem      = 256  // characters of an item
)

// A Claim is a claim that an admin defined. Users and groups have values of it, which applications see with its scope.
type Claim struct {
	Name        string    `json:"name"`
	Type        ClaimType `json:"type"`
	Scope       string    `json:"scope"` // the scope that releases it
	Description string    `json:"description,omitempty"`
	SeenBy      []Party   `json:"seen_by"`
	EditedBy    []Party   `json:"edited_by"`
	CreatedAt   time.Time `json:"created_at,omitzero"`
	UpdatedAt   time.Time `json:"updated_at,omitzero"`
}

// protocolClaims belong to tokens and responses; they keep their meaning.
var protocolClaims = []string{
	"iss", "sub", "aud", "exp", "nbf", "iat", "jti", "auth_time", "nonce", "acr", "amr", "azp", "sid", "at_hash", "c_hash",
	"s_hash", "cnf", "act", "may_act", "scope", "client_id", "active", "token_type", "username", "authorization_details",
	"events", "sub_id", "toe", "txn", "vot", "vtm", "groups", "groups_overage",
}

// standardClaims come from the profile (OIDC Core §5.1). A mapping may fill those of mappable.
var standardClaims = []string{
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
	"gender", "birthdate", "zoneinfo", "locale", "updated_at", "email", "email_verified", "address", "phone_number",
	"phone_number_verified",
}

// mappable are the standard claims that a mapping may replace for a client. Applications link accounts by the e-mail
// address and the telephone number, so those are always the confirmed ones.
var mappable = []string{
	"name", "given_name", "family_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
	"gender", "birthdate", "zoneinfo", "locale",
}

var claimName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.:/-]*$`)

// claimNameFault says why nothing can be released under a name; "" if it can.
func claimNameFault(name string) string {
	switch {
	case name == "":
		return "is missing"
	case len(name) > maxClaimName || !claimName.MatchString(name):
		return "must be a letter, then letters, digits and _ . : / - (at most 100)"
	case slices.Contains(protocolClaims, name):
		return "is reserved: the protocol gives it a meaning"
	}
	return ""
}

// Faults returns what is wrong with the definition of a claim. Its scope must be one of scopes.
func (c Claim) Faults(scopes []string) (faults Faults) {
	fault := func(field, text string) { faults = append(faults, Fault{field, text}) }
	if text := claimNameFault(c.Name); text != "" {
		fault("name", text)
	} else if slices.Contains(standardClaims, c.Name) {
		fault("name", "is a standard claim, which comes from the profile; map another claim to it for a client")
	}
	if !slices.Contains(ClaimTypes, c.Type) {
		fault("type", "must be string, number, boolean or list")
	}
	if !slices.Contains(scopes, c.Scope) {
		fault("scope", "must be one of "+strings.Join(scopes, ", ")+"; configure others under scopes")
	}
	if !plainText(c.Description) || utf8.RuneCountInString(c.Description) > maxDescription {
		fault("description", "must be one line of at most 500 characters")
	}
	for field, parties := range map[string][]Party{"seen_by": c.SeenBy, "edited_by": c.EditedBy} {
		for _, p := range parties {
			if !slices.Contains(Parties, p) {
				fault(field, fmt.Sprintf("%q is not one of user, admin, scim", string(p)))
			}
		}
	}
	for _, p := range c.EditedBy {
		if !slices.Contains(c.SeenBy, p) {
			fault("edited_by", fmt.Sprintf("%s cannot edit what %s cannot see", p, p))
		}
	}
	return faults
}

// MaySee and MayEdit report what a party may do with the values of the claim.
func (c Claim) MaySee(p Party) bool { return slices.Contains(c.SeenBy, p) }

// MayEdit is described at MaySee.
func (c Claim) MayEdit(p Party) bool { return slices.Contains(c.EditedBy, p) }

// Normalize returns a value of the claim as compact JSON, or says what is wrong with it.
func (c Claim) Normalize(value json.RawMessage) (normal, fault string) {
	var v any
	if err := json.Unmarshal(value, &v); err != nil {
		return "", "is not JSON"
	}
	wrong := map[ClaimType]string{
		ClaimString:  "must be a string of 1 to 1000 characters on one line, without characters that change its direction",
		ClaimNumber:  "must be a number",
		ClaimBoolean: "must be true or false",
		ClaimList:    "must be a list of at most 100 different strings of 1 to 256 characters each",
	}[c.Type]
	ok := false
	switch v := v.(type) {
	case string:
		ok = c.Type == ClaimString && v != "" && plainText(v) && utf8.RuneCountInString(v) <= maxText
	case float64:
		ok = c.Type == ClaimNumber && !math.IsInf(v, 0)
	case bool:
		ok = c.Type == ClaimBoolean
	case []any:
		ok = c.Type == ClaimList && len(v) <= maxItems
		seen := map[string]bool{}
		for _, item := range v {
			s, isText := item.(string)
			ok = ok && isText && s != "" && plainText(s) && utf8.RuneCountInString(s) <= maxItem && !seen[s]
			seen[s] = true
		}
	}
	if !ok {
		return "", wrong
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "", wrong
	}
	return string(b), ""
}

// Typed returns a value, which is JSON, as ParseValue reads it; "" for none.
func (c Claim) Typed(value string) string {
	var v any
	if json.Unmarshal([]byte(value), &v) != nil {
		return ""
	}
	switch v := v.(type) {
	case string:
		return v
	case []any:
		var items []string
		for _, item := range v {
			items = append(items, fmt.Sprint(item))
		}
		return strings.Join(items, ", ")
	}
	return value
}

// ParseValue reads a value as a person types it: a list is separated by commas.
func (c Claim) ParseValue(typed string) json.RawMessage {
	var v any = typed
	switch c.Type {
	case ClaimNumber, ClaimBoolean:
		return json.RawMessage(strings.TrimSpace(typed))
	case ClaimList:
		items := []string{}
		for item := range strings.SplitSeq(typed, ",") {
			if item = strings.TrimSpace(item); item != "" {
				items = append(items, item)
			}
		}
		v = items
	case ClaimString:
	}
	b, _ := json.Marshal(v) // text and lists of text always marshal
	return b
}
