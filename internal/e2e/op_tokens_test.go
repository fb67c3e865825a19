package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"maps"
	"math"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

func TestOP20SecretsAreTakenFormEncodedInTheHeaderOrInTheBody(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, method := range []string{idp.AuthMethodBasic, idp.AuthMethodPost} {
		secret := "s+e:c/r%e=t&?" + method
		a := o.client(basicOP(func(c *idp.Client) {
			c.AuthMethod, c.ID = method, "a:b%2B+c/&="+method
			c.Secrets = []idp.ClientSecret{{ID: "1", Hash: idp.Secret(secret).Hash()}}
		}))
		a.secret = secret
		a.signIn(p)
		if !slices.Contains(o.list("token_endpoint_auth_methods_supported"), method) {
			t.Errorf("%s is not announced", method)
		}
		a.secret += "x"
		a.exchange("code").refused(t, 401, "invalid_client")
	}
	a := o.client(basicOP(nil)) // registered for one method, it is not believed by the other
	form := set(url.Values{}, []string{"grant_type", "authorization_code", "code", "c", "client_id", a.ID, "client_secret", a.secret})
	o.send("POST", "/oauth2/token", form).refused(t, 401, "invalid_client")
}

func TestOP21AnIDTokenSaysWhatIsRequiredAndNoMore(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	before := time.Now().Unix()
	got := a.signIn(p, "scope", "openid profile email address phone", "nonce", "n")
	c := got.claims
	if sub, _ := c["sub"].(string); sub == "" || len(sub) > 255 || c["iss"] != o.issuer || c["aud"] != a.ID {
		t.Errorf("%v", c)
	}
	issued, expires := c["iat"].(float64), c["exp"].(float64)
	if issued < float64(before) || issued > float64(time.Now().Unix()) || expires <= issued || expires > issued+24*3600 {
		t.Errorf("iat %v, exp %v", issued, expires)
	}
	if h := header(t, got.IDToken); h["alg"] != "RS256" || h["kid"] == "" || h["kid"] == nil {
		t.Errorf("header: %v", h)
	}
	sum := sha256.Sum256([]byte(got.AccessToken))
	if want := base64.RawURLEncoding.EncodeToString(sum[:16]); c["at_hash"] != want {
		t.Errorf("at_hash %v, want %s", c["at_hash"], want)
	}
	about := slices.Sorted(maps.Keys(c))
	if want := []string{"acr", "amr", "at_hash", "aud", "auth_time", "exp", "iat", "iss", "nonce", "sid", "sub"}; !slices.Equal(about, want) {
		t.Errorf("claims %v", about)
	}
}

// entropy estimates how many bits a string has, from how often its characters come.
func entropy(s string) (bits float64) {
	count := map[rune]float64{}
	for _, r := range s {
		count[r]++
	}
	for _, n := range count {
		bits -= n * math.Log2(n/float64(len(s)))
	}
	return bits
}

func TestOP22CodesAndTokensAreLongAndRandomAndLiveAsLongAsIsSaid(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		a := o.client(basicOP(func(c *idp.Client) { c.AccessFormat = format }))
		seen := map[string]bool{}
		for range 3 {
			code := a.authorize(p, "scope", "openid offline_access").Get("code")
			got := a.granted(a.exchange(code))
			for kind, value := range map[string]string{"code": code, "access token": got.AccessToken, "refresh token": got.RefreshToken} {
				if len(value) < 22 || entropy(value) < 96 || seen[value] {
					t.Errorf("%s %s: %q, %f bits", format, kind, value, entropy(value))
				}
				seen[value] = true
			}
			if got.ExpiresIn < 1 || got.ExpiresIn > 3600 || got.TokenType != "Bearer" {
				t.Errorf("expires_in %d, token_type %s", got.ExpiresIn, got.TokenType)
			}
		}
	}
}

