package console

import (
	"cmp"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/words"
)

// authSecret is the choice of clients that send their secret in any way.
const authSecret = "client_secret"

// clientNames maps members of a client to fields of its form.
var clientNames = map[string]string{
	"redirect_uri": "redirect_uris", "grant_types": "grants", "policy": "policy", "scope": "scopes",
	"minimum_acr": "acr", "any_secret_method": "token_endpoint_auth_method",
}

// scopes returns the configured scopes: the standard ones, then the others by name.
func (c *Console) scopes() []string {
	names := slices.DeleteFunc(slices.Clone(idp.StandardScopes), func(s string) bool {
		_, known := c.cfg.Policy.Scopes[s]
		return !known
	})
	for _, name := range slices.Sorted(maps.Keys(c.cfg.Policy.Scopes)) {
		if !slices.Contains(idp.StandardScopes, name) {
			names = append(names, name)
		}
	}
	return names
}

// acrs returns the names of all acr values.
func (c *Console) acrs() []string {
	return append([]string{idp.ACRPhishingResistant, idp.ACRPhishingResistantHardware},
		slices.Sorted(maps.Keys(c.cfg.Policy.Aliases))...)
}

// withOwn returns the choices and after them what a client has that is no choice any more: saving its form must report
// that, not take it away.
func withOwn(choices []string, own ...string) []string {
	for _, value := range own {
		if value != "" && !slices.Contains(choices, value) {
			choices = append(slices.Clip(choices), value)
		}
	}
	return choices
}

// grantChoices are the grants of the form; authorization_code belongs to every client with a redirect URI.
var grantChoices = []string{
	idp.GrantRefreshToken, idp.GrantDeviceCode, idp.GrantClientCredentials, idp.GrantTokenExchange,
}

var authMethods = []string{
	authSecret, idp.AuthMethodBasic, idp.AuthMethodPost, idp.AuthMethodNone, idp.AuthMethodPrivateKey,
	idp.AuthMethodTLS, idp.AuthMethodSelfSigned,
}

func authOf(c idp.Client) string {
	if c.AnySecretMethod {
		return authSecret
	}
	return c.AuthMethod
}

func keyed(prefix string, values []string, on ...string) (list []desk.Choice) {
	for _, v := range values {
		last := v[strings.LastIndexByte(v, ':')+1:] // of a URN
		list = append(list, desk.Choice{Value: v, Text: words.T(prefix + last), On: slices.Contains(on, v)})
	}
	return list
}

