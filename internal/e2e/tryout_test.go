package e2e

import (
	"encoding/base64"
	"encoding/json"
	"html"
	"io"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/lookup"
)

// try begins a try of a client, and returns the first page of it.
func (p official) try(id string, more ...string) page {
	p.t.Helper()
	form := url.Values{"id": {id}}
	for i := 0; i < len(more); i += 2 {
		form.Set(more[i], more[i+1])
	}
	return p.post("/admin/try", form)
}

// tried goes through a try until its page.
func (p official) tried(at page) page {
	p.t.Helper()
	for range 6 {
		switch {
		case at.name == "login" || at.name == "stepup":
			at = p.ceremony(at)
		case at.name == "consent":
			at = p.submit(at, "consent-allow", nil)
		default:
			return at
		}
	}
	p.t.Fatal("went round in circles")
	return at
}

var (
	triedOutcome = regexp.MustCompile(`data-test="tried" data-outcome="([a-z_]*)"`)
	triedClaim   = regexp.MustCompile(`data-test="claim" data-claim="([a-z_]+)"><code>(.*?)</code>`)
)

// outcome is what a page of a try says that the client would get.
func outcome(t *testing.T, at page) string {
	t.Helper()
	found := triedOutcome.FindStringSubmatch(at.body)
	if found == nil {
		t.Fatalf("no outcome on %s:\n%.3000s", at, at.body)
	}
	return found[1]
}

// triedClaims are the claims in a section of the page of a try.
func triedClaims(at page, section string) map[string]string {
	_, rest, _ := strings.Cut(at.body, `data-test="`+section+`"`)
	part, _, _ := strings.Cut(rest, "</section>")
	out := map[string]string{}
	for _, c := range triedClaim.FindAllStringSubmatch(part, -1) {
		out[c[1]] = html.UnescapeString(c[2])
	}
	return out
}

// probe registers a client with a secret.
func probe(t *testing.T, d *server.Demo, edit func(*idp.Client)) (idp.Client, idp.Secret) {
	t.Helper()
	now := time.Now().Truncate(time.Millisecond)
	c := idp.Client{
		ID: "probe", Name: "Probe", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodPost, RedirectURIs: []string{"https://probe.example/cb"},
		GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken}, Scopes: []string{"openid", "profile", "email", "groups", "offline_access"},
		IDTokenClaims: []string{"email", "groups"}, CreatedAt: now, UpdatedAt: now,
	}
	secret := c.AddSecret(now)
	if edit != nil {
		edit(&c)
	}
	if faults := c.Faults(d.Config.Policy); len(faults) > 0 {
		t.Fatal(faults)
	}
	if err := d.DB.PutClient(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c, secret
}

// kinds counts the events of an installation by kind.
func kinds(t *testing.T, d *server.Demo) map[idp.EventKind]int {
	t.Helper()
	found, _, err := lookup.New(d.DB).Events(t.Context(), lookup.Filter{}, "", 200)
	if err != nil {
		t.Fatal(err)
	}
	n := map[idp.EventKind]int{}
	for _, e := range found {
		n[e.Kind]++
	}
	return n
}

