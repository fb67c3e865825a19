package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

// maxClaims is the longest claims parameter, in bytes. It is sent in a URL and stored with the family.
const maxClaims = 4096

// claimsRequest is the claims request parameter (OIDC Core §5.5). Other members are ignored, as §5.5 says.
type claimsRequest struct {
	UserInfo map[string]*ClaimRequest `json:"userinfo,omitempty"`
	IDToken  map[string]*ClaimRequest `json:"id_token,omitempty"`
}

// ClaimRequest is one requested claim. nil stands for JSON null, a plain voluntary request.
type ClaimRequest struct {
	Essential bool  `json:"essential,omitempty"`
	Value     any   `json:"value,omitempty"`
	Values    []any `json:"values,omitempty"`
}

// Strings returns the values that would satisfy the request, in order of preference.
func (c *ClaimRequest) Strings() []string {
	if c == nil {
		return nil
	}
	var out []string
	for _, v := range append([]any{c.Value}, c.Values...) {
		if s, ok := v.(string); ok && s != "" && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	return out
}

// ParseClaims parses the claims parameter strictly: one short JSON object without duplicate members (two parsers could
// take different ones) and nothing after it.
func ParseClaims(s string) (*claimsRequest, error) {
	if s == "" {
		return &claimsRequest{}, nil
	}
	if len(s) > maxClaims {
		return nil, fmt.Errorf("longer than %d bytes", maxClaims)
	}
	if err := oauth.StrictObject([]byte(s)); err != nil {
		return nil, err
	}
	// The decoder would accept ID_TOKEN for id_token, so the two names must match exactly.
	var members map[string]json.RawMessage
	c := &claimsRequest{}
	err := json.Unmarshal([]byte(s), &members)
	for name, to := range map[string]*map[string]*ClaimRequest{"userinfo": &c.UserInfo, "id_token": &c.IDToken} {
		if text, ok := members[name]; ok && err == nil {
			err = json.Unmarshal(text, to)
		}
	}
	if err != nil {
		return nil, errors.New("a member has the wrong type")
	}
	return c, nil
}

// ScopeOf maps a standard claim to its scope (OIDC Core §5.4).
var ScopeOf = map[string]string{
	"name": "profile", "family_name": "profile", "given_name": "profile", "middle_name": "profile", "nickname": "profile",
	"preferred_username": "profile", "profile": "profile", "picture": "profile", "website": "profile", "gender": "profile",
	"birthdate": "profile", "zoneinfo": "profile", "locale": "profile", "updated_at": "profile",
	"email": "email", "email_verified": "email",
	"address":      "address",
	"groups":       "groups",
	"phone_number": "phone", "phone_number_verified": "phone",
}

// Scopes returns the scopes of the requested claims, sorted and without duplicates.
func (c *claimsRequest) Scopes() []string {
	var out []string
	for _, asked := range []map[string]*ClaimRequest{c.UserInfo, c.IDToken} {
		for name := range asked {
			if scope := ScopeOf[name]; scope != "" && !slices.Contains(out, scope) {
				out = append(out, scope)
			}
		}
	}
	slices.Sort(out)
	return out
}

// Granted returns the requested claims whose scope was granted, as JSON to store with the tokens; empty if there are
// none. Claims that the person did not see at consent are omitted, which OIDC Core §5.5 allows.
func (c *claimsRequest) Granted(scopes []string) string {
	keep := func(asked map[string]*ClaimRequest) map[string]*ClaimRequest {
		out := map[string]*ClaimRequest{}
		for name := range asked {
			if slices.Contains(scopes, ScopeOf[name]) {
				out[name] = nil
			}
		}
		return out
	}
	kept := claimsRequest{UserInfo: keep(c.UserInfo), IDToken: keep(c.IDToken)}
	if len(kept.UserInfo)+len(kept.IDToken) == 0 {
		return ""
	}
	b, _ := json.Marshal(kept) // maps of strings cannot fail
	return string(b)
}

// UserClaims are the standard claims of a user (OIDC Core §5.1), in ID tokens and userinfo.
type UserClaims struct {
	Name              string       `json:"name,omitempty"`
	GivenName         string       `json:"given_name,omitempty"`
	FamilyName        string       `json:"family_name,omitempty"`
	MiddleName        string       `json:"middle_name,omitempty"`
	Nickname          string       `json:"nickname,omitempty"`
	PreferredUsername string       `json:"preferred_username,omitempty"`
	Profile           string       `json:"profile,omitempty"`
	Picture           string       `json:"picture,omitempty"`
	Website           string       `json:"website,omitempty"`
	Gender            string       `json:"gender,omitempty"`
	Birthdate         string       `json:"birthdate,omitempty"`
	Zoneinfo          string       `json:"zoneinfo,omitempty"`
	Locale            string       `json:"locale,omitempty"`
	UpdatedAt         int64        `json:"updated_at,omitempty"`
	Email             string       `json:"email,omitempty"`
	EmailVerified     *bool        `json:"email_verified,omitempty"`
	Address           *idp.Address `json:"address,omitempty"`
	Phone             string       `json:"phone_number,omitempty"`
	PhoneVerified     *bool        `json:"phone_number_verified,omitempty"`
}

// ClaimsOf returns the claims of u that wants accepts. Claims without a value are omitted (OIDC Core §5.3.2).
func ClaimsOf(u idp.User, wants func(claim string) bool) UserClaims {
	var c UserClaims
	text := func(dst *string, claim, value string) {
		if value != "" && wants(claim) {
			*dst = value
		}
	}
	p := u.Profile
	text(&c.Name, "name", u.Name)
	text(&c.GivenName, "given_name", p.GivenName)
	text(&c.FamilyName, "family_name", p.FamilyName)
	text(&c.MiddleName, "middle_name", p.MiddleName)
	text(&c.Nickname, "nickname", p.Nickname)
	text(&c.PreferredUsername, "preferred_username", p.PreferredUsername)
	text(&c.Profile, "profile", p.URL)
	text(&c.Picture, "picture", p.Picture)
	text(&c.Website, "website", p.Website)
	text(&c.Gender, "gender", p.Gender)
	text(&c.Birthdate, "birthdate", p.Birthdate)
	text(&c.Zoneinfo, "zoneinfo", p.Zoneinfo)
	text(&c.Locale, "locale", p.Locale)
	if !u.UpdatedAt.IsZero() && wants("updated_at") {
		c.UpdatedAt = u.UpdatedAt.Unix()
	}
	text(&c.Email, "email", u.Email)
	if u.Email != "" && wants("email_verified") {
		c.EmailVerified = new(u.EmailVerified)
	}
	if p.Address != (idp.Address{}) && wants("address") {
		c.Address = new(p.Address)
	}
	text(&c.Phone, "phone_number", p.PhoneNumber)
	if p.PhoneNumber != "" && wants("phone_number_verified") {
		c.PhoneVerified = new(p.PhoneVerified)
	}
	return c
}

// StoredClaims decodes the result of Granted.
func StoredClaims(s string) claimsRequest {
	if s == "" {
		return claimsRequest{}
	}
	var c claimsRequest
	_ = json.Unmarshal([]byte(s), &c) // our own JSON; if broken, no claims are requested
	return c
}

// SupportedClaims returns claims_supported.
func SupportedClaims() []string {
	out := []string{"iss", "sub", "aud", "exp", "iat", "auth_time", "nonce", "acr", "amr", "sid", "at_hash"}
	rest := make([]string, 0, len(ScopeOf))
	for name := range ScopeOf {
		rest = append(rest, name)
	}
	slices.Sort(rest)
	return append(out, rest...)
}
