package account_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

func TestRevokingASessionEndsItAndItsTokensExceptOfflineOnes(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	here, there := h.browser(), h.browser()
	mine, other := here.signIn(u, keys[0].ID), there.signIn(u, keys[0].ID)
	online, offline, own := h.family(u, other.ID, false), h.family(u, other.ID, true), h.family(u, mine.ID, false)
	p := here.get("/account/sessions").is("account", 200)
	p.wants("session-revoke", "session-current", "session-revoke-others")
	if !strings.Contains(p.body, `data-test="session-revoke" data-id="`+other.ID+`"`) ||
		strings.Count(p.body, `data-test="session-revoke"`) != 1 {
		t.Errorf("rows\n%s", p.content())
	}
	here.post("/account/sessions/revoke", "id", other.ID).is("account", 200)
	there.get("/account").is("login", 200)
	here.get("/account").is("account", 200)
	h.checkFamily(online, false)
	h.checkFamily(offline, true)
	h.checkFamily(own, true)
	here.post("/account/sessions/revoke", "id", other.ID).is("error", 404)
	if diff := cmp.Diff([]idp.EventKind{idp.EventSessionRevoked}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestAnotherUsersSessionIsNotFound(t *testing.T) {
	h := build(t)
	ada, _ := h.user("ada@example.com", 1)
	eve, _ := h.user("eve@example.com", 1)
	a, e := h.browser(), h.browser()
	theirs := a.signIn(ada, "")
	family := h.family(ada, theirs.ID, false)
	e.signIn(eve, "")
	e.post("/account/sessions/revoke", "id", theirs.ID).is("error", 404)
	a.get("/account").is("account", 200)
	h.checkFamily(family, true)
}

func TestSigningOutEverywhereElseKeepsThisSession(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	here, there, far := h.browser(), h.browser(), h.browser()
	here.signIn(u, "")
	family := h.family(u, there.signIn(u, "").ID, false)
	far.signIn(u, "")
	here.post("/account/sessions/revoke-others").is("account", 200)
	there.get("/account").is("login", 200)
	far.get("/account").is("login", 200)
	h.checkFamily(family, false)
	if p := here.get("/account/sessions").is("account", 200); p.has("session-revoke-others") {
		t.Error("the button is still shown")
	}
	if diff := cmp.Diff([]idp.EventKind{idp.EventSessionRevoked, idp.EventSessionRevoked}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestSigningOutEndsTheSessionAndItsTokens(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	b := h.browser()
	family := h.family(u, b.signIn(u, "").ID, false)
	b.post("/account/signout").is("logged-out", 200)
	b.get("/account").is("login", 200)
	h.checkFamily(family, false)
	if diff := cmp.Diff([]idp.EventKind{idp.EventSignedOut}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
	b.post("/account/signout").is("logged-out", 200) // without a session
}

func TestADisabledAccountIsSignedOut(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, "")
	u.DisabledAt = time.Now()
	if err := h.db.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b.get("/account").is("error", 403)
	b.get("/account").is("login", 200)
}

func TestAnApplicationsAccessCanBeRemoved(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	eve, _ := h.user("eve@example.com", 1)
	b, e := h.browser(), h.browser()
	family := h.family(u, b.signIn(u, "").ID, true)
	e.signIn(eve, "")
	b.get("/account/applications").is("account", 200)
	if err := h.db.PutGrant(t.Context(), idp.Grant{
		UserID: u.ID, ClientID: "app", Scopes: []string{"openid", "email", "odd"},
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}); err != nil {
		t.Fatal(err)
	}
	p := b.get("/account/applications").is("account", 200).wants("application-remove")
	if !strings.Contains(p.body, "See your e-mail address") || !strings.Contains(p.body, "<span><bdi>odd</bdi></span>") ||
		strings.Contains(p.body, "openid") || !strings.Contains(p.body, "Acme") {
		t.Errorf("words\n%s", p.content())
	}
	e.post("/account/applications/remove", "client", "app").is("error", 404)
	h.checkFamily(family, true)
	b.post("/account/applications/remove", "client", "app").is("account", 200)
	h.checkFamily(family, false)
	if p := b.get("/account/applications").is("account", 200); p.has("application") {
		t.Error("the application is still listed")
	}
	if diff := cmp.Diff([]idp.EventKind{idp.EventConsentRevoked}, h.kinds(u)); diff != "" {
		t.Error(diff)
	}
}

func TestAnApplicationShowsItsScopesInOrderItsHostAndItsDates(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, "")
	if err := h.db.PutClient(t.Context(), idp.Client{
		ID: "shop", Name: "Shop", RedirectURIs: []string{"https://shop.example/callback"},
	}); err != nil {
		t.Fatal(err)
	}
	at := time.Now()
	if err := h.db.PutGrant(t.Context(), idp.Grant{
		UserID: u.ID, ClientID: "shop", Scopes: []string{"offline_access", "openid", "address", "pay", "email", "profile"},
		CreatedAt: at.AddDate(0, -1, 0), UpdatedAt: at.AddDate(0, -1, 0),
	}); err != nil {
		t.Fatal(err)
	}
	used := idp.NewEvent(idp.EventTokensIssued, u.ID, at.Add(-3*time.Hour))
	used.ClientID = "shop"
	if err := h.db.RecordEvents(t.Context(), used); err != nil {
		t.Fatal(err)
	}
	p := b.get("/account/applications").is("account", 200)
	last := 0
	for _, want := range []string{
		"shop.example", at.AddDate(0, -1, 0).UTC().Format("2 January 2006"), "last used", "3 hours ago",
		"profile", "See your e-mail address", "address</span>", "Make payments", "offline_access",
	} {
		i := strings.Index(p.body[last:], want)
		if i < 0 {
			t.Fatalf("%q is missing or in the wrong place\n%s", want, p.content())
		}
		last += i
	}
}

func TestASingleSessionShowsNoEmptyState(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, keys[0].ID)
	if p := b.get("/account/sessions").is("account", 200); strings.Contains(p.body, `class="empty"`) {
		t.Errorf("the page shows an empty state\n%s", p.content())
	}
}

func TestAnApplicationLinksToWhereItStartsASignIn(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, "")
	client := func(id, address string) {
		t.Helper()
		if err := h.db.PutClient(t.Context(), idp.Client{ID: id, Name: id, InitiateLoginURI: address}); err != nil {
			t.Fatal(err)
		}
		if err := h.db.PutGrant(t.Context(), idp.Grant{UserID: u.ID, ClientID: id, Scopes: []string{"openid"}}); err != nil {
			t.Fatal(err)
		}
	}
	client("without", "")
	if p := b.get("/account/applications").is("account", 200); p.has("application-open") {
		t.Error("a link without an address")
	}
	client("with", "https://app.example/login?x=1")
	p := b.get("/account/applications").is("account", 200).wants("application-open")
	if !strings.Contains(p.body, `href="https://app.example/login?iss=`) || !strings.Contains(p.body, "&amp;x=1\"") {
		t.Errorf("no link\n%s", p.content())
	}
}

func TestActivityShowsOnlyTheUsersOwnEvents(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	eve, _ := h.user("eve@example.com", 1)
	b := h.browser()
	b.signIn(u, "")
	b.get("/account/activity").is("account", 200)
	added := idp.NewEvent(idp.EventPasskeyAdded, u.ID, time.Now())
	added.Detail = map[string]string{"name": "<i>{client}"}
	granted := idp.NewEvent(idp.EventConsentGranted, u.ID, time.Now())
	granted.ClientID = "gone"
	if err := h.db.RecordEvents(t.Context(), added, granted, idp.NewEvent(idp.EventTokensIssued, u.ID, time.Now()),
		idp.NewEvent(idp.EventSignedIn, eve.ID, time.Now())); err != nil {
		t.Fatal(err)
	}
	p := b.get("/account/activity").is("account", 200)
	if n := strings.Count(p.body, `data-test="event"`); n != 2 {
		t.Errorf("%d events, want 2", n)
	}
	for _, words := range []string{"The passkey “<bdi>&lt;i&gt;{client}</bdi>” was added", "You gave <bdi>gone</bdi> access"} {
		if !strings.Contains(p.body, words) {
			t.Errorf("no %q\n%s", words, p.content())
		}
	}
}

func TestEachActivityNamesThePasskey(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	if err := h.db.PutClient(t.Context(), idp.Client{ID: "acme", Name: "Acme Bank"}); err != nil {
		t.Fatal(err)
	}
	at := time.Now().Add(-3 * time.Hour)
	event := func(kind idp.EventKind, client, passkey string, detail ...string) idp.Event {
		e := idp.NewEvent(kind, u.ID, at)
		e.ClientID, e.PasskeyID, e.Detail = client, passkey, map[string]string{}
		for pair := range slices.Chunk(detail, 2) {
			e.Detail[pair[0]] = pair[1]
		}
		return e
	}
	exact := at.UTC().Format("2 January 2006, 15:04 UTC")
	if err := h.db.RecordEvents(t.Context(),
		event(idp.EventSignedIn, "acme", keys[1].ID), event(idp.EventSignedIn, "", keys[1].ID),
		event(idp.EventSignedIn, "acme", "gone"), event(idp.EventSteppedUp, "acme", keys[1].ID, "class", "payments"),
		event(idp.EventPasskeyRefused, "acme", keys[1].ID),
		event(idp.EventPasskeyRegressed, "acme", keys[1].ID), event(idp.EventPasskeyRemoved, "", "gone", "name", "Old phone"),
		event(idp.EventWindowClosed, "", "", "class", "payments"), event(idp.EventConsentGranted, "acme", ""),
	); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, keys[0].ID)
	lines := strings.Split(b.get("/account/activity").is("account", 200).body, `data-test="event"`)[1:]
	for _, want := range [][]string{
		{"You signed in to <bdi>Acme Bank</bdi>", "Passkey: <bdi>Key 2</bdi>"},
		{"You signed in to your account", "Passkey: <bdi>Key 2</bdi>"},
		{"it’s you to <bdi>make a payment</bdi> (<bdi>Acme Bank</bdi>)", "Passkey: <bdi>Key 2</bdi>"},
		{"A sign-in to <bdi>Acme Bank</bdi> was refused", "Passkey: <bdi>Key 2</bdi>"},
		{"passkey “<bdi>Key 2</bdi>”"},
		{"The passkey “<bdi>Old phone</bdi>” was removed"},
		{"You signed in to <bdi>Acme Bank</bdi>", "Passkey: <bdi>Old phone</bdi>"},
		{"You withdrew your confirmation to <bdi>make a payment</bdi>"},
		{"You gave <bdi>Acme Bank</bdi> access"},
	} {
		if !slices.ContainsFunc(lines, func(line string) bool {
			return !slices.ContainsFunc(append(want, exact, "3 hours ago", `href="/account/activity/`),
				func(part string) bool { return !strings.Contains(line, part) })
		}) {
			t.Errorf("no line with all of %q", want)
		}
	}
}