func TestATryIsASignInOfWhichNothingIsLeft(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	l := &looker{demo: d, chrome: &chrome{t: t}}
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	before := kinds(t, d)
	at := ada.try("acme-bank", "scope", "openid payouts")
	if at.name != "stepup" {
		t.Fatalf("a try of a scope with an action class: %s", at)
	}
	at = ada.tried(at)
	if got := outcome(t, at); got != "tokens" || !strings.HasPrefix(at.url.Path, "/admin/try/") {
		t.Fatalf("%s: %s", at, got)
	}
	for _, text := range []string{`data-test="try-first" data-step="step-up" data-check="action_class"`, `data-test="try-last" data-step="finish"`, "payouts"} {
		if !strings.Contains(at.body, text) {
			t.Errorf("the page does not say %s", text)
		}
	}
	if jwt := regexp.MustCompile(`eyJ[A-Za-z0-9_-]{10,}`).FindString(at.body); jwt != "" {
		t.Errorf("a token is on the page: %s", jwt)
	}
	after := kinds(t, d)
	for _, kind := range []idp.EventKind{idp.EventTokensIssued, idp.EventConsentGranted, idp.EventClientRefused} {
		if after[kind] != before[kind] {
			t.Errorf("%s: %d events, were %d", kind, after[kind], before[kind])
		}
	}
	if after[idp.EventClientTried] != 1 {
		t.Errorf("%d tries are recorded", after[idp.EventClientTried])
	}
	id := l.user("ada@example.com").ID
	if grants, err := d.DB.GrantsOf(t.Context(), id); err != nil || len(grants) != 0 {
		t.Errorf("the try left a grant: %v, %v", grants, err)
	}
	families, err := store.One(t.Context(), d.DB, "count families", func(row store.Row) (n int, err error) {
		err = row.Scan(&n)
		return n, err
	}, `SELECT count(*) FROM families`)
	if err != nil || families != 0 {
		t.Errorf("the try left %d families of tokens, %v", families, err)
	}
	// The window that was confirmed is not the application's, and neither is the consent.
	if at := ada.open(l.request("scope", "openid payouts")); at.name != "stepup" {
		t.Errorf("after a try, the application gets %s", at)
	}
	if at := ada.open(l.request()); at.name != "consent" {
		t.Errorf("after a try, the application gets %s", at)
	}
	// Nor does a try use what the application has.
	ada.stopAt = d.AppURL
	ada.through(ada.open(l.request("scope", "openid payouts")))
	ada.stopAt = ""
	if at := ada.try("acme-bank", "scope", "openid payouts"); at.name != "stepup" {
		t.Errorf("a try uses the window of the application: %s", at)
	}
}

func TestATryIsForTheSessionThatBeganIt(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleOwner)
	bob := newOfficial(t, d, "bob@example.com", directory.RoleOwner)
	at := ada.tried(ada.try("acme-bank"))
	if got := outcome(t, at); got != "tokens" {
		t.Fatal(got)
	}
	if again := ada.open(at.url.Path); again.status != 200 {
		t.Errorf("a reload: %s", again)
	}
	if other := bob.open(at.url.Path); other.status != http.StatusGone || strings.Contains(other.body, "ada@example.com") {
		t.Errorf("another owner sees the try: %s", other)
	}
	elsewhere := official{newPerson(t, ada.issuer, "")} // the same person, in another browser
	elsewhere.key = ada.key
	elsewhere.ceremony(elsewhere.open("/admin"))
	if other := elsewhere.open(at.url.Path); other.status != http.StatusGone {
		t.Errorf("another session of the same person sees the try: %s", other)
	}
	if stranger := newPerson(t, ada.issuer, "").open(at.url.Path); stranger.name != "login" {
		t.Errorf("a stranger: %s", stranger)
	}
	// An account that is signed in before the end gets nothing.
	at = ada.try("acme-bank", "scope", "openid", "prompt", "consent")
	if at.name != "consent" {
		t.Fatal(at)
	}
	at = ada.post("/login/switch", url.Values{"i": {at.url.Query().Get("i")}})
	ada.key = bob.key
	at = ada.tried(at)
	if at.status != http.StatusForbidden || strings.Contains(at.body, `data-test="tried"`) {
		t.Errorf("the try of one account ended for another: %s", at)
	}
	// An interaction that has ended is not answered again.
	if at := bob.try("acme-bank", "scope", "openid", "prompt", "consent"); at.name != "consent" {
		t.Error(at)
	} else if first := bob.submit(at, "consent-allow", nil); outcome(t, first) != "tokens" {
		t.Error(first)
	} else if again := bob.open(at.url.String()); again.status != http.StatusGone {
		t.Errorf("the end of a try, again: %s", again)
	}
}

