package scim_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store/outbox"
)

const enterprise = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"

func TestAPersonArrivesChangesAndLeaves(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	resp, doc := d.response(201, "POST", "/Users", object{
		"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise}, "externalId": "e-1",
		"userName": "Ada@example.com", "name": object{"givenName": "Ada", "familyName": "Lovelace"}, "locale": "fr",
		"title": "Countess", enterprise: object{"department": "Mathematics", "manager": "m-1"}, "password": "never",
		"emails": []any{object{"value": "ADA@example.com", "type": "work", "primary": "True"}},
	})
	id := doc["id"].(string)
	if resp.Header.Get("Location") != h.Issuer+"/scim/v2/Users/"+id || resp.Header.Get("ETag") == "" {
		t.Errorf("headers %v", resp.Header)
	}
	u, err := h.DB.UserByID(t.Context(), id)
	h.Must(err)
	if u.Email != "ada@example.com" || u.Name != "Ada Lovelace" || u.Profile.Locale != "fr" || u.EmailVerified ||
		u.Role != directory.RoleUser {
		t.Errorf("the account is %+v", u)
	}
	delete(doc, "meta")
	want := object{
		"schemas": []any{"urn:ietf:params:scim:schemas:core:2.0:User", enterprise}, "id": id, "externalId": "e-1",
		"userName": "Ada@example.com", "name": object{"givenName": "Ada", "familyName": "Lovelace"}, "locale": "fr",
		"title": "Countess", enterprise: object{"department": "Mathematics", "manager": object{"value": "m-1"}},
		"emails": []any{object{"value": "ADA@example.com", "type": "work", "primary": true}}, "active": true,
	}
	if diff := cmp.Diff(want, doc); diff != "" {
		t.Errorf("the resource (-want +got):\n%s", diff)
	}

	d.call(200, "PATCH", "/Users/"+id, object{"Operations": []any{
		object{"op": "Replace", "path": "displayName", "value": "Countess Ada"},
		object{"op": "Add", "path": enterprise + ":department", "value": "Computing"},
		object{"op": "replace", "value": object{"name.familyName": "King", "title": "Programmer", "unheard": "of"}},
	}})
	got := d.call(200, "GET", "/Users/"+id, nil)
	if got["displayName"] != "Countess Ada" || got["title"] != "Programmer" ||
		got[enterprise].(object)["department"] != "Computing" || got["name"].(object)["familyName"] != "King" {
		t.Errorf("after PATCH: %v", got)
	}

	if got := d.call(200, "PATCH", "/Users/"+id, patch("Replace", "active", "False")); got["active"] != false {
		t.Errorf("not inactive: %v", got)
	}
	if u, err = h.DB.UserByID(t.Context(), id); err != nil || !u.Disabled() {
		t.Errorf("not disabled: %v, %v", u, err)
	}
	if got := d.call(200, "PATCH", "/Users/"+id, patch("replace", "", object{"active": true})); got["active"] != true {
		t.Errorf("not active again: %v", got)
	}

	d.call(204, "DELETE", "/Users/"+id, nil)
	d.refused(404, "", "GET", "/Users/"+id, nil)
	if got := d.call(200, "GET", `/Users?filter=userName eq "ada@example.com"`, nil); got["totalResults"] != 0.0 {
		t.Errorf("still found: %v", got)
	}
	if u, err = h.DB.UserByID(t.Context(), id); err != nil || !u.Disabled() {
		t.Errorf("after DELETE: %v, %v", u, err)
	}
	events, err := h.DB.EventsOf(t.Context(), id, 50)
	h.Must(err)
	for _, kind := range []idp.EventKind{idp.EventUserCreated, idp.EventUserChanged, idp.EventUserDisabled, idp.EventUserEnabled} {
		i := slices.IndexFunc(events, func(e idp.Event) bool { return e.Kind == kind })
		if i < 0 || events[i].ClientID != "entra" || events[i].Detail["by"] != "scim" {
			t.Errorf("no %s of the client", kind)
		}
	}
}

func TestADeactivatedPersonIsOutAtOnce(t *testing.T) {
	h := open(t, nil)
	d := h.directory("okta")
	id := d.person("eve@example.com", nil)
	sessions := session.New(session.Config{Store: h.Ephemeral, Absolute: time.Hour, Idle: time.Hour})
	_, err := sessions.Start(t.Context(), httptest.NewRecorder(), httptest.NewRequest("GET", h.Issuer, nil), idp.Authentication{
		ID: idp.NewID(), UserID: id, At: time.Now(),
	}, nil)
	h.Must(err)
	d.call(200, "PUT", "/Users/"+id, object{"userName": "eve@example.com", "active": false})
	if u, err := h.DB.UserByID(t.Context(), id); err != nil || !u.Disabled() {
		t.Fatalf("%+v %v", u, err)
	}
	if left, err := sessions.List(t.Context(), id); err != nil || len(left) > 0 {
		t.Errorf("%d sessions are left, %v", len(left), err)
	}
}

