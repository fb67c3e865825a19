package scim_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

func find(text string) string { return "/Users?filter=" + url.QueryEscape(text) }

func TestFiltersFindByIndexOrAreRefused(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	ada := d.person("ada", object{"externalId": "E-1", "title": "Countess", "emails": []any{object{"value": "Ada@example.com", "type": "work"}}})
	bob := d.person("bob@example.com", object{"externalId": "e-2", "active": false})
	old := h.User("old@example.com", directory.RoleUser).ID
	d.person("eve@example.com", nil)
	for text, want := range map[string][]string{
		`userName eq "ADA"`: {ada}, `USERNAME EQ "ada"`: {ada}, `userName eq "ada@example.com"`: nil, `userName eq "old@example.com"`: {old},
		`externalId eq "E-1"`: {ada}, `externalId eq "e-1"`: nil, `emails eq "ada@example.com"`: {ada}, `emails.value eq "ADA@EXAMPLE.COM"`: {ada},
		`emails[type eq "work" and value eq "ada@example.com"]`: {ada}, `emails[type eq "home" and value eq "ada@example.com"]`: nil,
		`id eq "` + ada + `"`: {ada}, `urn:ietf:params:scim:schemas:core:2.0:User:userName eq "ada"`: {ada},
		`userName eq "ada" and title eq "countess"`: {ada}, `userName eq "ada" and not (title sw "count")`: nil,
		`title co "unt" and (userName eq "ada" or userName eq "bob@example.com")`: {ada},
		`userName eq "bob@example.com" and active eq false`:                       {bob}, `userName eq "bob@example.com" and active eq "True"`: nil,
		`userName eq "ada" or userName eq "bob@example.com" or externalId eq "e-2"`:      {ada, bob},
		`userName eq "ada" and title pr and meta.lastModified gt "2011-05-13T04:42:34Z"`: {ada}, `userName eq "ada" and nickName pr`: nil,
		`userName eq "ada" and (title ne "x" or title eq "y")`: {ada}, `emails eq "no address"`: nil,
	} {
		got := ids(d.call(200, "GET", find(text), nil))
		slices.Sort(got)
		slices.Sort(want)
		if !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", text, got, want)
		}
	}
	for _, text := range []string{
		`title eq "x"`, `userName sw "a"`, `userName pr`, `not (userName eq "ada")`, `userName eq "ada" or title eq "x"`, `userName ne "x"`,
		`active eq true`, `emails[type eq "work"]`, `displayName eq "x"`, `userName eq true`, `meta.created gt "2011-05-13T04:42:34Z"`,
	} {
		d.refused(400, "tooMany", "GET", find(text), nil)
	}
	for _, text := range []string{
		`userName`, `userName eq`, `userName eq x`, `userName eq "x`, `eq "x"`, `userName is "x"`, `(userName eq "x"`, `userName eq "x")`, `userName eq "x" and`,
		`nothing eq "x"`, `emails[value eq "x"`, `emails[nothing eq "x"]`, `name.nothing eq "x"`, `"x" eq userName`, `userName eq "x" userName`, `()`, `not`, `[`,
		strings.Repeat("(", 20) + `userName eq "x"` + strings.Repeat(")", 20), strings.Repeat("not (", 20) + `userName eq "x"` + strings.Repeat(")", 20),
		strings.Repeat(`id eq "x" or `, 60) + `id eq "x"`, `userName eq "` + strings.Repeat("x", 2000) + `"`,
	} {
		d.refused(400, "invalidFilter", "GET", find(text), nil)
	}
}

func TestAListIsReadInPages(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	var all []string
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		all = append(all, d.person(name+"@example.com", nil))
	}
	slices.Sort(all)
	for q, want := range map[string][]string{
		"": all, "?startIndex=2&count=2": all[1:3], "?startIndex=5&count=9": all[4:], "?startIndex=6": nil, "?count=0": nil, "?startIndex=-1&count=1": all[:1],
	} {
		doc := d.call(200, "GET", "/Users"+q, nil)
		if got := ids(doc); !slices.Equal(got, want) || doc["totalResults"] != 5.0 || doc["itemsPerPage"] != float64(len(want)) {
			t.Errorf("%s: %v of %v, want %v", q, got, doc["totalResults"], want)
		}
	}
	var got []string
	for cursor, more := "", true; more; {
		doc := d.call(200, "GET", "/Users?count=2&cursor="+cursor, nil)
		got = append(got, ids(doc)...)
		cursor, more = doc["nextCursor"].(string)
	}
	if !slices.Equal(got, all) {
		t.Errorf("by cursor: %v", got)
	}
	for kind, q := range map[string]string{"invalidCursor": "?cursor=~", "invalidValue": "?count=x"} {
		d.refused(400, kind, "GET", "/Users"+q, nil)
	}
	doc := d.call(200, "POST", "/Users/.search", object{"filter": `userName eq "c@example.com"`, "attributes": []any{"emails.value"}})
	if got := doc["Resources"].([]any)[0].(object); len(got) != 3 || got["emails"].([]any)[0].(object)["value"] != "c@example.com" {
		t.Errorf("%v", got)
	}
}

func TestOnlyTheWantedAttributesAreSent(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	id := d.person("ada@example.com", object{"name": object{"givenName": "Ada", "familyName": "King"}, enterprise: object{"department": "Math", "division": "x"}})
	at := "/Users/" + id
	got := d.call(200, "GET", at+"?attributes=name.givenName,NAME.familyname,"+enterprise+":department", nil)
	if len(got) != 4 || len(got["name"].(object)) != 2 || len(got[enterprise].(object)) != 1 {
		t.Errorf("%v", got)
	}
	got = d.call(200, "GET", at+"?excludedAttributes=name.givenName,emails,id,"+enterprise, nil)
	if got["id"] != id || got["emails"] != nil || got[enterprise] != nil || len(got["name"].(object)) != 1 {
		t.Errorf("%v", got)
	}
	d.refused(400, "invalidValue", "GET", at+"?attributes=id&excludedAttributes=name", nil)
}