func TestATryShowsWhatIsWrongWithAClient(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	for _, c := range []struct {
		name    string
		edit    func(*idp.Client)
		more    []string
		outcome string
	}{
		{"a scope it may not have", nil, []string{"scope", "openid phone"}, "invalid_scope"},
		{"an unknown resource", nil, []string{"resource", "https://api.example"}, "invalid_target"},
		{"no authorization code", func(c *idp.Client) { c.GrantTypes, c.RedirectURIs = []string{idp.GrantDeviceCode}, nil }, nil, "unusable"},
		{"a minimum that nobody reaches", func(c *idp.Client) { c.MinimumACR = idp.ACRPhishingResistantHardware }, nil, "unmet_authentication_requirements"},
		{"no page allowed", nil, []string{"prompt", "none"}, "consent_required"},
		{"a client that must push", func(c *idp.Client) { c.RequirePAR = true }, nil, "tokens"},
		{"opaque tokens", func(c *idp.Client) { c.AccessFormat = idp.FormatOpaque }, nil, "tokens"},
		{"tokens of a key", func(c *idp.Client) { c.DPoPBound = true }, nil, "tokens"},
	} {
		client, _ := probe(t, d, c.edit)
		at := ada.tried(ada.try(client.ID, c.more...))
		if got := outcome(t, at); got != c.outcome {
			t.Errorf("%s: %s, want %s:\n%.3000s", c.name, got, c.outcome, at.body)
		}
		explained := ada.open("/admin/explain?client=" + client.ID)
		for _, page := range []page{at, explained} {
			if strings.Contains(page.body, `data-test="as-if"`) != client.RequirePAR {
				t.Errorf("%s: %s says that the request is read as if it had been pushed: %v", c.name, page, !client.RequirePAR)
			}
		}
		if client.RequirePAR && !strings.Contains(explained.body, `data-step="sign-in"`) {
			t.Errorf("%s: its usual request is not explained:\n%.3000s", c.name, explained.body)
		}
	}
	if err := d.DB.DisableClient(t.Context(), "probe", time.Now()); err != nil {
		t.Fatal(err)
	}
	if got := outcome(t, ada.try("probe")); got != "unusable" {
		t.Errorf("a disabled client: %s", got)
	}
	if err := d.DB.EnableClient(t.Context(), "probe", time.Now()); err != nil {
		t.Fatal(err)
	}

	probe(t, d, func(c *idp.Client) { c.AllowedGroups = []string{"staff"} })
	denied := ada.try("probe")
	if denied.name != "denied" {
		t.Fatalf("a client of a group: %s", denied)
	}
	at := ada.submit(denied, "cancel", nil)
	if got := outcome(t, at); got != "access_denied" {
		t.Error(got)
	}
	if !strings.Contains(at.body, `data-test="try-first" data-step="deny" data-check="allowed_groups"`) {
		t.Errorf("the page does not say which check decided:\n%.4000s", at.body)
	}
	if n := kinds(t, d)[idp.EventClientRefused]; n != 0 {
		t.Errorf("%d people were turned away", n)
	}
}