// clientForm returns the form of a client. A new one has a field for its ID; with an address, that stands for the
// redirect URIs.
func (c *Console) clientForm(cl idp.Client, isNew bool, address *desk.Field) desk.Form {
	text := func(name, value string) desk.Field {
		return desk.Field{Kind: desk.KindText, Name: name, Key: "console.client." + name, Value: value}
	}
	many := func(name string, values []string) desk.Field {
		f := text(name, strings.Join(values, "\n"))
		f.Kind = desk.KindLines
		return f
	}
	name := text("client_name", cl.Name)
	name.Test, name.Required = "client-name", true
	redirect := many("redirect_uris", cl.RedirectURIs)
	redirect.Test, redirect.Example = "client-redirect", "https://app.example.com/callback"
	first := desk.Section{Fields: []desk.Field{name, redirect}, Open: true}
	if address != nil {
		first.Fields[1] = *address
	}

	var maxAge string
	if cl.DefaultMaxAge != nil {
		maxAge = duration.Short(*cl.DefaultMaxAge)
	}
	age := text("default_max_age", maxAge)
	age.Example = "8h"
	groups := text("allowed_groups", strings.Join(cl.AllowedGroups, ", "))
	groups.Example = "engineering, support"
	auth := desk.Section{Title: words.T("console.client.auth"), Present: methodWords(authOf(cl)), Fields: []desk.Field{
		{
			Kind: desk.KindSelect, Name: "token_endpoint_auth_method", Key: "console.client.token_endpoint_auth_method",
			Choices: keyed("console.auth.", authMethods, authOf(cl)),
		},
		text("jwks_uri", cl.JWKSURI),
		{Kind: desk.KindCheck, Name: "native", Key: "console.client.native", On: cl.Native},
		{
			Kind: desk.KindSelect, Name: "policy", Key: "console.client.policy",
			Choices: keyed("console.policy.", []string{
				string(idp.PolicyStandard), string(idp.PolicyCompatible), string(idp.PolicyFAPI2),
			}, string(cl.Policy)),
		},
	}}
	if isNew {
		auth.Fields = append(auth.Fields, text("client_id", cl.ID))
	}
	afterSignOut := words.T("console.addresses", "n", len(cl.PostLogoutRedirectURIs))
	acr := []desk.Choice{{Text: words.T("console.acr.any"), On: cl.MinimumACR == ""}}
	acr = append(acr, desk.Choices(withOwn(c.acrs(), cl.MinimumACR), cl.MinimumACR)...)
	return desk.Form{Sections: []desk.Section{
		first,
		{Title: words.T("console.client.who"), Present: whoWords(cl), Fields: []desk.Field{
			groups,
			{Kind: desk.KindCheck, Name: "first_party", Key: "console.client.first_party", On: cl.FirstParty},
		}},
		{Title: words.T("console.client.claims"), Present: plainly(strings.Join(cl.Scopes, " ")), Fields: []desk.Field{
			{
				Kind: desk.KindChecks, Name: "scopes", Key: "console.client.scopes",
				Choices: desk.Choices(withOwn(c.scopes(), cl.Scopes...), cl.Scopes...),
			},
			{
				Kind: desk.KindChecks, Name: "id_token_claims", Key: "console.client.id_token_claims",
				Choices: desk.Choices(idp.ClaimScopes, cl.IDTokenClaims...),
			},
			text("groups_claim", cl.GroupsClaim.Name),
			text("groups_prefix", cl.GroupsClaim.Prefix),
			text("groups_only", strings.Join(cl.GroupsClaim.Only, ", ")),
			many("claim_mappings", mappingLines(cl.ClaimMappings)),
		}},
		auth,
		{Title: words.T("console.client.strength"), Present: plainly(cmp.Or(cl.MinimumACR, "phr")), Fields: []desk.Field{
			{Kind: desk.KindSelect, Name: "acr", Key: "console.client.acr", Choices: acr},
			age,
		}},
		{Title: words.T("console.client.signout"), Present: afterSignOut, Fields: []desk.Field{
			many("post_logout_redirect_uris", cl.PostLogoutRedirectURIs),
			text("backchannel_logout_uri", cl.BackchannelLogoutURI),
			text("frontchannel_logout_uri", cl.FrontchannelLogoutURI),
		}},
		{
			Title: words.T("console.client.tokens"), Present: plainly(cmp.Or(string(cl.AccessFormat), "jwt")),
			Fields: []desk.Field{
				{
					Kind: desk.KindChecks, Name: "grants", Key: "console.client.grants",
					Choices: keyed("console.grant.", grantChoices, cl.GrantTypes...),
				},
				{
					Kind: desk.KindSelect, Name: "access_token_format", Key: "console.client.access_token_format",
					Choices: desk.Choices([]string{"jwt", "opaque"}, cmp.Or(string(cl.AccessFormat), "jwt")),
				},
				{
					Kind: desk.KindSelect, Name: "id_token_signed_response_alg", Key: "console.client.id_token_signed_response_alg",
					Choices: desk.Choices(idp.IDTokenAlgorithms, cmp.Or(cl.IDTokenAlg, idp.ES256)),
				},
				many("audience", cl.Audience),
				{Kind: desk.KindCheck, Name: "resource_server", Key: "console.client.resource_server", On: cl.ResourceServer},
			},
		},
		{Title: words.T("console.client.look"), Present: plainly(hostOf(cl.URI)), Fields: []desk.Field{
			text("client_uri", cl.URI), text("logo_uri", cl.LogoURI), text("policy_uri", cl.PolicyURI),
			text("tos_uri", cl.TOSURI),
			many("contacts", cl.Contacts),
		}},
	}}
}

func methodWords(method string) words.Text { return words.T("console.auth." + method) }

// whoWords says who may use a client.
func whoWords(c idp.Client) words.Text {
	if len(c.AllowedGroups) == 0 {
		return words.T("console.everyone")
	}
	return plainly(strings.Join(c.AllowedGroups, ", "))
}