func TestAProfileIsSavedAndItsValuesChecked(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	u.Profile.PhoneNumber, u.Profile.PhoneVerified = "+4930111111", true
	if err := h.db.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, "")
	b.get("/account").is("account", 200)
	p := b.post("/account", "name", "Ada  King", "given_name", "Ada", "family_name", "King", "middle_name", "M",
		"nickname", "al", "preferred_username", "ada",
		"profile", "https://example.com/ada", "picture", "https://example.com/ada.png", "website", "https://example.com/",
		"gender", "female",
		"birthdate", "0000-02-29", "zoneinfo", "Europe/London", "locale", "EN-gb", "phone_number", "+44 (20) 7946-0000",
		"street_address", "1 Dorset Street", "postal_code", "W1", "locality", "London", "region", "Greater London",
		"country", "UK",
		"email", "eve@example.com", "role", "admin").is("account", 200)
	if p.attribute("data-signal") == "" || p.url.RawQuery != "done=saved" {
		t.Errorf("at %s, signal %q", p.url, p.attribute("data-signal"))
	}
	got, err := h.db.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	want := idp.Profile{
		GivenName: "Ada", FamilyName: "King", MiddleName: "M", Nickname: "al", PreferredUsername: "ada",
		URL: "https://example.com/ada", Picture: "https://example.com/ada.png", Website: "https://example.com/",
		Gender:    "female",
		Birthdate: "0000-02-29", Zoneinfo: "Europe/London", Locale: "en-GB", PhoneNumber: "+442079460000",
		Address: idp.Address{
			Formatted: "1 Dorset Street\nW1 London\nGreater London\nUK", StreetAddress: "1 Dorset Street",
			PostalCode: "W1", Locality: "London", Region: "Greater London", Country: "UK",
		},
	}
	if diff := cmp.Diff(want, got.Profile); diff != "" {
		t.Error(diff)
	}
	if got.Name != "Ada King" || got.Email != "ada@example.com" || got.Role != directory.RoleUser {
		t.Errorf("%+v", got)
	}
	if !slices.Contains(h.kinds(u), idp.EventUserChanged) {
		t.Error("no event was recorded")
	}

	for field, values := range map[string][]string{
		"name":     {"", strings.Repeat("a", 81)},
		"nickname": {strings.Repeat("a", 81)},
		"website": {
			"http://example.com", "javascript:alert(1)", "https://", "https://u:p@example.com",
			"https://example.com/" + strings.Repeat("a", 500), "//example.com",
		},
		"picture":        {"data:image/png;base64,AAAA"},
		"birthdate":      {"1990-13-01", "31.5.1990", "2999-01-01", "1990-02-30", "0000-02-30", "1066", "99"},
		"zoneinfo":       {"Mars/Olympus", "Local", "../../etc/passwd", strings.Repeat("a", 99)},
		"locale":         {"english please", "-", strings.Repeat("a", 99)},
		"phone_number":   {"030 123456", "+", "+12", "+1234567890123456", "+49 abc 123456"},
		"street_address": {strings.Repeat("a", 201), "a\u202eb"},
	} {
		for _, value := range values {
			fields := map[string]string{"name": "Ada King", field: value}
			p := b.post("/account", "name", fields["name"], field, value).is("account", 422).wants("error")
			if !strings.Contains(p.body, `autofocus aria-invalid="true" aria-describedby="about-`+field) {
				t.Errorf("%s=%q: the fault is not beside the field", field, value)
			}
		}
	}
	after, err := h.db.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, after); diff != "" {
		t.Errorf("a refused form was saved in part\n%s", diff)
	}
	b.do("POST", "/account", "application/x-www-form-urlencoded", "name="+strings.Repeat("a", 70<<10)).is("error", 413)
	b.post("/account", "name", "Ada King").is("account", 200) // empties all other fields
	if after, err = h.db.UserByID(t.Context(), u.ID); err != nil || after.Profile != (idp.Profile{}) {
		t.Errorf("%+v %v", after.Profile, err)
	}
}

