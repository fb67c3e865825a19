package e2e

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/roster"
)

func TestClaimsAreDefinedAndFilledInTheConsole(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	ops := admin.New(admin.Config{DB: d.DB, Ephemeral: d.Ephemeral, Policy: d.Config.Policy})
	id := (&looker{demo: d, chrome: &chrome{t: t}}).user("ada@example.com").ID
	g, err := ops.Groups.Create(t.Context(), admin.Operator(), admin.GroupInput{Name: "engineering"})
	if err != nil {
		t.Fatal(err)
	}
	define := func(name, kind string, more ...string) page {
		t.Helper()
		form := url.Values{"name": {name}, "type": {kind}, "scope": {"profile"}, "seen_by": {"admin", "user"}, "edited_by": {"admin"}}
		for i := 0; i < len(more); i += 2 {
			form.Set(more[i], more[i+1])
		}
		return ada.confirm(ada.post("/admin/claims/edit", form))
	}
	for _, c := range [][2]string{{"department", "string"}, {"quota", "number"}, {"remote", "boolean"}, {"desks", "list"}} {
		if at := define(c[0], c[1]); !strings.Contains(at.body, "Saved.") || !strings.Contains(at.body, "<code>"+c[0]+"</code>") {
			t.Fatalf("define %s: %s %q", c[0], at, faultsOn(at))
		}
	}
	if at := define("secret", "string", "seen_by", "user", "edited_by", "user"); !strings.Contains(at.body, "Saved.") {
		t.Fatalf("a claim of people's own: %s", at)
	}
	for want, at := range map[string]page{
		"is reserved":        define("sub", "string"),
		"must be string":     define("x", "date"),
		"cannot see":         define("x", "string", "seen_by", "user"),
		"is defined already": define("quota", "string"),
		"must be one of":     define("x", "string", "scope", "nothing"),
	} {
		if at.status != http.StatusUnprocessableEntity || !strings.Contains(faultsOn(at), want) {
			t.Errorf("%s with %q, want %q", at, faultsOn(at), want)
		}
	}

	user, group := "/admin/claims/of?user="+id, "/admin/claims/of?group="+g.ID
	if at := ada.open(user); strings.Contains(at.body, `name="secret"`) || !strings.Contains(at.body, `name="quota"`) {
		t.Errorf("the values: %s", at)
	}
	at := ada.post(user, url.Values{"department": {"Engines"}, "quota": {"5.5"}, "remote": {"true"}, "desks": {"A1, B2"}})
	if !strings.Contains(at.body, `value="A1, B2"`) || !strings.Contains(at.body, "Saved.") {
		t.Errorf("saved: %s %q", at, faultsOn(at))
	}
	ada.post(group, url.Values{"department": {"Engineering"}})
	of := func(load func() ([]directory.Value, error)) string {
		t.Helper()
		list, err := load()
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range list {
			texts = append(texts, v.Claim+"="+v.JSON)
		}
		return strings.Join(texts, " ")
	}
	ofUser := func() ([]directory.Value, error) { return ops.Claims.OfUser(t.Context(), admin.Operator(), id) }
	if got := of(ofUser); got != `department="Engines" desks=["A1","B2"] quota=5.5 remote=true` {
		t.Errorf("values: %s", got)
	}
	if got := of(func() ([]directory.Value, error) { return ops.Claims.OfGroup(t.Context(), admin.Operator(), g.ID) }); got != `department="Engineering"` {
		t.Errorf("values of the group: %s", got)
	}
	at = ada.post(user, url.Values{"quota": {"many"}, "secret": {"x"}})
	if at.status != http.StatusUnprocessableEntity || !strings.Contains(faultsOn(at), "must be a number") && !strings.Contains(faultsOn(at), "not JSON") ||
		!strings.Contains(faultsOn(at), "cannot be edited by admin") {
		t.Errorf("bad values: %s %q", at, faultsOn(at))
	}
	ada.post(user, url.Values{"quota": {""}, "desks": {""}})
	if got := of(ofUser); got != `department="Engines" remote=true` {
		t.Errorf("emptied: %s", got)
	}
	at = ada.post("/admin/claims/remove", url.Values{"name": {"remote"}})
	if got := of(ofUser); !strings.Contains(at.body, "Removed") || got != `department="Engines"` {
		t.Errorf("removed: %s, %s", at, got)
	}
	if at := ada.post("/admin/claims/edit?name=remote", url.Values{"type": {"string"}, "scope": {"profile"}}); at.status != http.StatusNotFound {
		t.Errorf("a claim that was removed is edited: %s", at)
	}

	auditor := newOfficial(t, d, "auditor@example.com", directory.RoleAuditor)
	if at := auditor.open("/admin/claims"); at.status != http.StatusOK || strings.Contains(at.body, "claim-edit") {
		t.Errorf("an auditor: %s", at)
	}
	if at := auditor.open(user); at.status != http.StatusOK || strings.Contains(at.body, "values-save") || !strings.Contains(at.body, "Engines") {
		t.Errorf("an auditor reads values: %s", at)
	}
	for _, path := range []string{"/admin/claims/edit", "/admin/claims/remove", user, group} {
		if at := auditor.confirm(auditor.post(path, url.Values{"name": {"fresh"}, "type": {"string"}, "scope": {"profile"}, "department": {"x"}})); at.status != http.StatusForbidden {
			t.Errorf("an auditor changes %s: %s", path, at)
		}
	}
	nobody := newOfficial(t, d, "nobody@example.com", directory.RoleUser)
	for _, path := range []string{"/admin/claims", user} {
		if at := nobody.open(path); at.status != http.StatusForbidden {
			t.Errorf("%s without a role: %s", path, at)
		}
	}
}