// plainly returns data as a text of the catalogue.
func plainly(data string) words.Text { return words.T("console.plain", "text", data) }

func hostOf(uri string) string {
	u, err := url.Parse(uri)
	if err != nil {
		return ""
	}
	return cmp.Or(u.Host, u.Scheme)
}

// readClient returns a client with what its form says. What the form does not have stays as in was.
func (c *Console) readClient(was idp.Client, f url.Values) (cl idp.Client, faults directory.Faults) {
	text := func(name string) string { return strings.TrimSpace(f.Get(name)) }
	cl = was
	cl.Name = text("client_name")
	cl.AllowedGroups, cl.FirstParty = desk.Listed(f.Get("allowed_groups")), f.Get("first_party") != ""
	cl.Scopes = desk.Checked(f, "scopes", withOwn(c.scopes(), was.Scopes...))
	cl.IDTokenClaims = append(desk.Checked(f, "id_token_claims", idp.ClaimScopes), // keep what the form cannot show
		slices.DeleteFunc(slices.Clone(was.IDTokenClaims), func(s string) bool {
			return slices.Contains(idp.ClaimScopes, s)
		})...)
	cl.GroupsClaim.Name, cl.GroupsClaim.Prefix = text("groups_claim"), f.Get("groups_prefix")
	cl.GroupsClaim.Only = desk.Listed(f.Get("groups_only"))
	if _, asked := f["claim_mappings"]; asked {
		var wrong directory.Faults
		cl.ClaimMappings, wrong = readMappings(desk.Lines(f, "claim_mappings"))
		faults = append(faults, wrong...)
	}
	if method := text("token_endpoint_auth_method"); method == authSecret {
		cl.AnySecretMethod = true
		if cl.AuthMethod != idp.AuthMethodPost {
			cl.AuthMethod = idp.AuthMethodBasic
		}
	} else {
		cl.AnySecretMethod, cl.AuthMethod = false, method
	}
	cl.JWKSURI, cl.Native, cl.Policy = text("jwks_uri"), f.Get("native") != "", idp.ClientPolicy(text("policy"))
	cl.MinimumACR, cl.DefaultMaxAge = text("acr"), nil
	if typed := text("default_max_age"); typed != "" {
		age, err := duration.Parse(typed)
		if err != nil || age < 0 {
			faults = append(faults, directory.Fault{Field: "default_max_age", Text: "must be a duration, such as 8h or 30m"})
		}
		cl.DefaultMaxAge = &age
	}
	cl.PostLogoutRedirectURIs = desk.Lines(f, "post_logout_redirect_uris")
	cl.BackchannelLogoutURI, cl.FrontchannelLogoutURI = text("backchannel_logout_uri"), text("frontchannel_logout_uri")
	cl.AccessFormat, cl.IDTokenAlg = idp.TokenFormat(text("access_token_format")), text("id_token_signed_response_alg")
	cl.Audience, cl.ResourceServer = desk.Lines(f, "audience"), f.Get("resource_server") != ""
	cl.URI, cl.LogoURI, cl.PolicyURI, cl.TOSURI = text("client_uri"), text("logo_uri"), text("policy_uri"), text("tos_uri")
	cl.Contacts = desk.Lines(f, "contacts")
	if _, asked := f["redirect_uris"]; asked {
		cl.RedirectURIs = desk.Lines(f, "redirect_uris")
	}
	cl.GrantTypes = desk.Checked(f, "grants", grantChoices)
	if len(cl.RedirectURIs) > 0 || len(cl.GrantTypes) == 0 && !cl.ResourceServer {
		cl.GrantTypes = append([]string{idp.GrantAuthorizationCode}, cl.GrantTypes...)
	}
	if !slices.ContainsFunc(cl.GrantTypes, idp.SignsIn) { // what it could not use
		cl.GrantTypes = slices.DeleteFunc(cl.GrantTypes, func(g string) bool { return g == idp.GrantRefreshToken })
	}
	return cl, faults
}

// newClient returns the client that a new form begins with.
func newClient(now time.Time) idp.Client {
	return idp.Client{
		Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, AnySecretMethod: true, IDTokenAlg: idp.RS256,
		GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken},
		Scopes:     []string{"openid", "profile", "email", "offline_access"}, CreatedAt: now, UpdatedAt: now,
	}
}