func TestABirthdayIsEnteredInParts(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	b := h.browser()
	b.signIn(u, "")
	for _, c := range []struct{ day, month, year, want string }{
		{"5", "03", "1990", "1990-03-05"},
		{"29", "02", "", "0000-02-29"},
		{"", "", "1990", "1990"},
		{"", "", "", ""},
		{"5", "", "1990", "!"},
		{"", "03", "", "!"},
		{"31", "02", "", "!"},
		{"x", "03", "1990", "!"},
		{"", "", "99", "!"},
		{"5", "3", "1990", "!"},
	} {
		p := b.post("/account", "name", "Ada", "birthdate_day", c.day, "birthdate_month", c.month, "birthdate_year", c.year)
		if c.want == "!" {
			p.is("account", 422)
			if !strings.Contains(p.body, `class="fault" id="about-birthdate"`) ||
				!strings.Contains(p.body, `name="birthdate_day" value="`+c.day+`"`) {
				t.Errorf("%+v: the fault is not at the field, or the typed value is lost\n%s", c, p.content())
			}
			continue
		}
		got, err := h.db.UserByID(t.Context(), u.ID)
		if err != nil || p.status != 200 || got.Profile.Birthdate != c.want {
			t.Errorf("%+v: %d %q %v", c, p.status, got.Profile.Birthdate, err)
		}
		if page := b.get("/account").body; !strings.Contains(page, `name="birthdate_day" value="`+c.day+`"`) ||
			!strings.Contains(page, `name="birthdate_year" value="`+c.year+`"`) ||
			c.month != "" && !strings.Contains(page, `<option value="`+c.month+`" selected>`) {
			t.Errorf("%+v is not shown after saving", c)
		}
	}
}

