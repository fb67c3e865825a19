package recipe_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/config/policy"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/recipe"
)

// ownPKCE are applications that send a code challenge without being told to.
var ownPKCE = []string{
	"kubernetes",     // kubelogin, if the metadata has S256
	"proxmox",        // proxmox-openid
	"vault",          // vault-plugin-auth-jwt
	"immich",         // openid-client
	"home-assistant", // hass-oidc-auth
	"go",             // the snippet passes the verifier where a sign-in begins
}

var (
	printedURL   = regexp.MustCompile(`https?://[^\s"',;)}\]]+`)
	printedScope = regexp.MustCompile(`(?i)scopes?[a-z_-]*["']?\s*[:=({]?\s*["'\[({]*((?:openid|profile|email|groups|phone|address|offline_access)[a-z_ ,"']*)`)
	printedPKCE  = regexp.MustCompile(`(?i)pkce[a-z]*\s*[:=>]*\s*true|use_pkce|S256|pkceCodeVerifier`)
)

// What a recipe prints for the other side is what it registers here: addresses, scopes, PKCE, and how the client proves
// itself.
func TestEveryRecipePrintsWhatItRegisters(t *testing.T) {
	const issuer = "https://id.example.org"
	endpoints := []string{
		"", oauth.PathAuthorize, oauth.PathToken, oauth.PathUserInfo, oauth.PathIntrospect, oauth.PathEndSession,
		"/.well-known/openid-configuration",
	}
	for _, r := range recipe.Recipes {
		address, _ := recipe.ParseAddress(r.Example)
		c := r.Client(address)
		c.ID = "some-client"
		v := recipe.Values{Issuer: issuer, ClientID: c.ID, Secret: "SECRET", Address: address}
		if len(c.RedirectURIs) > 0 {
			v.Redirect = c.RedirectURIs[0]
		}
		all := ""
		for _, s := range r.Snippets {
			all += recipe.Snippet{Text: s.Place}.Fill(v) + "\n" + s.Fill(v) + "\n"
		}
		registered := slices.Concat(c.RedirectURIs, c.PostLogoutRedirectURIs, []string{address, address + "/"})
		if r.API { // its own metadata
			registered = append(registered, address+"/.well-known/oauth-protected-resource")
		}
		for _, uri := range printedURL.FindAllString(all, -1) {
			path, ours := strings.CutPrefix(uri, issuer)
			switch {
			case ours && !slices.Contains(endpoints, path):
				t.Errorf("%s prints %s, which is no endpoint", r.ID, uri)
			case !ours && !slices.Contains(registered, strings.TrimSuffix(uri, ":")):
				t.Errorf("%s prints %s, and registers %q", r.ID, uri, registered)
			}
		}
		for _, list := range printedScope.FindAllStringSubmatch(all, -1) {
			for _, scope := range strings.FieldsFunc(list[1], func(c rune) bool { return strings.ContainsRune(` ,"'`, c) }) {
				if !slices.Contains(c.Scopes, scope) && slices.Contains(idp.StandardScopes, scope) {
					t.Errorf("%s asks for the scope %s, and registers %q", r.ID, scope, c.Scopes)
				}
			}
		}
		if secret := strings.Contains(all, "SECRET"); secret == c.Public() {
			t.Errorf("%s prints a secret: %v, but the client is public: %v", r.ID, secret, c.Public())
		}
		if !c.Public() && !c.AnySecretMethod {
			t.Errorf("%s accepts only %s, and nobody knows what the application does", r.ID, c.AuthMethod)
		}
		if pkce := printedPKCE.MatchString(all) || slices.Contains(ownPKCE, r.ID); !r.API && c.NeedsPKCE() && !pkce {
			t.Errorf("%s needs PKCE, and does not say so to the application", r.ID)
		}
		if faults := c.Faults(policy.Default()); len(faults) > 0 && c.Public() {
			t.Errorf("%s: %q", r.ID, faults)
		}
	}
}
