package provision_test

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/store/managed"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/store/roster"
)

// at reads the name of a user there, and whether they are active; "" if they are not there.
func there(h *house, email string) (name string, active bool, externalID string) {
	h.Helper()
	found, err := managed.New(h.DB).FindUsers(h.Context(), []managed.Key{{Of: "userName", Value: email}}, 2)
	h.must(err)
	if len(found) == 0 {
		return "", false, ""
	}
	return found[0].Name, !found[0].Disabled(), found[0].ExternalID
}

func TestPeopleOfOneStepwardArriveAtAnotherAndLeave(t *testing.T) {
	other, app, secret := stepward(t)
	h := open(t, app, near)
	ada, bob := h.user("ada@example.com"), h.user("bob@example.com")
	staff := h.group("staff", ada)
	all := h.group("all") // staff is in it: its members are members here as well
	h.must(h.ops.Groups.Nest(h.Context(), operator, staff.ID, all.ID))
	h.set(provision.Input{
		BaseURL: app.URL + directory.PathSCIM, Token: secret, SendGroups: []string{"staff", "all"},
	})
	h.send()
	for email, u := range map[string]idp.User{"ada@example.com": ada, "bob@example.com": bob} {
		if name, active, id := there(other, email); name != u.Name || !active || id != u.ID {
			t.Errorf("%s: %q %v %q", email, name, active, id)
		}
	}
	members := func(name string) (list []string) {
		g, err := roster.New(other.DB).GroupByName(t.Context(), name)
		if err != nil {
			return []string{err.Error()}
		}
		found, err := managed.New(other.DB).Members(t.Context(), []string{g.ID}, 10)
		h.must(err)
		for _, m := range found {
			u, err := other.DB.UserByID(t.Context(), m.UserID)
			h.must(err)
			list = append(list, u.Email)
		}
		slices.Sort(list)
		return list
	}
	is := func(name string, want ...string) {
		t.Helper()
		if got := members(name); !slices.Equal(got, want) {
			t.Errorf("members of %s there: %v, want %v", name, got, want)
		}
	}
	is("staff", "ada@example.com")
	is("all", "ada@example.com")

	// Somebody joins, somebody is renamed and moves, a group is renamed.
	h.must(h.ops.Groups.AddMembers(t.Context(), operator, all.ID, bob.ID))
	name, email := "Ada Lovelace", "countess@example.com"
	profile := idp.Profile{GivenName: "Ada", FamilyName: "Lovelace"}
	_, err := h.ops.Users.Change(t.Context(), operator, ada.ID, admin.UserChange{
		Name: &name, Email: &email, Profile: &profile,
	})
	h.must(err)
	_, err = h.ops.Groups.Change(t.Context(), operator, all.ID, admin.GroupInput{Name: "everybody"}, time.Time{})
	h.must(err)
	h.send()
	is("everybody", "bob@example.com", "countess@example.com")
	if name, _, id := there(other, email); name != "Ada Lovelace" || id != ada.ID {
		t.Errorf("%q %q", name, id)
	}
	if name, _, _ := there(other, "ada@example.com"); name != "" {
		t.Error("the former address is still there")
	}

	// One is disabled, one is removed for good.
	_, _, err = h.ops.Users.Disable(t.Context(), operator, ada.ID)
	h.must(err)
	_, err = h.ops.Users.Remove(t.Context(), operator, bob.ID)
	h.must(err)
	h.send()
	if name, active, _ := there(other, email); name == "" || active {
		t.Errorf("who was disabled is there: %q %v", name, active)
	}
	if name, active, _ := there(other, "bob@example.com"); name != "" || active {
		t.Errorf("who was removed is there: %q %v", name, active)
	}
	is("everybody")
	h.must(h.ops.Users.Enable(t.Context(), operator, ada.ID))
	h.send()
	if _, active, _ := there(other, email); !active {
		t.Error("who was enabled is not there")
	}
	is("staff", "countess@example.com")
	if state := h.view().State; state.Waiting+state.Refused+state.Gone != 0 || state.Users != 1 || state.Groups != 2 {
		t.Errorf("%+v", state)
	}
}

