package provider

import (
	"encoding/json"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/client"
	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// A truth tests one member of the metadata: it compares the claim with the provider's behaviour.
type truth func(t *testing.T, h *house, said any)

// truths has a row for every member. If you announce something new, add a row: use it as a client would that knows only
// the metadata, and also test what is not announced. For lists of values there is only; for the path of an endpoint,
// h.at(said).
var truths = map[string]truth{
	"issuer": func(t *testing.T, h *house, said any) {
		if _, id := claims(t, h.tokens(h.addClient(nil), h.addUser())["id_token"]); id["iss"] != said {
			t.Errorf("tokens are of %v", id["iss"])
		}
	},
	"authorization_endpoint": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		if r := h.get(h.at(said) + "?" + request(c).Encode()); !interacts(r) {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"pushed_authorization_request_endpoint": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		if r := h.post(h.at(said), request(c), basic(c)); r.StatusCode != 201 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"userinfo_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		for _, alg := range listed(t, said) {
			c := h.addClient(func(c *idp.Client) { c.UserInfoAlg = alg })
			if header, _ := claims(t, h.userinfo(h.tokens(c, h.addUser())["access_token"]).body); header["alg"] != alg || !registrable(c) {
				t.Errorf("%s: %v", alg, header)
			}
		}
		if c := h.addClient(func(c *idp.Client) { c.UserInfoAlg = "none" }); registrable(c) {
			t.Error("none can be registered")
		}
	},
	"introspection_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		for _, alg := range listed(t, said) {
			c := h.addClient(func(c *idp.Client) { c.IntrospectionAlg = alg })
			r := h.post(oauth.PathIntrospect, url.Values{"token": {"x"}}, basic(c), wantsSigned)
			if header, _ := claims(t, r.body); header["alg"] != alg {
				t.Errorf("%s: %v", alg, header)
			}
		}
	},
	"authorization_details_types_supported": func(t *testing.T, h *house, said any) {
		for _, name := range listed(t, said) {
			c := h.addClient(func(c *idp.Client) { c.DetailTypes = []string{name} })
			tok := h.tokens(c, h.addUser(), "authorization_details", `[{"type":"`+name+`","amount":1}]`)
			if tok["authorization_details"] == nil {
				t.Errorf("%s: %v", name, tok)
			}
		}
	},
	"require_pushed_authorization_requests": func(t *testing.T, h *house, said any) {
		if unpushed := interacts(h.authorize(request(h.addClient(nil)))); unpushed == said.(bool) {
			t.Errorf("a request that was not pushed is taken: %v", unpushed)
		}
	},
	"device_authorization_endpoint": func(t *testing.T, h *house, said any) {
		r := h.post(h.at(said), url.Values{"client_id": {h.addDevice(nil).ID}, "scope": {"openid"}})
		if m := r.json(t); r.StatusCode != 200 || m["device_code"] == nil || m["user_code"] == nil {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"token_endpoint": func(t *testing.T, h *house, said any) {
		c, u := h.addClient(nil), h.addUser()
		if r := h.post(h.at(said), exchangeForm(h.code(c, u)), basic(c)); r.json(t)["access_token"] == nil {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"userinfo_endpoint": func(t *testing.T, h *house, said any) {
		tok := h.tokens(h.addClient(nil), h.addUser())
		r := h.post(h.at(said), url.Values{"access_token": {tok["access_token"].(string)}})
		if r.json(t)["sub"] == nil {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"jwks_uri": func(t *testing.T, h *house, said any) {
		header, _ := claims(t, h.tokens(h.addClient(nil), h.addUser())["id_token"])
		if r := h.get(h.at(said)); !strings.Contains(r.body, `"`+header["kid"].(string)+`"`) {
			t.Errorf("no key %v: %s", header["kid"], r.body)
		}
	},
	"introspection_endpoint": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		tok := h.tokens(c, h.addUser())
		if r := h.post(h.at(said), url.Values{"token": {tok["access_token"].(string)}}, basic(c)); r.json(t)["active"] != true {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"revocation_endpoint": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		tok := h.tokens(c, h.addUser())
		h.post(h.at(said), url.Values{"token": {tok["access_token"].(string)}}, basic(c))
		if h.introspect(c, tok["access_token"])["active"] != false {
			t.Error("revoked, and still active")
		}
	},
	"registration_endpoint": func(t *testing.T, h *house, said any) {
		if r := h.sendJSON("POST", h.at(said), `{"redirect_uris":["https://app.example/cb"]}`, ""); r.StatusCode != 201 {
			t.Errorf("%d %s", r.StatusCode, r.body)
		}
	},
	"client_id_metadata_document_supported": func(t *testing.T, h *house, said any) {
		address := h.describedClient(func() string { return `"redirect_uris":["https://app.example/cb"]` })
		if got := interacts(h.authorize(request(idp.Client{ID: address}))); got != said {
			t.Errorf("supported: %v", got)
		}
	},
	"end_session_endpoint": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		sess, tok := h.signIn(c, h.addUser())
		if h.get(h.at(said) + "?id_token_hint=" + tok["id_token"].(string)); h.signedIn(sess) {
			t.Error("still signed in")
		}
	},
	"backchannel_logout_supported":          heardOf,
	"backchannel_logout_session_supported":  heardOf,
	"frontchannel_logout_supported":         framed,
	"frontchannel_logout_session_supported": framed,
	"scopes_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(func(c *idp.Client) { c.Scopes = append(c.Scopes, "unheard-of") })
		only(t, said, func(scope string) bool {
			r := h.authorize(request(c, "scope", scope))
			return interacts(r) && slices.Equal(h.last.Request.Scopes, []string{scope})
		}, "unheard-of", "OPENID")
	},
	"response_types_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool { return interacts(h.authorize(request(c, "response_type", v))) },
			"token", "id_token", "id_token token", "code id_token", "code token", "code id_token token", "none", "x")
	},
	"response_modes_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool { return interacts(h.authorize(request(c, "response_mode", v))) },
			"fragment", "jwt", "query.jwt", "fragment.jwt", "form_post.jwt", "web_message", "x")
	},
	"grant_types_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool {
			return h.post(oauth.PathToken, url.Values{"grant_type": {v}}, basic(c)).json(t)["error"] != "unsupported_grant_type"
		}, "implicit", "password", "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:saml2-bearer",
			"urn:openid:params:grant-type:ciba", "x")
	},
	"acr_values_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool {
			h.authorize(request(c, "acr_values", v))
			return slices.Equal(h.last.Requirement.ACRValues, []string{v})
		}, "1", "urn:mace:incommon:iap:silver", "x")
	},
	"subject_types_supported": func(t *testing.T, h *house, said any) {
		u := h.addUser()
		only(t, said, func(v string) bool {
			c := h.addClient(func(c *idp.Client) { c.SubjectType = idp.SubjectType(v) })
			_, id := claims(t, h.tokens(c, u)["id_token"])
			return registrable(c) && (id["sub"] == u.ID) == (v == "public")
		}, "x")
	},
	"id_token_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		u := h.addUser()
		only(t, said, func(v string) bool {
			c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = v })
			if !registrable(c) {
				return false
			}
			header, _ := claims(t, h.tokens(c, u)["id_token"])
			return header["alg"] == v
		}, "none", "HS256", "ES384", "RS512", "x")
	},
	"token_endpoint_auth_methods_supported":                    authenticatesAt(oauth.PathToken, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"a.b"}}),
	"revocation_endpoint_auth_methods_supported":               authenticatesAt(oauth.PathRevoke, url.Values{"token": {"x"}}),
	"introspection_endpoint_auth_methods_supported":            authenticatesAt(oauth.PathIntrospect, url.Values{"token": {"x"}}),
	"token_endpoint_auth_signing_alg_values_supported":         signsAssertionsAt(oauth.PathToken, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {"a.b"}}),
	"revocation_endpoint_auth_signing_alg_values_supported":    signsAssertionsAt(oauth.PathRevoke, url.Values{"token": {"x"}}),
	"introspection_endpoint_auth_signing_alg_values_supported": signsAssertionsAt(oauth.PathIntrospect, url.Values{"token": {"x"}}),
	"display_values_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		for _, v := range listed(t, said) { // others are ignored: there is one way to show a page (OIDC Core §3.1.2.1)
			if !interacts(h.authorize(request(c, "display", v))) {
				t.Errorf("display=%s is refused", v)
			}
		}
	},
	"ui_locales_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		for _, tag := range append(listed(t, said), "tlh") {
			r := h.authorize(request(c, "ui_locales", tag, "redirect_uri", "https://elsewhere.example.com"))
			want := map[bool]string{true: "en", false: tag}[tag == "tlh"]
			if !strings.Contains(r.body, `<html lang="`+want+`"`) {
				t.Errorf("ui_locales=%s: not in %s: %.100s", tag, want, r.body)
			}
		}
	},
	"claim_types_supported": func(t *testing.T, h *house, said any) {
		tok := h.tokens(h.addClient(nil), h.addUser(), "scope", everyScope)
		m := h.userinfo(tok["access_token"]).json(t)
		if got := listed(t, said); !slices.Equal(got, []string{"normal"}) || m["_claim_names"] != nil || m["_claim_sources"] != nil {
			t.Errorf("%v, and userinfo says %v", got, m)
		}
	},
	"claims_supported": func(t *testing.T, h *house, said any) {
		tok := h.tokens(h.addClient(nil), h.addUser(), "scope", everyScope)
		_, id := claims(t, tok["id_token"])
		given := h.userinfo(tok["access_token"]).json(t)
		maps.Copy(given, id)
		for _, claim := range listed(t, said) {
			if _, ok := given[claim]; !ok {
				t.Errorf("no %s", claim)
			}
			delete(given, claim)
		}
		if len(given) > 0 {
			t.Errorf("given, and not announced: %v", given)
		}
	},
	"claims_parameter_supported": func(t *testing.T, h *house, said any) {
		tok := h.tokens(h.addClient(nil), h.addUser(), "claims", `{"userinfo":{"name":null}}`)
		if got := h.userinfo(tok["access_token"]).json(t)["name"] != nil; got != said {
			t.Errorf("honoured: %v", got)
		}
	},
	"authorization_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		only(t, said, func(v string) bool {
			c := h.addClient(func(c *idp.Client) { c.ResponseAlg = v })
			if !registrable(c) {
				return false
			}
			header, _ := claims(t, h.authorize(request(c, "response_mode", "jwt", "scope", "")).query().Get("response"))
			return header["alg"] == v
		}, "none", "HS256", "ES384", "x")
	},
	"request_parameter_supported": func(t *testing.T, h *house, said any) {
		c := h.addKeyClient(nil, keys.ES256)
		if got := interacts(h.authorize(signed(c, h.goodObject(c).text(t)))); got != said {
			t.Errorf("supported: %v", got)
		}
	},
	"request_object_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		c := h.addKeyClient(nil, slices.Collect(maps.Keys(clientKeys()))...)
		only(t, said, func(alg string) bool {
			w := h.goodObject(c)
			w.alg, w.key, w.header = alg, clientKeys()[alg], map[string]any{"alg": alg}
			return (alg == "none" || w.key != nil) && interacts(h.authorize(signed(c, w.text(t))))
		}, "RS384", "ES384", "HS256", "none")
	},
	"require_signed_request_object": func(t *testing.T, h *house, said any) {
		if unsigned := interacts(h.authorize(request(h.addClient(nil)))); unsigned == said.(bool) {
			t.Errorf("an unsigned request is taken: %v", unsigned)
		}
	},
	"request_uri_parameter_supported": func(t *testing.T, h *house, said any) {
		if got := interacts(h.byAddress(true)); got != said {
			t.Errorf("supported: %v", got)
		}
	},
	"require_request_uri_registration": func(t *testing.T, h *house, said any) {
		if got := !interacts(h.byAddress(false)); got != said {
			t.Errorf("required: %v", got)
		}
	},
	"code_challenge_methods_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool { return interacts(h.authorize(request(c, "code_challenge_method", v))) }, "plain", "S512", "x")
	},
	"prompt_values_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		only(t, said, func(v string) bool { return interacts(h.authorize(request(c, "prompt", v))) }, "x", "NONE")
	},
	"dpop_signing_alg_values_supported": func(t *testing.T, h *house, said any) {
		c, u := h.addClient(nil), h.addUser()
		only(t, said, func(alg string) bool {
			sent := proof(h, dpoptest.New(alg), "POST", oauth.PathToken)
			return h.post(oauth.PathToken, exchangeForm(h.code(c, u)), basic(c), sent).StatusCode == 200
		}, "RS256")
	},
	"authorization_response_iss_parameter_supported": func(t *testing.T, h *house, said any) {
		c := h.addClient(nil)
		h.authorize(request(c))
		done, err := h.respond(h.outcome(h.addUser()))
		check(t, err)
		refused := h.authorize(request(c, "response_type", "token"))
		for what, r := range map[string]reply{"success": done, "error": refused} {
			if got := r.query().Get("iss") == h.url; got != said {
				t.Errorf("%s: iss is there: %v", what, got)
			}
		}
	},
}

