package provider

import (
	"net/http"
	"net/url"
	"reflect"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// A trial tests by the provider's behaviour whether a policy permits what a field of idp.Rules is about.
type trial func(h *house, u idp.User, policy idp.ClientPolicy) bool

// strictly requests tokens in a way that every policy permits, after edits of the authorization and token request.
func (h *house) strictly(c idp.Client, u idp.User, proof func(*http.Request), params ...string) reply {
	h.t.Helper()
	pushed := h.post(oauth.PathPAR, withAssertion(request(c, params...), h.goodAssertion(c).text(h.t)))
	if pushed.StatusCode != 201 {
		h.t.Fatalf("push: %s", pushed.body)
	}
	h.begun(c, pushed.json(h.t)["request_uri"].(string))
	done, err := h.respond(h.outcome(u))
	check(h.t, err)
	return h.exchangeWith(c, done.query().Get("code"), proof)
}

// goodProof is a proof with our nonce.
func (h *house) goodProof(path string) func(*http.Request) {
	return proof(h, dpoptest.New("ES256"), "POST", path, dpoptest.Claims{"nonce": h.nonce()})
}

// nonce returns the current nonce, which every response to a proof contains.
func (h *house) nonce() string {
	return h.post(oauth.PathToken, url.Values{}, func(r *http.Request) { r.Header.Set("DPoP", "x") }).Header.Get("DPoP-Nonce")
}

func bare(*http.Request) {}

var trials = map[string]trial{
	"WithoutPKCE": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		form := request(c, "code_challenge", "", "code_challenge_method", "")
		return h.post(oauth.PathPAR, withAssertion(form, h.goodAssertion(c).text(h.t))).StatusCode == 201
	},
	"WithoutPush": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		return interacts(h.authorize(request(h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256))))
	},
	"SharedSecrets": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		return registrable(h.addClient(func(c *idp.Client) { c.Policy = policy }))
	},
	"Public": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		return registrable(h.addClient(func(c *idp.Client) { c.Policy, c.AuthMethod = policy, idp.AuthMethodNone }))
	},
	"BearerTokens": func(h *house, u idp.User, policy idp.ClientPolicy) bool {
		return h.strictly(h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256), u, bare).StatusCode == 200
	},
	"WithoutNonce": func(h *house, u idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		return h.strictly(c, u, proof(h, dpoptest.New("ES256"), "POST", oauth.PathToken)).StatusCode == 200
	},
	"RS256": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.RS256)
		a := h.goodAssertion(c)
		a.alg, a.key, a.header = keys.RS256, clientKeys()[keys.RS256], map[string]any{"alg": keys.RS256, "kid": "kid-" + keys.RS256}
		believed, _ := h.believes(a.text(h.t))
		c.IDTokenAlg, c.JWKS = keys.RS256, h.addKeyClient(nil, keys.ES256).JWKS
		if believed != registrable(c) {
			h.t.Errorf("%s: RS256 for assertions: %v, and for ID tokens not the same", policy, believed)
		}
		return believed
	},
	"AudienceLists": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		list, endpoint := h.goodAssertion(c), h.goodAssertion(c)
		list.claims["aud"], endpoint.claims["aud"] = []string{h.url}, h.url+oauth.PathToken
		one, _ := h.believes(list.text(h.t))
		other, _ := h.believes(endpoint.text(h.t))
		if one != other {
			h.t.Errorf("%s: a list %v, the token endpoint %v", policy, one, other)
		}
		return one
	},
	"UndatedRequests": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		push := func(missing string) bool {
			object := h.goodObject(c)
			delete(object.claims, missing)
			return h.post(oauth.PathPAR, withAssertion(signed(c, object.text(h.t)), h.goodAssertion(c).text(h.t))).StatusCode == 201
		}
		if !push("jti") || push("exp") != push("nbf") {
			h.t.Errorf("%s: exp and nbf are not treated alike", policy)
		}
		return push("nbf")
	},
	"Rotation": func(h *house, u idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		first := h.strictly(c, u, h.goodProof(oauth.PathToken), "scope", "openid offline_access").json(h.t)["refresh_token"]
		r := h.refreshWith(c, first, h.goodProof(oauth.PathToken))
		if r.StatusCode != 200 {
			h.t.Errorf("%s: %s", policy, r.body)
		}
		return r.json(h.t)["refresh_token"] != first
	},
	"LocalRedirects": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		with := func(uri string, native bool) bool {
			return registrable(h.addKeyClient(func(c *idp.Client) { c.Policy, c.Native, c.RedirectURIs = policy, native, []string{uri} }, keys.ES256))
		}
		local := with("http://127.0.0.1/cb", false)
		if with("com.example.app:/cb", true) != (local && policy != idp.PolicyCompatible) { // which is not for native clients at all
			h.t.Errorf("%s: a private-use scheme", policy)
		}
		return local
	},
	"Devices": func(h *house, _ idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy, c.GrantTypes = policy, []string{idp.GrantDeviceCode} }, keys.ES256)
		r := h.post(oauth.PathDeviceAuthorization, withAssertion(url.Values{"scope": {"openid"}}, h.goodAssertion(c).text(h.t)))
		if served := r.StatusCode == 200; served != registrable(c) {
			h.t.Errorf("%s: served %v, but not registered so: %s", policy, served, r.body)
		}
		return r.StatusCode == 200
	},
	"AccessTTL": func(h *house, u idp.User, policy idp.ClientPolicy) bool {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy, c.AccessTTL = policy, time.Hour }, keys.ES256)
		return h.strictly(c, u, h.goodProof(oauth.PathToken)).json(h.t)["expires_in"].(float64) > 600
	},
}