func TestOnlyWhatDiffersIsSent(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	u := h.user("ada@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	if got := app.asked(); !slices.Equal(got, []string{"POST /Users"}) {
		t.Fatalf("%v", got)
	}
	for range 3 { // what nobody sees is no change
		verified := true
		_, err := h.ops.Users.Change(t.Context(), operator, u.ID, admin.UserChange{EmailVerified: &verified})
		h.must(err)
		h.send()
	}
	if got := app.asked(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	name := "Ada"
	_, err := h.ops.Users.Change(t.Context(), operator, u.ID, admin.UserChange{Name: &name})
	h.must(err)
	app.fault = func(_ http.ResponseWriter, r *http.Request) bool {
		if r.Method == "PATCH" && r.ContentLength > 300 {
			t.Errorf("a PATCH of %d bytes for a name", r.ContentLength)
		}
		return false
	}
	h.send()
	if got := app.asked(); !slices.Equal(got, []string{"PATCH /Users/u/1"}) {
		t.Errorf("%v", got)
	}
	if doc := app.named("ada@example.com"); doc["displayName"] != "Ada" || doc["externalId"] != u.ID {
		t.Errorf("%v", doc)
	}
	// An application that takes no PATCH gets all of it.
	app.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if r.Method == "PATCH" {
			w.WriteHeader(http.StatusNotImplemented)
		}
		return r.Method == "PATCH"
	}
	name = "Ada L."
	_, err = h.ops.Users.Change(t.Context(), operator, u.ID, admin.UserChange{Name: &name})
	h.must(err)
	h.send()
	if doc := app.named("ada@example.com"); doc["displayName"] != name || doc["active"] != true {
		t.Errorf("%v", doc)
	}
}

