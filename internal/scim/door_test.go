package scim_test

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/limit"
)

func TestScopesSayWhatADirectoryMayDo(t *testing.T) {
	h := open(t, nil)
	reader := h.directory("reader", directory.ScopeSCIMRead)
	id := h.User("ada@example.com", directory.RoleUser).ID
	reader.call(200, "GET", "/Users", nil)
	reader.call(200, "POST", "/Users/.search", object{})
	for _, c := range [][2]string{
		{"POST", "/Users"},
		{"PUT", "/Users/" + id},
		{"PATCH", "/Users/" + id},
		{"DELETE", "/Users/" + id},
		{"POST", "/Groups"},
		{"PUT", "/Groups/x"},
		{"PATCH", "/Groups/x"},
		{"DELETE", "/Groups/x"},
	} {
		resp, _ := reader.response(403, c[0], c[1], object{})
		if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, `error="insufficient_scope"`) || !strings.Contains(got, `scope="stepward:scim"`) {
			t.Errorf("%v: %q", c, got)
		}
	}
	nobody := &directoryClient{h, ""}
	resp, _ := nobody.response(401, "GET", "/Users", nil)
	if got := resp.Header.Get("WWW-Authenticate"); !strings.Contains(got, "resource_metadata=") || !strings.Contains(got, `scope="stepward:scim:read"`) {
		t.Errorf("%q", got)
	}
	stolen := &directoryClient{h, "x"}
	stolen.refused(401, "", "GET", "/Users", nil)
}

func TestTokensForOtherAPIsAreNotForSCIM(t *testing.T) {
	h := open(t, nil)
	d := h.directory("both", directory.ScopeSCIM, "stepward:admin:write")
	r := httptest.NewRequest("GET", h.Issuer+"/admin/api/v1/users", nil)
	r.Header.Set("Authorization", "Bearer "+d.token.Reveal())
	w := httptest.NewRecorder()
	h.Handler.ServeHTTP(w, r)
	if w.Code != http.StatusUnauthorized {
		t.Errorf("a token for SCIM at the admin API: %d", w.Code)
	}
}

func TestBodiesThatAreNotSCIMAreRefused(t *testing.T) {
	h := open(t, nil)
	d := h.directory("entra")
	for _, body := range []string{
		"", "{", "[]", "null", `"x"`, `{"userName": "a", "userName": "b"}`, `{} {}`, strings.Repeat(`{"a":`, 2000),
		strings.Repeat(`[`, 30_000), `{"userName": {"a": [[[[[[[[[1]]]]]]]]]}}`, `{"userName":"a@example.com","USERNAME":"b@example.com"}`,
	} {
		d.refused(400, "invalidSyntax", "POST", "/Users", body)
	}
	for _, body := range []string{
		`{}`, `{"userName": 1}`, `{"userName": ["a@example.com"]}`, `{"userName": "no address"}`, `{"userName": "a@example.com", "active": "maybe"}`,
		`{"userName": "a@example.com", "name": "x"}`, `{"userName": "a", "emails": [1]}`, `{"userName": "a", "emails": [{"value": "x"}]}`,
		`{"userName": "a@example.com", "` + enterprise + `": 1}`, `{"userName": "a@example.com", "phoneNumbers": [{"value":"1","primary":true},{"value":"2","primary":true}]}`,
		`{"userName": "a@example.com", "phoneNumbers": [` + strings.Repeat(`{"value":"1"},`, 30) + `{"value":"1"}]}`,
	} {
		d.refused(400, "invalidValue", "POST", "/Users", body)
	}
	d.refused(413, "", "POST", "/Users", `{"userName": "`+strings.Repeat("a", 1<<20)+`"}`)
	d.refused(415, "", "POST", "/Users", `{}`, func(r *http.Request) { r.Header.Set("Content-Type", "text/plain") })
	d.refused(404, "", "GET", "/Nothing", nil)
	d.refused(405, "", "DELETE", "/Users", nil)
	for _, path := range []string{"/Bulk", "/.search"} {
		d.refused(501, "", "POST", path, object{})
	}
}

func TestTheProviderDescribesItself(t *testing.T) {
	h := open(t, nil)
	d := h.directory("reader", directory.ScopeSCIMRead)
	if doc := d.call(200, "GET", "/ServiceProviderConfig", nil); doc["bulk"].(object)["supported"] != false || doc["patch"].(object)["supported"] != true {
		t.Errorf("%v", doc)
	}
	if doc := d.call(200, "GET", "/ResourceTypes", nil); doc["totalResults"] != 2.0 {
		t.Errorf("%v", doc)
	}
	d.call(200, "GET", "/ResourceTypes/User", nil)
	d.call(200, "GET", "/Schemas/"+enterprise, nil)
	d.refused(404, "", "GET", "/Schemas/x", nil)
	d.refused(403, "", "GET", `/Schemas?filter=id eq "x"`, nil)
	for _, a := range d.call(200, "GET", "/Schemas", nil)["Resources"].([]any)[0].(object)["attributes"].([]any) {
		if a.(object)["name"] == "password" {
			t.Error("there are no passwords")
		}
	}
}

func TestDirectoriesThatNameNoResourceOrGetNoTokenComeInToo(t *testing.T) {
	h := open(t, nil)
	c, secret := h.Machine("entra", nil, directory.ScopeSCIM)
	c.Audience = []string{h.Issuer + directory.PathSCIM}
	h.Must(h.DB.PutClient(t.Context(), c))
	d := &directoryClient{h, h.Token(c, secret, url.Values{"grant_type": {"client_credentials"}})}
	d.call(200, "GET", "/Users", nil)
	d.person("ada@example.com", nil)

	basic := func(id, secret string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(id, secret) }
	}
	nobody := &directoryClient{h, ""}
	nobody.call(200, "GET", "/Users", nil, basic("entra", secret.Reveal()))
	nobody.refused(401, "", "GET", "/Users", nil, basic("entra", "wrong"))
	nobody.refused(401, "", "GET", "/Users", nil, basic("nobody", secret.Reveal()))
	reader, only := h.Machine("reader", nil, directory.ScopeSCIMRead)
	nobody.refused(403, "", "POST", "/Users", object{}, basic("reader", only.Reveal()))
	reader.DPoPBound = true
	h.Must(h.DB.PutClient(t.Context(), reader))
	nobody.refused(401, "", "GET", "/Users", nil, basic("reader", only.Reveal()))
	for range limit.SCIMRefused.Most {
		h.Must(h.Ephemeral.Do(t.Context(), &limit.SCIMRefused.Of("192.0.2.1").Op))
	}
	nobody.refused(429, "", "GET", "/Users", nil, basic("entra", "wrong"))
}
