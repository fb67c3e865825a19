package account_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// happened stores an event of the user some minutes ago.
func (h *house) happened(u idp.User, kind idp.EventKind, minutes int, change func(*idp.Event)) idp.Event {
	h.t.Helper()
	e := idp.NewEvent(kind, u.ID, time.Now().Add(-time.Duration(minutes)*time.Minute))
	change(&e)
	if err := h.db.RecordEvents(h.t.Context(), e); err != nil {
		h.t.Fatal(err)
	}
	return e
}

func TestActivityIsFilteredAndExportedAsJSON(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	eve, _ := h.user("eve@example.com", 1)
	if err := h.db.PutClient(t.Context(), idp.Client{ID: "https://acme.example/?a=1&b=2", Name: "Acme Bank"}); err != nil {
		t.Fatal(err)
	}
	acme := func(e *idp.Event) { e.ClientID, e.PasskeyID = "https://acme.example/?a=1&b=2", keys[1].ID }
	h.happened(u, idp.EventSignedIn, 5, acme)
	h.happened(u, idp.EventSignedIn, 4, func(e *idp.Event) { e.PasskeyID = keys[0].ID })
	h.happened(u, idp.EventPasskeyRemoved, 3, func(e *idp.Event) {
		e.PasskeyID, e.Detail = "gone", map[string]string{"name": "Old phone"}
	})
	h.happened(u, idp.EventTokensIssued, 2, acme) // not for the page
	h.happened(eve, idp.EventSignedIn, 1, acme)
	b := h.browser()
	b.signIn(u, keys[0].ID)
	for query, want := range map[string]int{
		"": 3, "kind=sign-in": 2, "kind=passkey": 1, "kind=nonsense": 3, "application=" + url.QueryEscape("https://acme.example/?a=1&b=2"): 1,
		"passkey=" + keys[0].ID: 1, "passkey=gone": 1, "kind=passkey&passkey=" + keys[0].ID: 0, "passkey=%00": 3, "passkey=%ff": 3,
		"before=1.x": 0, "before=%2F..": 3, "kind=" + strings.Repeat("x", 3000): 3,
	} {
		p := b.get("/account/activity?"+query).is("account", 200)
		if n := strings.Count(p.body, `data-test="event"`); n != want {
			t.Errorf("%.60q shows %d events, want %d", query, n, want)
		}
		file := b.get("/account/activity/export?" + query)
		var saved struct {
			Sub    string           `json:"sub"`
			Events []map[string]any `json:"events"`
		}
		if err := json.Unmarshal([]byte(file.body), &saved); err != nil || file.status != 200 || saved.Sub != u.ID {
			t.Fatalf("%q: %d %v\n%s", query, file.status, err, file.body)
		}
		if len(saved.Events) != want || saved.Events == nil {
			t.Errorf("%.60q exports %d events, want %d", query, len(saved.Events), want)
		}
	}
	if p := b.get("/account/activity?kind=sign-in"); !strings.Contains(p.body, `href="/account/activity/export?kind=sign-in"`) ||
		!strings.Contains(p.body, `<option value="sign-in" selected>`) || !strings.Contains(p.body, ">Old phone</option>") {
		t.Errorf("the page does not show its filter\n%s", p.content())
	}
}

func TestOlderActivityIsOnTheNextPage(t *testing.T) {
	h := build(t)
	u, _ := h.user("ada@example.com", 1)
	var all []idp.Event
	at := time.Now()
	for i := range 101 { // two of each millisecond
		all = append(all, idp.NewEvent(idp.EventSignedOut, u.ID, at.Add(-time.Duration(i/2)*time.Millisecond)))
	}
	if err := h.db.RecordEvents(t.Context(), all...); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, "")
	seen := map[string]bool{}
	next := "/account/activity?kind=sign-in"
	for n := 0; next != "" && n < 3; n++ {
		p := b.get(next).is("account", 200)
		for _, line := range strings.Split(p.body, `href="/account/activity/`)[1:] {
			if id, _, _ := strings.Cut(line, `"`); !strings.Contains(id, "?") && !strings.Contains(id, "export") {
				seen[id] = true
			}
		}
		next = ""
		if before, _, ok := strings.Cut(p.body, `" data-test="older"`); ok {
			next = strings.ReplaceAll(before[strings.LastIndex(before, `href="`)+6:], "&amp;", "&")
		}
	}
	if len(seen) != len(all) {
		t.Errorf("two pages show %d of %d events", len(seen), len(all))
	}
}

func TestThatWasNotMeLeadsToTheRemedy(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada@example.com", 2)
	eve, _ := h.user("eve@example.com", 1)
	if err := h.db.PutClient(t.Context(), idp.Client{ID: "acme", Name: "Acme Bank"}); err != nil {
		t.Fatal(err)
	}
	if err := h.db.PutGrant(t.Context(), idp.Grant{UserID: u.ID, ClientID: "acme", Scopes: []string{"openid"}}); err != nil {
		t.Fatal(err)
	}
	b, thief := h.browser(), h.browser()
	here := b.signIn(u, keys[0].ID)
	there := thief.signIn(u, keys[1].ID)
	e := h.happened(u, idp.EventSignedIn, 1, func(e *idp.Event) {
		e.ClientID, e.PasskeyID, e.SessionID = "acme", keys[1].ID, there.ID
	})
	page := func(e idp.Event) page { return b.get("/account/activity/"+e.ID).is("account", 200) }
	p := page(e).wants("session-revoke", "passkey-remove", "application-remove", "session-revoke-others")
	if !strings.Contains(p.body, fmt.Sprintf(`href="/account/passkeys/%s/remove"`, keys[1].ID)) {
		t.Errorf("no link to the passkey\n%s", p.content())
	}
	b.post("/account/sessions/revoke", "id", there.ID).is("account", 200)
	b.post("/account/applications/remove", "client", "acme").is("account", 200)
	if p := page(e); p.has("session-revoke") || p.has("application-remove") {
		t.Errorf("offers what was done\n%s", p.content())
	}
	for kind, want := range map[idp.EventKind][]string{
		idp.EventRecoveryAsked: {"remedy-codes"}, idp.EventUserChanged: {"remedy-profile"}, idp.EventSignedOut: nil,
	} {
		e := h.happened(u, kind, 1, func(e *idp.Event) { e.SessionID = here.ID })
		p := page(e).wants(append(slices.Clone(want), "session-revoke-others")...)
		if p.has("session-revoke") {
			t.Errorf("%s: offers to sign out this browser", kind)
		}
	}
	gone := h.happened(u, idp.EventSignedIn, 1, func(e *idp.Event) { e.PasskeyID = "gone" })
	page(gone).wants("remedy-passkeys")

	// Somebody else's event, one that users do not see, and one that never was.
	hers := h.happened(eve, idp.EventSignedIn, 1, func(*idp.Event) {})
	hidden := h.happened(u, idp.EventTokensIssued, 1, func(*idp.Event) {})
	for _, id := range []string{hers.ID, hidden.ID, "none", "%00", "%ff"} {
		b.get("/account/activity/"+id).is("error", 404)
	}
}