func TestOnlyThoseWhoMayUseTheApplicationAreSent(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	ada, bob, eve := h.user("ada@example.com"), h.user("bob@example.com"), h.user("eve@example.com")
	h.group("may", ada, bob)
	pilot := h.group("pilot", ada, eve)
	c, err := h.ops.Clients.Get(t.Context(), operator, "app")
	h.must(err)
	c.AllowedGroups = []string{"may"}
	_, err = h.ops.Clients.Change(t.Context(), operator, "app", c, time.Time{})
	h.must(err)
	h.set(provision.Input{BaseURL: app.base(), Groups: []string{"pilot"}, Delete: true})
	is := func(want ...string) {
		t.Helper()
		h.send()
		var got []string
		for _, email := range []string{"ada@example.com", "bob@example.com", "eve@example.com"} {
			if app.named(email) != nil {
				got = append(got, email)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("there: %v, want %v", got, want)
		}
	}
	is("ada@example.com")
	c.AllowedGroups = nil // the gate opens
	_, err = h.ops.Clients.Change(t.Context(), operator, "app", c, time.Time{})
	h.must(err)
	is("ada@example.com", "eve@example.com")
	h.must(h.ops.Groups.RemoveMembers(t.Context(), operator, pilot.ID, ada.ID))
	is("eve@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	is("ada@example.com", "bob@example.com", "eve@example.com")
	// A disabled client gets nothing, and all of it when it is enabled.
	h.must(h.ops.Clients.Disable(t.Context(), operator, "app"))
	_, _, err = h.ops.Users.Disable(t.Context(), operator, bob.ID)
	h.must(err)
	is("ada@example.com", "bob@example.com", "eve@example.com")
	h.must(h.ops.Clients.Enable(t.Context(), operator, "app"))
	h.set(provision.Input{BaseURL: app.base(), Delete: true})
	is("ada@example.com", "eve@example.com")
}

func TestAnAccountThatIsThereIsTakenOver(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.user("ada@example.com")
	app.users["7"] = object{"id": "7", "userName": "ada@example.com"}
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	if doc := app.named("ada@example.com"); doc["id"] != "7" || doc["externalId"] == nil || len(app.users) != 1 {
		t.Errorf("%v", app.users)
	}
	// That of somebody else is not.
	app.users["8"] = object{"id": "8", "userName": "bob@example.com", "externalId": "of another directory"}
	h.user("bob@example.com")
	h.send()
	if doc := app.named("bob@example.com"); doc["externalId"] != "of another directory" || doc["active"] != nil {
		t.Errorf("%v", doc)
	}
	state := h.view().State
	if state.Refused != 1 || state.Error != "answered 409 uniqueness" {
		t.Errorf("%+v", state)
	}
}

func TestAnAnswerToAnotherQuestionTakesNobodyOver(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.user("ada@example.com")
	app.fault = func(w http.ResponseWriter, r *http.Request) bool {
		switch r.Method {
		case "POST":
			answer(w, 409, object{"status": "409"})
		case "GET": // it ignores the filter
			answer(w, 200, object{"Resources": []any{object{"id": "1", "userName": "root"}}})
		default:
			t.Errorf("%s %s", r.Method, r.URL)
		}
		return true
	}
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	if state := h.view().State; state.Refused != 1 || state.Users != 0 {
		t.Errorf("%+v", state)
	}
}

func TestWhatIsGoneThereIsCreatedAgain(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	ada := h.user("ada@example.com")
	h.group("staff", ada)
	h.set(provision.Input{BaseURL: app.base(), SendGroups: []string{"staff"}})
	h.send()
	clear(app.users)
	clear(app.groups)
	h.must(h.sends.SendAll(t.Context(), operator, "app"))
	h.send()
	if app.named("ada@example.com") == nil || !app.members("staff")["ada@example.com"] {
		t.Errorf("%v %v", app.users, app.groups)
	}
}

func TestAFailingApplicationIsTriedLaterAndPausedAfterDays(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.user("ada@example.com")
	status, after := 500, ""
	app.fault = func(w http.ResponseWriter, _ *http.Request) bool {
		w.Header().Set("Retry-After", after)
		w.WriteHeader(status)
		return true
	}
	h.set(provision.Input{BaseURL: app.base()})
	for i, wait := range []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute} {
		begin := time.Now()
		h.send()
		v := h.view()
		if d := v.RetryAt.Sub(begin); v.Failures != i+1 || d < wait-time.Second || d > wait+time.Minute/2 {
			t.Errorf("after failure %d: %d failures, next in %s, want %s", i+1, v.Failures, d, wait)
		}
		h.send() // it is not asked before its time
		if got := app.asked(); len(got) != 1 {
			t.Errorf("%v", got)
		}
		h.due()
	}
	status, after = 429, "7200"
	h.send()
	if d := time.Until(h.view().RetryAt); d < 7100*time.Second || d > 7200*time.Second {
		t.Errorf("Retry-After of 7200 seconds: next in %s", d)
	}
	after = strconv.Itoa(1 << 40)
	h.due()
	h.send()
	if d := time.Until(h.view().RetryAt); d > 25*time.Hour {
		t.Errorf("a Retry-After without end: next in %s", d)
	}
	if v := h.view(); v.LastError != "answered 429" || v.Paused() {
		t.Errorf("%+v", v)
	}
	h.due()
	h.failingFor(provision.Patience + time.Hour)
	h.send()
	if v := h.view(); !v.Paused() || v.PausedBy != provisioning.ByFailures {
		t.Errorf("not paused: %+v", v)
	}
	app.asked()
	app.fault = nil
	h.send()
	if got := app.asked(); len(got) != 0 {
		t.Errorf("a paused application was asked: %v", got)
	}
	h.must(h.sends.Resume(t.Context(), operator, "app"))
	h.send()
	if app.named("ada@example.com") == nil || !h.view().FailingSince.IsZero() {
		t.Errorf("%v %+v", app.users, h.view())
	}
	if strings.Contains(h.log.String(), token.Reveal()) {
		t.Error("the token is in the log")
	}
}

func TestOneRefusedPersonHoldsUpNobody(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.user("ada@example.com")
	h.user("bob@example.com")
	refused := true
	app.fault = func(w http.ResponseWriter, r *http.Request) bool {
		if refused && r.Method == "POST" && len(app.users) == 0 && len(app.requests) == 1 {
			answer(w, 400, object{"scimType": "invalidValue", "detail": "Bearer " + token.Reveal()})
			return true
		}
		return false
	}
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	v := h.view()
	if v.State.Users != 1 || v.State.Refused != 1 || v.State.Error != "answered 400 invalidValue" || v.Failures != 0 {
		t.Errorf("%+v", v)
	}
}

func TestHostileAnswersLeadNowhere(t *testing.T) {
	for name, fault := range map[string]func(w http.ResponseWriter){
		"a redirect with the token": func(w http.ResponseWriter) {
			w.Header().Set("Location", "https://127.0.0.1/steal")
			w.WriteHeader(307)
		},
		"an endless answer": func(w http.ResponseWriter) {
			for range 3 << 10 {
				_, _ = w.Write(make([]byte, 1<<10))
			}
		},
		"an ID that is a path":    func(w http.ResponseWriter) { answer(w, 201, object{"id": ".."}) },
		"no ID":                   func(w http.ResponseWriter) { answer(w, 201, object{}) },
		"no JSON":                 func(w http.ResponseWriter) { _, _ = w.Write([]byte("<html>")) },
		"a refusal in other form": func(w http.ResponseWriter) { w.WriteHeader(418) },
	} {
		t.Run(name, func(t *testing.T) {
			app := newReceiver(t)
			h := open(t, app.Server, near)
			h.user("ada@example.com")
			app.fault = func(w http.ResponseWriter, _ *http.Request) bool { fault(w); return true }
			h.set(provision.Input{BaseURL: app.base()})
			h.send()
			if got := app.asked(); !slices.Equal(got, []string{"POST /Users"}) {
				t.Errorf("%v", got)
			}
			if v := h.view(); v.State.Users != 0 || v.State.Waiting != 1 || v.LastError == "" && v.State.Error == "" {
				t.Errorf("%+v", v)
			}
		})
	}
}

func TestAPrivateAddressIsNotAsked(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server) // without the network of this machine
	h.user("ada@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	if got := app.asked(); len(got) != 0 || h.view().LastError == "" {
		t.Errorf("%v %q", got, h.view().LastError)
	}
	for _, address := range []string{
		"http://app.example.com", "https://u:p@app.example.com", "ftp://app.example.com", "", "https://a.example/?x", "https://",
	} {
		_, err := h.sends.Set(t.Context(), operator, "app", provision.Input{BaseURL: address, Token: token}, time.Time{})
		if faults, ok := err.(directory.Faults); !ok || faults[0].Field != "base_url" {
			t.Errorf("%q: %v", address, err)
		}
	}
}