func TestADirectoryEnablesNobodyWhomAnAdminDisabled(t *testing.T) {
	h := open(t, nil)
	d := h.directory("okta")
	id := d.person("eve@example.com", nil)
	h.Must(h.DB.DisableUser(t.Context(), id, time.Now()))
	got := d.call(200, "PUT", "/Users/"+id, object{"userName": "eve@example.com", "active": true, "title": "new"})
	if got["active"] != false || got["title"] != "new" {
		t.Errorf("%v", got)
	}
	d.call(200, "PATCH", "/Users/"+id, patch("replace", "active", false))
	if got := d.call(200, "PATCH", "/Users/"+id, patch("replace", "active", true)); got["active"] != false {
		t.Errorf("enabled: %v", got)
	}
}

func TestAPersonWhoArrivesIsInvited(t *testing.T) {
	box := &mail.Mailbox{}
	h := open(t, box)
	d := h.directory("entra")
	d.person("ada@example.com", nil)
	idle := d.person("idle@example.com", object{"active": false})
	if got := h.mailed(); !slices.Equal(got, []string{"ada@example.com"}) {
		t.Errorf("mailed to %v", got)
	}
	d.call(200, "PATCH", "/Users/"+idle, patch("replace", "active", true))
	if got := h.mailed(); !slices.Contains(got, "idle@example.com") {
		t.Errorf("mailed to %v", got)
	}
}

// mailed returns who is written to in the outbox.
func (h *house) mailed() (to []string) {
	h.Helper()
	for {
		m, err := outbox.ClaimMail(h.Context(), h.DB, time.Now().Add(time.Second), time.Hour)
		if err != nil {
			return to
		}
		to = append(to, m.To)
	}
}

func TestPeopleWithARoleAreNotForDirectories(t *testing.T) {
	for _, allowed := range []string{"off", "on"} {
		h := open(t, nil, "STEPWARD_SCIM_ROLES="+allowed)
		d := h.directory("entra")
		status := 403
		if allowed == "on" {
			status = 200
		}
		admin, owner := h.User("admin@example.com", directory.RoleAdmin), h.User("owner@example.com", directory.RoleOwner)
		support := h.User("support@example.com", directory.RoleSupport)
		for _, change := range []object{
			patch("replace", "active", false), patch("replace", "displayName", "Other"),
		} {
			d.call(403, "PATCH", "/Users/"+owner.ID, change)
			d.call(status, "PATCH", "/Users/"+support.ID, change)
			d.call(status, "PATCH", "/Users/"+admin.ID, change)
		}
		d.call(403, "DELETE", "/Users/"+owner.ID, nil)
		// What the directory keeps for itself is not of the account, and neither are groups.
		d.call(200, "PATCH", "/Users/"+owner.ID, patch("add", "externalId", "e-9"))
		d.call(201, "POST", "/Groups", object{"displayName": "staff", "members": []any{object{"value": owner.ID}}})
		for _, u := range []idp.User{admin, owner, support} {
			got, err := h.DB.UserByID(t.Context(), u.ID)
			h.Must(err)
			if got.Role != u.Role || u.ID == owner.ID && got.Disabled() || got.Disabled() != (allowed == "on") && u.ID != owner.ID {
				t.Errorf("scim-roles %s: %+v", allowed, got)
			}
		}
	}
}

func TestRolesAreNotGranted(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.person("eve@example.com", object{"role": "owner", "roles": []any{object{"value": "owner"}}, "Role": "admin"})
	d.call(200, "PATCH", "/Users/"+id, patch("add", "", object{"role": "owner", "roles": []any{object{"value": "owner"}}}))
	d.refused(400, "invalidPath", "PATCH", "/Users/"+id, patch("add", "roles", []any{object{"value": "owner"}}))
	if u, err := h.DB.UserByID(t.Context(), id); err != nil || u.Role != directory.RoleUser {
		t.Errorf("%+v %v", u, err)
	}
}

func TestNamesAndAddressesBelongToOne(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	h.User("here@example.com", directory.RoleUser)
	d.person("ada", object{"emails": []any{object{"value": "ada@example.com"}}})
	bob := d.person("bob@example.com", nil)
	for _, doc := range []object{
		{"userName": "here@example.com"},
		{"userName": "ADA", "emails": []any{object{"value": "x@example.com"}}},
		{"userName": "x", "emails": []any{object{"value": "Ada@example.com"}}},
		{"userName": "ada@example.com", "emails": []any{object{"value": "y@example.com"}}},
	} {
		d.refused(409, "uniqueness", "POST", "/Users", doc)
		d.refused(409, "uniqueness", "PUT", "/Users/"+bob, doc)
	}
}