func TestClaimsOfAClientAreMappedInTheConsole(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	edit := func(mappings string) page {
		t.Helper()
		c, err := d.DB.StoredClient(t.Context(), "acme-bank")
		if err != nil {
			t.Fatal(err)
		}
		return ada.confirm(ada.post("/admin/clients/edit?id=acme-bank", url.Values{
			"version": {c.UpdatedAt.UTC().Format("2006-01-02T15:04:05.999999999Z07:00")}, "client_name": {c.Name}, "redirect_uris": c.RedirectURIs,
			"scopes": c.Scopes, "token_endpoint_auth_method": {"client_secret"}, "policy": {"standard"}, "id_token_signed_response_alg": {idp.ES256},
			"claim_mappings": {mappings}, "audience": c.Audience, "client_uri": {c.URI},
			"post_logout_redirect_uris": c.PostLogoutRedirectURIs, "access_token_format": {"jwt"},
		}))
	}
	if at := edit("department dept access-token default=none\r\nemail preferred_username\r\nquota limit default=5\r\n"); at.status != http.StatusOK {
		t.Fatalf("%s %q", at, faultsOn(at))
	}
	c, err := d.DB.StoredClient(t.Context(), "acme-bank")
	if err != nil || len(c.ClaimMappings) != 3 || !c.ClaimMappings[0].AccessToken || string(c.ClaimMappings[0].Default) != `"none"` ||
		string(c.ClaimMappings[2].Default) != "5" || c.ClaimMappings[1].Claim != "preferred_username" {
		t.Errorf("mappings %+v (%v)", c.ClaimMappings, err)
	}
	if at := ada.open("/admin/clients/edit?id=acme-bank"); !strings.Contains(at.body, "department dept access-token default=&#34;none&#34;") {
		t.Errorf("the form does not show them: %s", at)
	}
	for typed, want := range map[string]string{
		"department": "line 1 must be", "a b c d": "line 1 must be", "department sub": "is reserved", "department email": "cannot be replaced",
		"a x\nb x": "filled twice",
	} {
		if at := edit(typed); at.status != http.StatusUnprocessableEntity || !strings.Contains(faultsOn(at), want) {
			t.Errorf("%q: %s with %q, want %q", typed, at, faultsOn(at), want)
		}
	}
	if at := edit(""); at.status != http.StatusOK {
		t.Errorf("none: %s %q", at, faultsOn(at))
	}
	if c, _ := d.DB.StoredClient(t.Context(), "acme-bank"); len(c.ClaimMappings) != 0 {
		t.Errorf("they are still there: %+v", c.ClaimMappings)
	}
}

func TestThePageOfDetailsIsLinkedIfItShowsSomething(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ops := admin.New(admin.Config{DB: d.DB, Ephemeral: d.Ephemeral, Policy: d.Config.Policy})
	ada := newPerson(t, d.Config.Issuer.String(), "")
	ada.signUp(ada.open("/account"), "ada@example.com")
	at := ada.ceremony(ada.open("/account"))
	for _, step := range []struct {
		claim  string
		seenBy directory.Party
		want   bool
	}{{"", "", false}, {"rating", directory.PartyAdmin, false}, {"desk", directory.PartyUser, true}} {
		if step.claim != "" {
			c := directory.Claim{Name: step.claim, Type: directory.ClaimString, Scope: "profile", SeenBy: []directory.Party{step.seenBy}}
			if _, err := ops.Claims.Define(t.Context(), admin.Operator(), c); err != nil {
				t.Fatal(err)
			}
			at = ada.open("/account")
		}
		if linked := strings.Contains(at.body, `data-test="details-link"`); at.status != http.StatusOK || linked != step.want {
			t.Errorf("with %q: %s, linked: %v", step.claim, at, linked)
		}
	}
}

