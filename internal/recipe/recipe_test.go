package recipe_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config/policy"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/recipe"
)

func TestEveryRecipeRegistersAndFillsItsConfiguration(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range recipe.Recipes {
		address, ok := recipe.ParseAddress(r.Example)
		if seen[r.ID] || r.Name == "" || len(r.Snippets) == 0 || !ok && !r.NoAddress {
			t.Errorf("%s: incomplete", r.ID)
		}
		seen[r.ID] = true
		c := r.Client(address)
		c.ID = "some-client"
		var secret idp.Secret
		if !c.Public() {
			secret = c.AddSecret(time.Now())
		}
		if faults := c.Faults(policy.Default()); len(faults) > 0 {
			t.Errorf("%s cannot be registered: %q", r.ID, faults)
		}
		v := recipe.Values{Issuer: "https://id.example.com", ClientID: c.ID, Secret: secret.Reveal(), Address: address}
		if len(c.RedirectURIs) > 0 {
			v.Redirect = c.RedirectURIs[0]
		}
		var all string
		for _, s := range r.Snippets {
			text := s.Fill(v)
			if left := regexp.MustCompile(`\{(issuer|client_id|client_secret|url|host|redirect_uri)\}`).FindString(text); left != "" {
				t.Errorf("%s, %s: %s is left", r.ID, s.Place, left)
			}
			all += text
		}
		for _, want := range []string{v.Issuer, v.ClientID, v.Secret} {
			if !strings.Contains(all, want) {
				t.Errorf("%s does not say %s", r.ID, want)
			}
		}
		for _, uri := range c.RedirectURIs {
			if !strings.HasPrefix(uri, address) && !strings.HasPrefix(uri, "http://localhost:") {
				t.Errorf("%s: %s is elsewhere", r.ID, uri)
			}
		}
		if of, ok := recipe.Of(c); !ok || of.ID != r.ID {
			t.Errorf("%s is taken for %s", r.ID, of.ID)
		}
		if got := r.Address(c); address != "" && got != address {
			t.Errorf("%s: address %q, want %q", r.ID, got, address)
		}
	}
}

// The API server gives every right to members of a group called system:masters, whoever made it.
func TestGroupsOfKubernetesHaveAPrefix(t *testing.T) {
	r, _ := recipe.ByID("kubernetes")
	flags, binding := r.Snippets[0].Text, r.Snippets[2].Text
	if !strings.Contains(flags, "--oidc-groups-prefix=oidc:") || !strings.Contains(binding, "name: oidc:cluster-admins") {
		t.Errorf("%s\n%s", flags, binding)
	}
}

// What is typed goes into files of other programs, where a quotation mark or a blank would mean something.
func TestAnAddressIsPlain(t *testing.T) {
	for typed, want := range map[string]string{
		"https://a.example.com/":              "https://a.example.com",
		" a.example.com ":                     "https://a.example.com",
		"https://a.example.com:8443/x/":       "https://a.example.com:8443/x",
		"http://localhost:3000":               "http://localhost:3000",
		"":                                    "",
		"javascript:alert(1)":                 "",
		"ftp://a.example.com":                 "",
		`https://a.example.com/"x`:            "",
		"https://a.example.com/$(id)":         "",
		"https://a.example.com/a b":           "",
		"https://a.example.com/'":             "",
		"https://a.example.com/x?y=z":         "",
		"https://a.example.com/\nsecret":      "",
		"https://a@evil.example.com":          "",
		"https://" + strings.Repeat("a", 600): "",
	} {
		if got, ok := recipe.ParseAddress(typed); got != want || ok != (want != "") {
			t.Errorf("%q: %q %v, want %q", typed, got, ok, want)
		}
	}
}
