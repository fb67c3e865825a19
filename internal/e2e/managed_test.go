package e2e

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/declared"
)

// declare marks things of the demo as managed by a file.
func declare(t *testing.T, d *server.Demo) (group directory.Group) {
	t.Helper()
	ops := admin.New(admin.Config{DB: d.DB, Ephemeral: d.Ephemeral, Policy: d.Config.Policy})
	group, err := ops.Groups.Create(t.Context(), admin.Operator(), admin.GroupInput{Name: "staff"})
	if err != nil {
		t.Fatal(err)
	}
	_, err = ops.Claims.Define(t.Context(), admin.Operator(), directory.Claim{
		Name: "level", Type: directory.ClaimNumber, Scope: "profile", SeenBy: []directory.Party{directory.PartyAdmin}, EditedBy: []directory.Party{directory.PartyAdmin},
	})
	if err != nil {
		t.Fatal(err)
	}
	err = declared.New(d.DB).Replace(t.Context(), "house.yaml", []declared.Mark{
		{Kind: declared.Client, ID: "acme-bank"},
		{Kind: declared.Secrets, ID: "acme-bank"},
		{Kind: declared.Group, ID: group.ID},
		{Kind: declared.Claim, ID: "level"},
		{Kind: declared.Policy, ID: "product-name"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return group
}

func TestTheConsoleSaysWhatAFileManages(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	group := declare(t, d)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleOwner)
	probe(t, d, nil)
	for path, want := range map[string]struct{ has, lacks []string }{
		"/admin/clients":                     {has: []string{"managed by", "house.yaml"}},
		"/admin/clients/show?id=acme-bank":   {has: []string{"house.yaml", "client-file", "client-disable", "client-try"}, lacks: []string{"client-edit", "secret-add", "secret-remove"}},
		"/admin/clients/show?id=probe":       {has: []string{"client-edit", "secret-add"}, lacks: []string{"house.yaml"}},
		"/admin/groups":                      {has: []string{"house.yaml"}},
		"/admin/groups/" + group.ID:          {has: []string{"house.yaml", "group-file", "member-add"}, lacks: []string{"group-edit", "parent-add", "group-remove"}},
		"/admin/policy":                      {has: []string{"house.yaml", "policy-locked"}},
		"/admin/policy/edit?of=look":         {has: []string{"house.yaml", `data-test="policy-accent"`}, lacks: []string{`data-test="policy-product-name"`}},
		"/admin/claims/of?group=" + group.ID: {has: []string{"house.yaml", "values-file"}, lacks: []string{"values-save"}},
	} {
		at := ada.open(path)
		for _, text := range want.has {
			if at.status != 200 || !strings.Contains(at.body, text) {
				t.Errorf("%s does not say %s: %s", path, text, at)
			}
		}
		for _, text := range want.lacks {
			if strings.Contains(at.body, text) {
				t.Errorf("%s has %s", path, text)
			}
		}
	}
	for _, path := range []string{"/admin/clients/edit?id=acme-bank", "/admin/claims/edit?name=level"} {
		if at := ada.open(path); at.status != http.StatusForbidden || !strings.Contains(at.body, "house.yaml") || strings.Contains(at.body, "<form class=\"stack\"") {
			t.Errorf("%s shows a form of what a file manages: %s", path, at)
		}
	}
	// A form that is sent anyway changes nothing, and the answer says why.
	for path, form := range map[string]url.Values{
		"/admin/clients/secret":                 {"id": {"acme-bank"}, "name": {"x"}},
		"/admin/clients/remove":                 {"id": {"acme-bank"}},
		"/admin/groups/" + group.ID + "/remove": {},
		"/admin/claims/remove":                  {"name": {"level"}},
		"/admin/claims/of?group=" + group.ID:    {"level": {"7"}},
	} {
		if at := ada.confirm(ada.post(path, form)); at.status != http.StatusForbidden || !strings.Contains(at.body, "A file manages this") {
			t.Errorf("%s: %s", path, at)
		}
	}
}

func TestThePagesOfWhatAFileManages(t *testing.T) { eachLanguage(t, thePagesOfWhatAFileManages) }

func thePagesOfWhatAFileManages(t *testing.T, l *looker) {
	issuer := l.asOwner("ada@example.com")
	group := declare(t, l.demo)
	for name, path := range map[string]string{
		"file-clients": "/admin/clients", "file-client": "/admin/clients/show?id=acme-bank", "file-groups": "/admin/groups",
		"file-group": "/admin/groups/" + group.ID, "file-policy": "/admin/policy",
	} {
		l.open(issuer + path)
		l.look(name, "admin")
	}
	l.open(issuer + "/admin/clients/edit?id=acme-bank")
	l.look("file-locked", "error")
}