// A try shows what the application gets, member by member.
func TestATryShowsTheClaimsOfTheTokens(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	c, secret := probe(t, d, func(c *idp.Client) {
		c.ClaimMappings = []directory.Mapping{{Source: "email", Claim: "mail", AccessToken: true}, {Source: "x", Claim: "plan", Default: json.RawMessage(`"free"`)}}
	})
	at := ada.tried(ada.try(c.ID))
	if got := outcome(t, at); got != "tokens" {
		t.Fatal(got)
	}
	shownID, shownAccess := triedClaims(at, "try-id"), triedClaims(at, "try-access")

	l := &looker{demo: d, chrome: &chrome{t: t}}
	ada.stopAt = c.RedirectURIs[0]
	verifier := "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk" // RFC 7636 appendix B
	q := ada.through(ada.open(l.request("client_id", c.ID, "redirect_uri", c.RedirectURIs[0], "scope", strings.Join(c.Scopes, " "), "nonce", "n")))
	resp, err := http.PostForm(ada.issuer+"/oauth2/token", url.Values{
		"grant_type": {"authorization_code"}, "code": {q.Get("code")}, "redirect_uri": {c.RedirectURIs[0]}, "code_verifier": {verifier},
		"client_id": {c.ID}, "client_secret": {secret.Reveal()},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	var tokens struct {
		ID     string `json:"id_token"`
		Access string `json:"access_token"`
	}
	if err := json.Unmarshal(body, &tokens); err != nil || tokens.ID == "" {
		t.Fatalf("%s: %v", body, err)
	}
	changing := []string{"iat", "exp", "nonce", "at_hash", "jti", "auth_time"}
	for name, pair := range map[string]struct {
		jwt   string
		shown map[string]string
	}{"ID token": {tokens.ID, shownID}, "access token": {tokens.Access, shownAccess}} {
		part := strings.Split(pair.jwt, ".")[1]
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil {
			t.Fatal(err)
		}
		var claims map[string]json.RawMessage
		if err := json.Unmarshal(text, &claims); err != nil {
			t.Fatal(err)
		}
		if a, b := slices.Sorted(maps.Keys(claims)), slices.Sorted(maps.Keys(pair.shown)); !slices.Equal(a, b) {
			t.Errorf("%s: the application gets %v, the try shows %v", name, a, b)
		}
		for claim, value := range claims {
			if got := pair.shown[claim]; !slices.Contains(changing, claim) && got != strings.Trim(string(value), `"`) {
				t.Errorf("%s: %s is %s, the try shows %s", name, claim, value, got)
			}
		}
	}
}

func TestOnlyThoseWhoChangeClientsTryThem(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	owner := newOfficial(t, d, "olga@example.com", directory.RoleOwner)
	for _, role := range []directory.Role{directory.RoleSupport, directory.RoleAuditor} {
		p := newOfficial(t, d, string(role)+"@example.com", role)
		if at := p.open("/admin/clients/show?id=acme-bank"); at.status != 200 || strings.Contains(at.body, "client-try") {
			t.Errorf("%s is offered a try: %s", role, at)
		}
		if at := p.try("acme-bank"); at.status != http.StatusForbidden {
			t.Errorf("%s tries a client: %s", role, at)
		}
	}
	if at := (official{newPerson(t, owner.issuer, "")}).try("acme-bank"); at.name != "login" {
		t.Errorf("a stranger tries a client: %s", at)
	}
	if at := owner.try("ghost"); at.status != http.StatusNotFound {
		t.Errorf("a client that is not there: %s", at)
	}
	r, _ := http.NewRequest(http.MethodPost, owner.issuer+"/admin/try", strings.NewReader("id=acme-bank"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	if at := owner.read(owner.http.Do(r)); at.status != http.StatusForbidden {
		t.Errorf("another site begins a try: %s", at)
	}
	// Somebody who lost the role sees nothing of a try any more.
	at := owner.tried(owner.try("acme-bank"))
	newOfficial(t, d, "otto@example.com", directory.RoleOwner)
	(&looker{demo: d, chrome: &chrome{t: t}}).makeRole("olga@example.com", directory.RoleAuditor)
	if again := owner.open(at.url.Path); again.status != http.StatusForbidden {
		t.Errorf("without the role: %s", again)
	}
}

func TestTriesHaveALimit(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	for range limit.Tries.Most {
		if at := ada.try("acme-bank", "scope", "openid phone"); at.status != 200 {
			t.Fatal(at)
		}
	}
	if at := ada.try("acme-bank"); at.status != http.StatusTooManyRequests {
		t.Errorf("one more: %s", at)
	}
}

func TestThePagesOfATry(t *testing.T) { eachLanguage(t, thePagesOfATry) }

func thePagesOfATry(t *testing.T, l *looker) {
	issuer := l.asOwner("ada@example.com")
	l.open(issuer + "/admin/clients/show?id=acme-bank")
	l.look("try-client", "admin")
	if target := l.eval(`document.querySelector("[data-test=client-try]").form.target`); target != "_blank" {
		t.Errorf("a try opens in %q", target)
	}
	l.run(`document.querySelector("[data-test=client-try]").form.target = ""; 0`) // the test has one tab
	l.follow("client-try")
	l.wait(`!!document.querySelector("[data-test=tried], [data-test=passkey-stepup], [data-test=consent-allow]")`, "the sign-in")
	for l.eval(`document.body.dataset.page`) != "admin" {
		if l.eval(`document.body.dataset.page`) == "consent" {
			l.follow("consent-allow")
		} else {
			l.click("passkey-stepup")
			l.wait(`document.body.dataset.page !== "stepup"`, "the page after the confirmation")
		}
	}
	l.look("try-tokens", "admin")
	l.fill("try-acr_values", "phrh")
	l.fill("try-prompt", "none")
	l.follow("try-again")
	l.look("try-refused", "admin")
	l.fill("try-scope", "openid phone")
	l.follow("try-again")
	l.look("try-scope", "admin")
	l.do(chromedp.Navigate(issuer + "/admin/try/nothing"))
	l.look("try-gone", "error")
}