func TestTheTokenIsKeptEncryptedAndForOneAddress(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	v := h.set(provision.Input{BaseURL: app.base()})
	if v.Token != nil {
		t.Error("the token is shown")
	}
	stored, err := h.records().Target(t.Context(), "app")
	h.must(err)
	if len(stored.Token) < 40 || strings.Contains(string(stored.Token), token.Reveal()) {
		t.Errorf("stored: %q", stored.Token)
	}
	svc := h.sends
	if _, err := svc.Set(t.Context(), operator, "app", provision.Input{BaseURL: app.base(), Delete: true}, time.Time{}); err != nil {
		t.Errorf("the same address needs no token: %v", err)
	}
	_, err = svc.Set(t.Context(), operator, "app", provision.Input{BaseURL: "https://thief.example"}, time.Time{})
	if faults, ok := err.(directory.Faults); !ok || faults[0].Field != "token" {
		t.Errorf("another address got the token: %v", err)
	}
	// A token that was copied to another client does not open there.
	stored.ClientID = "other"
	now := time.Now().Truncate(time.Millisecond)
	h.must(h.DB.PutClient(t.Context(), idp.Client{ID: "other", Name: "Other", CreatedAt: now, UpdatedAt: now}))
	h.must(h.records().Put(t.Context(), provisioning.Target{}, stored))
	h.user("ada@example.com")
	if err := svc.Round(t.Context(), "a"); err == nil || strings.Contains(err.Error(), token.Reveal()) {
		t.Errorf("%v", err)
	}
}