func TestOP23ACodeWorksOnceAndItsTokensEndWithTheSecondTry(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	p := o.person()
	for _, format := range []idp.TokenFormat{idp.FormatJWT, idp.FormatOpaque} {
		a := o.client(basicOP(func(c *idp.Client) { c.AccessFormat = format }))
		code := a.authorize(p, "scope", "openid offline_access").Get("code")
		got := a.granted(a.exchange(code))
		if r := o.userInfo(got.AccessToken); r.status != 200 {
			t.Errorf("%s: userinfo %d", format, r.status)
		}
		a.exchange(code).refused(t, 400, "invalid_grant")
		o.userInfo(got.AccessToken).refused(t, 401, "invalid_token")
		a.refresh(got.RefreshToken).refused(t, 400, "invalid_grant")
	}
}

func TestOP24UserinfoAnswersGETAndPOST(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	got := a.signIn(p, "scope", "openid email")
	for name, r := range map[string]answer{
		"GET":                      o.userInfo(got.AccessToken),
		"GET, another case":        o.send("GET", "/oauth2/userinfo", nil, "Authorization", "bearer "+got.AccessToken),
		"POST with a header":       o.send("POST", "/oauth2/userinfo", nil, "Authorization", "Bearer "+got.AccessToken),
		"POST with a form as well": o.send("POST", "/oauth2/userinfo", url.Values{}, "Authorization", "Bearer "+got.AccessToken),
		"POST with a body":         o.send("POST", "/oauth2/userinfo", set(url.Values{}, []string{"access_token", got.AccessToken})),
	} {
		if info := r.json(t); r.status != 200 || info["sub"] != got.claims["sub"] || info["email_verified"] != true || r.header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", name, r.status, info)
		}
	}
	o.send("GET", "/oauth2/userinfo?access_token="+got.AccessToken, nil).refused(t, 400, "invalid_request")
	o.userInfo(got.IDToken).refused(t, 401, "invalid_token")
}

func TestOP24EveryClaimOfAScopeArrives(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	scopes := map[string][]string{
		"profile": {
			"name", "family_name", "given_name", "middle_name", "nickname", "preferred_username", "profile", "picture", "website",
			"gender", "birthdate", "zoneinfo", "locale", "updated_at",
		},
		"email":   {"email", "email_verified"},
		"address": {"address"},
		"phone":   {"phone_number", "phone_number_verified"},
	}
	first := a.signIn(p, "scope", "openid profile email address phone")
	user, err := o.DB.UserByID(t.Context(), first.claims["sub"].(string))
	if err != nil {
		t.Fatal(err)
	}
	user.Profile = idp.Profile{
		GivenName: "Ada", FamilyName: "Lovelace", MiddleName: "King", Nickname: "Countess", PreferredUsername: "ada",
		URL: "https://example.com/ada", Picture: "https://example.com/ada.png", Website: "https://ada.example", Gender: "female",
		Birthdate: "1815-12-10", Zoneinfo: "Europe/London", Locale: "en-GB", PhoneNumber: "+441234567890", PhoneVerified: true,
		Address: idp.Address{Formatted: "12 St James's Square\nLondon", Locality: "London", Country: "GB"},
	}
	if err := o.DB.UpdateUser(t.Context(), user); err != nil {
		t.Fatal(err)
	}
	for scope, want := range scopes {
		got := a.signIn(p, "scope", "openid "+scope)
		info := o.userInfo(got.AccessToken).json(t)
		names := slices.Sorted(maps.Keys(info))
		if want := slices.Sorted(slices.Values(append(want, "sub"))); !slices.Equal(names, want) {
			t.Errorf("%s: %v, want %v", scope, names, want)
		}
		for name, value := range info {
			_, number := value.(float64)
			_, object := value.(map[string]any)
			_, boolean := value.(bool)
			if number != (name == "updated_at") || object != (name == "address") || boolean != strings.HasSuffix(name, "_verified") || value == "" {
				t.Errorf("%s: %v", name, value)
			}
		}
	}
}

