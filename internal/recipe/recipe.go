// Package recipe says how known applications are registered, and what goes into their own configuration. All of it is
// data, in one table.
package recipe

import (
	"net/url"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/idp"
)

// A Recipe is how one application is registered.
type Recipe struct {
	ID, Name string
	// Example is an address of the application, to show in the empty field.
	Example string
	// Redirects are its redirect URIs, and PostLogout where it sends people after sign-out; {url} is its address.
	Redirects, PostLogout []string
	// NoAddress means that its redirect URIs do not depend on an address.
	NoAddress bool

	Policy         idp.ClientPolicy // empty: standard
	Public, Native bool
	// API means that it only accepts tokens: nobody signs in to it.
	API    bool
	Scopes []string // besides openid
	// InIDToken are the scopes whose claims it reads from the ID token.
	InIDToken []string

	Snippets []Snippet
}

// A Snippet is a part of the application's own configuration, with placeholders: {issuer}, {client_id},
// {client_secret}, {url}, {host} and {redirect_uri}.
type Snippet struct {
	Place string // a file or a screen of the application, by its own name
	Text  string
}

// Values are what the placeholders of a snippet stand for.
type Values struct{ Issuer, ClientID, Secret, Address, Redirect string }

// Fill returns the text of a snippet with values.
func (s Snippet) Fill(v Values) string {
	host := v.Address
	if u, err := url.Parse(v.Address); err == nil && u.Host != "" {
		host = u.Host
	}
	return strings.NewReplacer("{issuer}", v.Issuer, "{client_id}", v.ClientID, "{client_secret}", v.Secret,
		"{url}", v.Address, "{host}", host, "{redirect_uri}", v.Redirect).Replace(s.Text)
}

// ByID returns a recipe; false if there is none.
func ByID(id string) (Recipe, bool) {
	i := slices.IndexFunc(Recipes, func(r Recipe) bool { return r.ID == id })
	if i < 0 {
		return Recipe{}, false
	}
	return Recipes[i], true
}

// Of returns the recipe that a client was probably registered with, by its redirect URIs or its name.
func Of(c idp.Client) (Recipe, bool) {
	for _, r := range Recipes {
		for _, pattern := range r.Redirects {
			path, below := strings.CutPrefix(pattern, "{url}")
			if !below || len(path) < 5 || path == "/callback" { // any application may have it
				continue
			}
			if slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return strings.HasSuffix(uri, path) }) {
				return r, true
			}
		}
	}
	for _, r := range Recipes {
		if c.Name == r.Name || strings.HasPrefix(c.Name, r.Name+" ") {
			return r, true
		}
	}
	return Recipe{}, false
}

// Address returns the address of the application, from a redirect URI of a client that was registered with the recipe.
func (r Recipe) Address(c idp.Client) string {
	for _, pattern := range r.Redirects {
		path, below := strings.CutPrefix(pattern, "{url}")
		for _, uri := range c.RedirectURIs {
			if address, ok := strings.CutSuffix(uri, path); below && ok {
				return strings.TrimSuffix(address, "/")
			}
		}
	}
	return strings.TrimSuffix(c.URI, "/")
}

// ParseAddress returns the address of an application as recipes need it; false if it cannot be one. It allows only what
// means the same in every configuration file.
func ParseAddress(typed string) (string, bool) {
	typed = strings.TrimRight(strings.TrimSpace(typed), "/")
	if !strings.Contains(typed, "://") && typed != "" {
		typed = "https://" + typed
	}
	u, err := url.Parse(typed)
	plain := !strings.ContainsFunc(typed, func(r rune) bool {
		letter := 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9'
		return !letter && !strings.ContainsRune("-._~:/[]", r)
	})
	if err != nil || !plain || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || len(typed) > 500 {
		return "", false
	}
	return typed, true
}

// Client returns the registration for an application at an address, without a name, an ID and a secret.
func (r Recipe) Client(address string) idp.Client {
	c := idp.Client{
		Name: r.Name, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, AnySecretMethod: true,
		IDTokenAlg: idp.RS256, Native: r.Native, IDTokenClaims: r.InIDToken,
	}
	if r.Policy != "" {
		c.Policy = r.Policy
	}
	if r.Public {
		c.AuthMethod, c.AnySecretMethod = idp.AuthMethodNone, false
	}
	if r.API {
		c.ResourceServer, c.Audience = true, nil
		if address != "" {
			c.URI = address
		}
		return c
	}
	c.GrantTypes = []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken}
	c.Scopes = append([]string{"openid"}, r.Scopes...)
	if address != "" || r.NoAddress {
		c.RedirectURIs, c.PostLogoutRedirectURIs = below(address, r.Redirects), below(address, r.PostLogout)
	}
	return c
}

func below(address string, patterns []string) (uris []string) {
	for _, pattern := range patterns {
		uris = append(uris, strings.ReplaceAll(pattern, "{url}", address))
	}
	return uris
}