func TestLanguageAndTimeZoneAreChoices(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	u.Profile.Zoneinfo, u.Profile.Locale = "America/Argentina/Ushuaia", "gsw" // not in the lists, but kept
	if err := h.db.UpdateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, "")
	p := b.get("/account").is("account", 200)
	for _, want := range []string{
		`<select name="zoneinfo"`, `<select name="locale"`,
		`value="America/Argentina/Ushuaia" selected`, `value="gsw" selected`, `class="actions reach"`,
	} {
		if !strings.Contains(p.body, want) {
			t.Errorf("no %s", want)
		}
	}
	if first, rest := strings.Index(p.body, `name="name"`), strings.Index(p.body, "<details"); first > rest {
		t.Error("the name is not first")
	}
	// Every choice can be saved.
	choices := regexp.MustCompile(`<option value="([^"]+)"`)
	for _, field := range []string{"zoneinfo", "locale"} {
		_, list, _ := strings.Cut(p.body, `<select name="`+field+`"`)
		list, _, _ = strings.Cut(list, "</select>")
		found := choices.FindAllStringSubmatch(list, -1)
		if len(found) < 50 {
			t.Errorf("%s: %d choices", field, len(found))
		}
		for _, m := range found {
			b.post("/account", "name", "Ada", field, m[1]).is("account", 200)
			got, err := h.db.UserByID(t.Context(), u.ID)
			if err != nil || got.Profile.Zoneinfo+got.Profile.Locale != m[1] {
				t.Errorf("%s: %q became %q (%v)", field, m[1], got.Profile.Zoneinfo+got.Profile.Locale, err)
			}
		}
	}
	// With two faults, each is shown at its field and the first has the focus.
	p = b.post("/account", "name", "Ada", "website", "no", "phone_number", "no").is("account", 422)
	if strings.Count(p.body, `class="fault"`) != 2 || strings.Count(p.body, " autofocus ") != 1 ||
		strings.Count(p.body, `aria-invalid="true"`) != 2 {
		t.Errorf("faults\n%s", p.content())
	}
}