func TestEveryMemberOfTheMetadataIsTrue(t *testing.T) {
	said := open(t, full).get("/.well-known/openid-configuration").json(t)
	for _, name := range slices.Sorted(maps.Keys(said)) {
		t.Run(name, func(t *testing.T) {
			try, known := truths[name]
			if !known {
				t.Fatal("announced, and never tried: add a row to truths (discovery_truth_test.go) that uses what this member says, " +
					"and one value that it does not say")
			}
			h := open(t, full)
			try(t, h, h.get("/.well-known/openid-configuration").json(t)[name])
		})
	}
	for name := range truths {
		if _, ok := said[name]; !ok {
			t.Errorf("truths has a row for %s, which is not announced", name)
		}
	}
}

const everyScope = "openid profile email address phone groups"

// heardOf checks that a client receives a logout, and for which session.
func heardOf(t *testing.T, h *house, said any) {
	at := listen(t)
	c := h.listening(at)
	sess, tok := h.signIn(c, h.addUser())
	h.endSession("id_token_hint", tok["id_token"].(string))
	h.tell(c)
	if heard := at.tokens(t); said != true || len(heard) != 1 || heard[0]["sid"] != sess.ID {
		t.Errorf("%v: heard %v", said, heard)
	}
}

// framed checks that a client is shown in a frame, with the ended session.
func framed(t *testing.T, h *house, said any) {
	c := h.addClient(func(c *idp.Client) { c.FrontchannelLogoutURI = "https://app.example/out" })
	sess, tok := h.signIn(c, h.addUser())
	at := h.get(h.endSession("id_token_hint", tok["id_token"].(string)).Header.Get("Location"))
	if said != true || !strings.Contains(at.body, `src="https://app.example/out?iss=`) || !strings.Contains(at.body, "sid="+sess.ID) {
		t.Errorf("%v: %s", said, at.body)
	}
}