func TestOneReplicaSendsAtATime(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.user("ada@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	held, err := h.records().Take(t.Context(), "app", "another replica", time.Now(), time.Minute)
	h.must(err)
	if !held {
		t.Fatal("not held")
	}
	h.send()
	if got := app.asked(); len(got) != 0 {
		t.Errorf("%v", got)
	}
	h.must(h.records().Leave(t.Context(), "app", "another replica"))
	h.send()
	if got := app.asked(); len(got) != 1 {
		t.Errorf("%v", got)
	}
}

func TestAChangeWhileAPersonIsSentIsNotLost(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	u := h.user("ada@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	once := true
	app.fault = func(http.ResponseWriter, *http.Request) bool {
		if once {
			once = false
			name := "Ada"
			_, err := h.ops.Users.Change(t.Context(), operator, u.ID, admin.UserChange{Name: &name})
			h.must(err)
		}
		return false
	}
	h.send()
	if doc := app.named("ada@example.com"); doc["displayName"] != "Ada" {
		t.Errorf("%v", doc)
	}
}

func TestWithoutApplicationsNothingIsQueued(t *testing.T) {
	h := open(t, nil)
	u := h.user("ada@example.com")
	h.set(provision.Input{BaseURL: "https://app.example.com/scim"})
	if state := h.view().State; state.Waiting != 0 {
		t.Errorf("%+v", state)
	}
	name := "Ada"
	_, err := h.ops.Users.Change(t.Context(), operator, u.ID, admin.UserChange{Name: &name})
	h.must(err)
	if state := h.view().State; state.Waiting != 1 {
		t.Errorf("%+v", state)
	}
	h.must(h.sends.Remove(t.Context(), operator, "app"))
	if _, err := h.sends.Get(t.Context(), operator, "app"); err == nil {
		t.Error("still there")
	}
}

func TestWhoMayNotChangeDoesNotProvision(t *testing.T) {
	h := open(t, nil)
	h.set(provision.Input{BaseURL: "https://app.example.com/scim"})
	reader := h.user("auditor@example.com")
	role := directory.RoleAuditor
	_, err := h.ops.Users.Change(t.Context(), operator, reader.ID, admin.UserChange{Role: &role})
	h.must(err)
	by := admin.Actor{Channel: admin.ChannelConsole, UserID: reader.ID, ConfirmedAt: time.Now()}
	svc, ctx := h.sends, t.Context()
	_, set := svc.Set(ctx, by, "app", provision.Input{BaseURL: "https://app.example.com/scim"}, time.Time{})
	for what, err := range map[string]error{
		"set": set, "pause": svc.Pause(ctx, by, "app"), "resume": svc.Resume(ctx, by, "app"),
		"send": svc.SendAll(ctx, by, "app"), "remove": svc.Remove(ctx, by, "app"),
	} {
		if _, ok := err.(*admin.Denied); !ok {
			t.Errorf("%s: %v", what, err)
		}
	}
	if _, err := svc.Preview(ctx, by, "app"); err != nil {
		t.Error(err)
	}
	by.UserID = h.user("nobody@example.com").ID
	if _, err := svc.Get(ctx, by, "app"); err == nil {
		t.Error("a user without a role reads it")
	}
}

func TestAPreviewSaysWhoWouldBeSent(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	ada := h.user("ada@example.com")
	h.set(provision.Input{BaseURL: app.base()})
	h.send()
	h.user("bob@example.com")
	_, _, err := h.ops.Users.Disable(t.Context(), operator, ada.ID)
	h.must(err)
	app.asked()
	p, err := h.sends.Preview(t.Context(), operator, "app")
	h.must(err)
	if p.Counts[provision.Create] != 1 || p.Counts[provision.Disable] != 1 || len(p.People) != 2 || len(app.asked()) != 0 {
		t.Errorf("%+v", p)
	}
}

func TestClaimsAreSentAsTheAdminSays(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	u := h.user("ada@example.com")
	_, err := h.ops.Claims.Define(t.Context(), operator, directory.Claim{
		Name: "department", Type: directory.ClaimString, Scope: "profile",
		SeenBy: directory.Parties, EditedBy: directory.Parties,
	})
	h.must(err)
	const extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
	h.must(roster.New(h.DB).SetUserClaims(t.Context(), u.ID,
		map[string]directory.ClaimType{"department": directory.ClaimString}, roster.Values{"department": `"R&D"`}, time.Now()))
	h.set(provision.Input{BaseURL: app.base(), Claims: map[string]string{"department": extension + ":department"}})
	h.send()
	doc := app.named("ada@example.com")
	if inner, _ := doc[extension].(object); inner["department"] != "R&D" || len(doc["schemas"].([]any)) != 2 {
		t.Errorf("%v", doc)
	}
	for _, at := range []string{"userName", "active", "externalId", "urn:ietf:params:scim:schemas:core:2.0:User:active", "roles", ""} {
		_, err := h.sends.Set(t.Context(), operator, "app", provision.Input{
			BaseURL: app.base(), Claims: map[string]string{"department": at},
		}, time.Time{})
		if _, ok := err.(directory.Faults); !ok {
			t.Errorf("a claim fills %q: %v", at, err)
		}
	}
}

// A group alone counts as well: the time is what an admin looks at to know whether the application still listens.
func TestTheLastSuccessIsOfAnythingTheApplicationTook(t *testing.T) {
	app := newReceiver(t)
	h := open(t, app.Server, near)
	h.group("staff")
	h.set(provision.Input{BaseURL: app.base(), SendGroups: []string{"staff"}})
	h.send()
	first := h.view().SentAt
	if got := app.asked(); !slices.Equal(got, []string{"POST /Groups"}) || first.IsZero() {
		t.Fatalf("%v, %v", got, first)
	}
	h.send()
	if again := h.view().SentAt; !again.Equal(first) {
		t.Errorf("a success at %v, when nothing was sent", again)
	}
}