func TestAnAddressThatWasReusedDoesNotBringAnAccountBack(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.person("smith@example.com", object{"externalId": "e-1"})
	d.call(204, "DELETE", "/Users/"+id, nil)
	d.refused(409, "uniqueness", "POST", "/Users", object{"userName": "smith@example.com", "externalId": "e-2"})
	d.refused(409, "uniqueness", "POST", "/Users", object{"userName": "smith@example.com"})
	if again := d.person("smith@example.com", object{"externalId": "e-1", "title": "back"}); again != id {
		t.Errorf("%s came back as %s", id, again)
	}
	if u, err := h.DB.UserByID(t.Context(), id); err != nil || u.Disabled() {
		t.Errorf("%+v %v", u, err)
	}
}

func TestTwoDirectoriesDoNotChangeEachOthersPeople(t *testing.T) {
	h := open(t, nil)
	one, other := h.directory("one"), h.directory("other")
	id := one.person("ada@example.com", object{"externalId": "e-1"})
	group := one.call(201, "POST", "/Groups", object{"displayName": "staff", "externalId": "g-1"})["id"].(string)
	for _, path := range []string{"/Users/" + id, "/Groups/" + group} {
		other.refused(403, "", "DELETE", path, nil)
		other.refused(403, "", "PATCH", path, patch("replace", "displayName", "Other"))
		if doc := other.call(200, "GET", path, nil); doc["externalId"] != nil {
			t.Errorf("the other sees %v", doc)
		}
	}
	if got := other.call(200, "GET", `/Users?filter=externalId eq "e-1"`, nil); got["totalResults"] != 0.0 {
		t.Errorf("the other finds %v", got)
	}
	h.Must(h.DB.DisableClient(t.Context(), "one", time.Now()))
	time.Sleep(10 * time.Millisecond)
	other.call(200, "PATCH", "/Users/"+id, patch("replace", "displayName", "Other"))
}

func TestAVersionThatIsOldChangesNothing(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.person("ada@example.com", nil)
	group := d.call(201, "POST", "/Groups", object{"displayName": "staff"})["id"].(string)
	for _, path := range []string{"/Users/" + id, "/Groups/" + group} {
		resp, _ := d.response(200, "GET", path, nil)
		tag := resp.Header.Get("ETag")
		with := func(name, value string) func(*http.Request) {
			return func(r *http.Request) { r.Header.Set(name, value) }
		}
		d.response(304, "GET", path, nil, with("If-None-Match", tag))
		d.call(200, "PATCH", path+"?attributes=id", patch("replace", "displayName", "First"), with("If-Match", tag))
		d.refused(412, "", "PATCH", path, patch("replace", "displayName", "Second"), with("If-Match", tag))
		d.refused(412, "", "DELETE", path, nil, with("If-Match", tag))
		if doc := d.call(200, "GET", path, nil); doc["displayName"] != "First" {
			t.Errorf("%v", doc)
		}
	}
}

func TestClaimsAreFilledInByName(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	h.claim("employee_number", directory.PartySCIM)
	h.claim("department", directory.PartyAdmin) // not for directories
	id := d.person("ada@example.com", object{enterprise: object{"employeeNumber": 7.0, "department": "Math"}})
	m, err := h.DB.MembershipOf(t.Context(), id)
	h.Must(err)
	if len(m.Values) != 1 || m.Values[0].Claim != "employee_number" || m.Values[0].JSON != `"7"` {
		t.Errorf("values %+v", m.Values)
	}
	d.call(200, "PATCH", "/Users/"+id, patch("remove", enterprise+":employeeNumber", nil))
	if m, err = h.DB.MembershipOf(t.Context(), id); err != nil || len(m.Values) != 0 {
		t.Errorf("values %+v %v", m.Values, err)
	}
}

func TestNamesThatHideSomethingAreCleanedOrRefused(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	for _, name := range []string{"ada\u200b@example.com", "\u3164", "", strings.Repeat("a", 300)} {
		d.refused(400, "invalidValue", "POST", "/Users", object{"userName": name, "emails": []any{object{"value": "ada@example.com"}}})
	}
	id := d.person("ada@example.com", object{"displayName": "A\u202eda", "title": "x\u202ey\x00z"})
	got := d.call(200, "GET", "/Users/"+id, nil)
	if got["displayName"] != "Ada" || got["title"] != "xyz" {
		t.Errorf("%v", got)
	}
	d.refused(400, "invalidValue", "PUT", "/Users/"+id, object{"userName": "ada@example.com", "displayName": strings.Repeat("a", 81)})
	d.refused(400, "invalidValue", "PUT", "/Users/"+id, object{"userName": "ada@example.com", "title": strings.Repeat("a", 1001)})
	d.refused(400, "invalidValue", "PUT", "/Users/"+id, object{"userName": "ada@example.com", "profileUrl": "javascript:alert(1)"})
}