// interacts reports whether a request reached the login screens.
func interacts(r reply) bool { return strings.HasPrefix(r.Header.Get("Location"), "/login?i=") }

// registrable reports whether a client passes the checks of every registration.
func registrable(c idp.Client) bool {
	return len(c.Faults(fullPolicy())) == 0
}

// fullPolicy is testPolicy with the standard scopes, as config makes it.
func fullPolicy() idp.Policy {
	policy := testPolicy()
	for _, scope := range idp.StandardScopes {
		policy.Scopes[scope] = idp.Scope{Name: scope}
	}
	return policy
}

// full enables everything that settings can enable.
func full(c *Config) {
	c.Policy, c.ClientDocuments = fullPolicy(), true
	c.Registration = client.Registration{Mode: client.RegisterOpen, Scopes: []string{"openid", "profile", "offline_access", "accounts"}}
}

// at returns the path of an endpoint named in the metadata.
func (h *house) at(said any) string {
	h.t.Helper()
	path, ours := strings.CutPrefix(said.(string), h.url)
	if !ours {
		h.t.Fatalf("%v is not an address of the issuer", said)
	}
	return path
}

// listed returns a member that is a list.
func listed(t *testing.T, said any) (list []string) {
	t.Helper()
	raw, err := json.Marshal(said)
	check(t, err)
	check(t, json.Unmarshal(raw, &list))
	if len(list) == 0 {
		t.Error("an empty list says nothing (RFC 8414 §3.2)")
	}
	return list
}

