package scim_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/managed"
)

// members returns the IDs of a group's direct members.
func (h *house) members(groupID string) (list []string) {
	h.Helper()
	found, err := managed.New(h.DB).Members(h.Context(), []string{groupID}, 10_000)
	h.Must(err)
	for _, m := range found {
		list = append(list, m.UserID)
	}
	return list
}

func value(id string) object { return object{"value": id} }

func TestAGroupIsFilledAndEmptied(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	ada, bob, eve := d.person("ada@example.com", nil), d.person("bob@example.com", nil), d.person("eve@example.com", nil)
	doc := d.call(201, "POST", "/Groups", object{"displayName": "staff", "externalId": "g-1", "members": []any{value(ada)}})
	id := doc["id"].(string)
	at := "/Groups/" + id
	if doc["externalId"] != "g-1" || doc["members"].([]any)[0].(object)["value"] != ada {
		t.Errorf("%v", doc)
	}
	for _, step := range []struct {
		change object
		want   []string
	}{
		{patch("Add", "members", []any{value(bob), value(ada)}), []string{ada, bob}},
		{patch("Remove", "members", []any{value(ada)}), []string{bob}},                       // Entra ID
		{patch("remove", `members[value eq "`+bob+`"]`, nil), nil},                           // RFC 7644
		{patch("remove", `members[value eq "`+bob+`"]`, nil), nil},                           // again
		{patch("add", "", object{"members": []any{value(eve), value(eve)}}), []string{eve}},  // Okta
		{patch("replace", "members", []any{value(ada), value(bob)}), []string{ada, bob}},     //
		{patch("replace", "", object{"displayName": "crew", "id": id}), []string{ada, bob}},  // Okta
		{patch("remove", `members[value eq "`+ada+`" or value eq "x"]`, nil), []string{bob}}, //
		{object{"Operations": []any{
			object{"op": "remove", "path": "members"}, object{"op": "add", "path": "members", "value": value(eve)},
		}}, []string{eve}},
	} {
		d.call(204, "PATCH", at, step.change)
		if got := h.members(id); !slices.Equal(got, step.want) {
			t.Errorf("%v: members are %v, want %v", step.change["Operations"], got, step.want)
		}
	}
	doc = d.call(200, "PUT", at, object{"displayName": "crew", "members": []any{value(ada)}})
	if doc["externalId"] != nil || !slices.Equal(h.members(id), []string{ada}) {
		t.Errorf("%v", doc)
	}
	if got := d.call(200, "GET", "/Users/"+ada, nil); got["groups"].([]any)[0].(object)["display"] != "crew" {
		t.Errorf("%v", got)
	}
	if got := ids(d.call(200, "GET", `/Groups?filter=members.value eq "`+ada+`"`, nil)); !slices.Equal(got, []string{id}) {
		t.Errorf("found %v", got)
	}
	d.call(204, "DELETE", at, nil)
	d.refused(404, "", "GET", at, nil)
}

func TestAGroupChangesAsAWholeOrNotAtAll(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	ada := d.person("ada@example.com", nil)
	id := d.call(201, "POST", "/Groups", object{"displayName": "staff", "members": []any{value(ada)}})["id"].(string)
	other := d.call(201, "POST", "/Groups", object{"displayName": "other"})["id"].(string)
	at := "/Groups/" + id
	for kind, changes := range map[string][]object{
		"invalidValue": {
			patch("add", "members", []any{value("nobody")}), patch("add", "members", []any{value(id)}), // itself
			patch("add", "members", []any{object{"value": other, "type": "Group"}}),
			patch("replace", "displayName", "a,b"), patch("replace", "displayName", "a\u200bb"),
			patch("replace", "", "staff"),
		},
		"uniqueness":    {patch("replace", "displayName", "OTHER")},
		"invalidPath":   {patch("replace", `members[value eq "x"]`, value(ada)), patch("remove", `members[type eq "x"]`, nil), patch("add", "nothing", "x"), patch("remove", `displayName[value eq "x"]`, nil), patch("remove", `members[`, nil)},
		"mutability":    {patch("replace", "id", "x"), patch("remove", "displayName", nil), patch("add", "meta.created", "x")},
		"noTarget":      {patch("remove", "", nil)},
		"invalidFilter": {patch("remove", `members[value eq]`, nil), patch("remove", `members[nothing eq "x"]`, nil)},
		"invalidSyntax": {patch("move", "members", nil), {"Operations": "x"}, {}},
	} {
		for _, change := range changes {
			status := 400
			if kind == "uniqueness" {
				status = 409
			}
			if ops, ok := change["Operations"].([]any); ok && kind != "noTarget" {
				change["Operations"] = append([]any{object{"op": "remove", "path": "members"}}, ops...)
			}
			d.refused(status, kind, "PATCH", at, change)
		}
	}
	if got := h.members(id); !slices.Equal(got, []string{ada}) {
		t.Errorf("members are %v", got)
	}
	if got := d.call(200, "GET", at, nil); got["displayName"] != "staff" {
		t.Errorf("%v", got)
	}
}