func TestEachCellOfThePolicyTableHolds(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, policy := range idp.Policies {
		rules := reflect.ValueOf(idp.Client{Policy: policy}.Rules())
		for i := range rules.NumField() {
			name := rules.Type().Field(i).Name
			permitted := rules.Field(i).IsZero() == (name == "AccessTTL") // a bool that is set, or a bound that is not
			t.Run(string(policy)+"/"+name, func(t *testing.T) {
				try := trials[name]
				if try == nil {
					t.Fatal("a column that no trial covers: add a trial")
				}
				outer := h.t
				h.t = t
				defer func() { h.t = outer }()
				if got := try(h, u, policy); got != permitted {
					t.Errorf("permitted: %v, by the table: %v", got, permitted)
				}
			})
		}
	}
}

// These rules hold for every policy.
func TestNoPolicyAcceptsPlainPKCEOrUnprovenBoundTokens(t *testing.T) {
	h := open(t)
	for _, policy := range idp.Policies {
		c := h.addKeyClient(func(c *idp.Client) { c.Policy = policy }, keys.ES256)
		form := withAssertion(request(c, "code_challenge_method", "plain"), h.goodAssertion(c).text(t))
		wantError(t, h.post(oauth.PathPAR, form), 400, "invalid_request")
		r := h.strictly(c, h.addUser(), h.goodProof(oauth.PathToken))
		if r.StatusCode != 200 || r.json(t)["token_type"] != "DPoP" {
			t.Fatalf("%s: %s", policy, r.body)
		}
		wantError(t, h.userinfo(r.json(t)["access_token"]), 401, "invalid_token")
	}
}

func TestTheOperatorMayRequirePushedRequestsOfAllClients(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.rebuild(func(c *Config) { c.RequirePAR = true })
	if q := h.authorize(request(c)).query(); q.Get("error") != "invalid_request" {
		t.Errorf("%v", q)
	}
	h.begun(c, h.pushed(c))
	if said := h.get("/.well-known/oauth-authorization-server").json(t)["require_pushed_authorization_requests"]; said != true {
		t.Errorf("the metadata says %v", said)
	}
}