func TestOP25ARefreshTokenIsItsClientsOwnAndKeepsTheSignIn(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	if !slices.Contains(o.list("grant_types_supported"), "refresh_token") {
		t.Error("refresh_token is not announced")
	}
	if got := a.signIn(p); got.RefreshToken != "" {
		t.Error("a refresh token without offline_access")
	}
	got := a.signIn(p, "scope", "openid offline_access", "prompt", "consent")
	if got.RefreshToken == "" || got.answer.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%s %v", got.answer.body, got.answer.header)
	}
	again := a.granted(a.refresh(got.RefreshToken))
	if again.TokenType != "Bearer" || again.AccessToken == got.AccessToken || again.answer.header.Get("Cache-Control") != "no-store" || again.ExpiresIn < 1 {
		t.Errorf("%s", again.answer.body)
	}
	for _, name := range []string{"iss", "sub", "aud", "auth_time", "acr", "sid"} {
		if again.claims[name] != got.claims[name] || got.claims[name] == nil {
			t.Errorf("%s became %v, was %v", name, again.claims[name], got.claims[name])
		}
	}
	if r := o.userInfo(again.AccessToken); r.status != 200 {
		t.Errorf("the new access token: %d", r.status)
	}
	o.client(basicOP(nil)).refresh(again.RefreshToken).refused(t, 400, "invalid_grant")
	a.refresh(again.RefreshToken+"x").refused(t, 400, "invalid_grant")
}

func TestOP26ErrorsAreJSONWithTheRightStatus(t *testing.T) {
	t.Parallel()
	o := sharedOP(t)
	a, p := o.client(basicOP(nil)), o.person()
	for _, c := range []struct {
		name   string
		form   []string
		status int
		code   string
	}{
		{"no grant", []string{"code", "x"}, 400, "invalid_request"},
		{"an unknown grant", []string{"grant_type", "\"password\"\r\n"}, 400, "unsupported_grant_type"},
		{"the implicit grant", []string{"grant_type", "implicit"}, 400, "unsupported_grant_type"},
		{"no code", []string{"grant_type", "authorization_code"}, 400, "invalid_request"},
		{"no such code", []string{"grant_type", "authorization_code", "code", "é\"\\\n", "redirect_uri", a.RedirectURIs[0]}, 400, "invalid_grant"},
		{"no refresh token", []string{"grant_type", "refresh_token"}, 400, "invalid_request"},
		{"no such refresh token", []string{"grant_type", "refresh_token", "refresh_token", "a.b"}, 400, "invalid_grant"},
		{"a scope beyond", []string{"grant_type", "refresh_token", "refresh_token", "a.b", "scope", "root"}, 400, "invalid_scope"},
		{"a grant that is not the client's", []string{"grant_type", "client_credentials"}, 400, "unauthorized_client"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a.post("/oauth2/token", c.form...).refused(t, c.status, c.code)
		})
	}
	for name, headers := range map[string][]string{
		"a wrong secret": {"Authorization", basic(a.ID, "wrong")},
		"nobody":         nil,
		"an odd scheme":  {"Authorization", "Negotiate abc"},
		"broken basic":   {"Authorization", "Basic !!!"},
	} {
		t.Run(name, func(t *testing.T) {
			r := o.send("POST", "/oauth2/token", set(url.Values{}, []string{"grant_type", "authorization_code", "code", "x"}), headers...)
			r.refused(t, 401, "invalid_client")
		})
	}
	wrong := a.authorize(p).Get("code")
	a.exchange(wrong, "redirect_uri", a.RedirectURIs[0]+"/").refused(t, 400, "invalid_grant")
	other := o.client(basicOP(nil))
	other.exchange(a.authorize(p).Get("code"), "redirect_uri", a.RedirectURIs[0]).refused(t, 400, "invalid_grant")
	o.userInfo("nonsense").refused(t, 401, "invalid_token")
}