func TestAGroupThatClientsReferToStays(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.call(201, "POST", "/Groups", object{"displayName": "staff"})["id"].(string)
	c, _ := h.Machine("app", nil, directory.ScopeSCIMRead)
	c.AllowedGroups = []string{"staff"}
	h.Must(h.DB.PutClient(t.Context(), c))
	d.refused(409, "", "DELETE", "/Groups/"+id, nil)
	d.refused(400, "invalidValue", "PATCH", "/Groups/"+id, patch("replace", "displayName", "crew"))
}

func TestAHundredThousandMembersAreTooManyAtOnceAndNoneIsRead(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.call(201, "POST", "/Groups", object{"displayName": "all"})["id"].(string)
	ada := d.person("ada@example.com", nil)
	at := "/Groups/" + id
	d.crowd(id, 10_001)
	d.refused(400, "tooMany", "GET", at, nil)
	d.refused(400, "tooMany", "GET", "/Groups", nil)
	d.refused(400, "tooMany", "PUT", at, object{"displayName": "all", "members": []any{value(ada)}})
	d.call(200, "GET", at+"?excludedAttributes=members", nil)
	d.call(200, "GET", `/Groups?filter=displayName eq "all"&excludedAttributes=members`, nil)
	d.call(204, "PATCH", at, patch("add", "members", []any{value(ada)}))
	d.call(204, "PATCH", at, patch("remove", `members[value eq "`+ada+`"]`, nil))
	d.call(204, "PATCH", at, patch("replace", "displayName", "everybody"))
	many := []any{}
	for i := range 1001 {
		many = append(many, value(fmt.Sprint(i)))
	}
	d.refused(400, "tooMany", "PATCH", at, patch("add", "members", many))
	for range 5 {
		many = append(many, many...)
	}
	d.refused(413, "", "PATCH", at, patch("add", "members", many))
}

// crowd puts many users into a group, past the operations.
func (d *directoryClient) crowd(groupID string, n int) {
	d.Helper()
	now := time.Now()
	for done := 0; done < n; {
		b := crowdBatch{}
		for ; len(b.ids) < 500 && done < n; done++ {
			b.ids = append(b.ids, idp.NewID())
		}
		d.Must(b.store(d.house, groupID, now))
	}
}

func TestAGroupOfAFileKeepsItsName(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	ada := d.person("ada@example.com", nil)
	id := d.call(201, "POST", "/Groups", object{"displayName": "staff", "externalId": "g-1"})["id"].(string)
	h.Must(declared.New(h.DB).Replace(h.Context(), "house.yaml", []declared.Mark{{Kind: declared.Group, ID: id}}))
	for _, body := range []object{patch("replace", "displayName", "crew"), patch("replace", "displayName", "Staff")} {
		doc := d.call(403, "PATCH", "/Groups/"+id, body)
		if detail, _ := doc["detail"].(string); !strings.Contains(detail, "house.yaml") {
			t.Errorf("%v", doc)
		}
	}
	d.call(403, "PUT", "/Groups/"+id, object{"displayName": "crew", "externalId": "g-1"})
	d.call(403, "DELETE", "/Groups/"+id, nil)
	// Files leave members alone (decision 0041).
	d.call(204, "PATCH", "/Groups/"+id, patch("add", "members", []any{value(ada)}))
	if got := h.members(id); !slices.Equal(got, []string{ada}) {
		t.Errorf("members are %v", got)
	}
}