// only checks that the announced values work and that no other value does.
func only(t *testing.T, said any, works func(string) bool, others ...string) {
	t.Helper()
	list := listed(t, said)
	for _, v := range list {
		if !works(v) {
			t.Errorf("%s is announced and does not work", v)
		}
	}
	for _, v := range others {
		if !slices.Contains(list, v) && works(v) {
			t.Errorf("%s works and is not announced", v)
		}
	}
}

// authenticating are all methods of client authentication (OIDC Core §9, RFC 8705 §2). Each adds a client and its
// credentials to a request. Methods that we cannot send have none.
var authenticating = map[string]func(h *house, form url.Values) (edit func(*http.Request)){
	"client_secret_basic": func(h *house, _ url.Values) func(*http.Request) { return basic(h.addClient(nil)) },
	"client_secret_post": func(h *house, form url.Values) func(*http.Request) {
		c := h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodPost })
		form.Set("client_id", c.ID)
		form.Set("client_secret", clientSecret.Reveal())
		return nil
	},
	"private_key_jwt": func(h *house, form url.Values) func(*http.Request) {
		c := h.addKeyClient(nil, keys.ES256)
		maps.Copy(form, withAssertion(form, h.goodAssertion(c).text(h.t)))
		return nil
	},
	"none": func(h *house, form url.Values) func(*http.Request) {
		form.Set("client_id", h.addClient(func(c *idp.Client) { c.AuthMethod = idp.AuthMethodNone }).ID)
		return nil
	},
	"client_secret_jwt":           nil,
	"tls_client_auth":             nil,
	"self_signed_tls_client_auth": nil,
}

// authenticatesAt tests every method at an endpoint, with a form that is rejected later for other reasons.
func authenticatesAt(path string, form url.Values) truth {
	return func(t *testing.T, h *house, said any) {
		only(t, said, func(method string) bool {
			prove := authenticating[method]
			if prove == nil {
				return false
			}
			sent := maps.Clone(form)
			edit := prove(h, sent)
			if edit == nil {
				edit = func(*http.Request) {}
			}
			return h.post(path, sent, edit).StatusCode != 401
		}, slices.Collect(maps.Keys(authenticating))...)
	}
}

// signsAssertionsAt tests every algorithm of client assertions at an endpoint.
func signsAssertionsAt(path string, form url.Values) truth {
	return func(t *testing.T, h *house, said any) {
		only(t, said, func(alg string) bool {
			c := h.addKeyClient(nil, slices.Collect(maps.Keys(clientKeys()))...)
			a := h.goodAssertion(c)
			a.alg, a.key, a.header = alg, clientKeys()[alg], map[string]any{"alg": alg, "kid": "kid-" + alg}
			if clientKeys()[alg] == nil {
				return false
			}
			return h.post(path, withAssertion(form, a.text(t))).StatusCode != 401
		}, "RS384", "ES384", "HS256", "none")
	}
}