func TestPeopleEditWhatTheSchemaLetsThemEdit(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ops := admin.New(admin.Config{DB: d.DB, Ephemeral: d.Ephemeral, Policy: d.Config.Policy})
	user, boss := directory.PartyUser, directory.PartyAdmin
	for _, c := range []directory.Claim{
		{Name: "desk", Type: directory.ClaimString, SeenBy: []directory.Party{user, boss}, EditedBy: []directory.Party{user}},
		{Name: "floor", Type: directory.ClaimNumber, SeenBy: []directory.Party{user}, EditedBy: []directory.Party{user}},
		{Name: "department", Type: directory.ClaimString, SeenBy: []directory.Party{user, boss}, EditedBy: []directory.Party{boss}},
		{Name: "rating", Type: directory.ClaimString, SeenBy: []directory.Party{boss}, EditedBy: []directory.Party{boss}},
	} {
		c.Scope = "profile"
		if _, err := ops.Claims.Define(t.Context(), admin.Operator(), c); err != nil {
			t.Fatal(err)
		}
	}
	ada := newPerson(t, d.Config.Issuer.String(), "")
	ada.signUp(ada.open("/account"), "ada@example.com")
	id := (&looker{demo: d, chrome: &chrome{t: t}}).user("ada@example.com").ID
	if err := ops.Claims.SetUser(t.Context(), admin.Operator(), id, map[string]json.RawMessage{
		"department": []byte(`"Engines"`), "rating": []byte(`"low"`),
	}); err != nil {
		t.Fatal(err)
	}
	at := ada.ceremony(ada.open("/account/details"))
	if !strings.Contains(at.body, "Engines") || strings.Contains(at.body, `name="department"`) || !strings.Contains(at.body, `name="desk"`) ||
		strings.Contains(at.body, "rating") || strings.Contains(at.body, "low") {
		t.Fatalf("the page: %s %.3000s", at, at.body)
	}
	post := func(form url.Values) page { return ada.read(ada.http.PostForm(ada.issuer+"/account/details", form)) }
	values := func() string {
		t.Helper()
		list, err := roster.New(d.DB).UserClaims(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, v := range list {
			texts = append(texts, v.Claim+"="+v.JSON)
		}
		return strings.Join(texts, " ")
	}
	if at := post(url.Values{"desk": {"A1"}, "floor": {"3"}}); !strings.Contains(at.body, "Saved.") || !strings.Contains(at.body, `value="A1"`) {
		t.Errorf("saved: %s", at)
	}
	const saved = `department="Engines" desk="A1" floor=3 rating="low"`
	if got := values(); got != saved {
		t.Errorf("values: %s", got)
	}
	if at := post(url.Values{"desk": {"B2"}, "department": {"Board"}}); at.status != http.StatusUnprocessableEntity || values() != saved {
		t.Errorf("a claim of admins: %s, %s", at, values())
	}
	if at := post(url.Values{"rating": {"high"}}); at.status != http.StatusOK || values() != saved {
		t.Errorf("a claim that is hidden: %s, %s", at, values())
	}
	if at := post(url.Values{"floor": {"third"}}); at.status != http.StatusUnprocessableEntity || !strings.Contains(at.body, "fault") || values() != saved {
		t.Errorf("no number: %s, %s", at, values())
	}
	events, err := d.DB.EventsOf(t.Context(), id, 1)
	if err != nil || events[0].Kind != idp.EventClaimsSet || events[0].Detail["claims"] != "desk floor" {
		t.Errorf("event %+v (%v)", events, err)
	}
	if post(url.Values{"desk": {""}}); values() != `department="Engines" floor=3 rating="low"` {
		t.Errorf("emptied: %s", values())
	}
}

func TestThePagesOfClaims(t *testing.T) { eachLanguage(t, thePagesOfClaims) }

func thePagesOfClaims(t *testing.T, l *looker) {
	issuer := l.asOwner("ada@example.com")
	l.open(issuer + "/admin/claims")
	l.look("claims-none", "admin")
	l.follow("claim-new")
	l.look("claim-new", "admin")
	l.fill("claim-name", "sub")
	l.follow("claim-save")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=error]")`, "a word about the name")
	l.look("claim-wrong", "admin")
	l.fill("claim-name", "department")
	l.fill("claim-description", "Where somebody works")
	l.follow("claim-save")
	l.look("claims", "admin")
	l.open(issuer + "/admin/claims/of?user=" + l.user("ada@example.com").ID)
	l.look("claim-values", "admin")
	l.fill("value-department", "Engines")
	l.follow("values-save")
	l.look("claim-values-saved", "admin")
	l.open(issuer + "/account/details")
	l.look("details-none", "account")
	l.open(issuer + "/admin/claims/edit?name=department")
	l.run(`document.querySelectorAll("input[value=user]").forEach((e) => e.checked = true); 0`)
	l.follow("claim-save")
	l.open(issuer + "/account/details")
	l.look("details", "account")
}
