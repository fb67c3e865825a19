package e2e

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/directory"
)

// scimApp is an application: none, because it is always busy.
func scimApp(t *testing.T) *httptest.Server {
	t.Helper()
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
	}))
	t.Cleanup(app.Close)
	return app
}

func TestPeopleAreSentToAnApplicationFromTheConsole(t *testing.T) {
	t.Parallel()
	d := startDemo(t)
	ada := newOfficial(t, d, "ada@example.com", directory.RoleAdmin)
	const at = "/admin/provisioning?id=acme-bank"
	if p := ada.open("/admin/clients/show?id=acme-bank"); !strings.Contains(p.body, `href="`+at+`"`) {
		t.Fatalf("the client has no link: %s", p)
	}
	if p := ada.open(at); p.status != 200 || !strings.Contains(p.body, "Nobody is sent") {
		t.Fatalf("%s", p)
	}
	app := scimApp(t)
	// The form has a token in it: without a confirmation, nothing of it is kept or stored.
	form := url.Values{
		"base_url": {app.URL}, "token": {"a-token"}, "attributes": {"displayName"},
		"version": {"0001-01-01T00:00:00Z"},
	}
	ada.post("/admin/provisioning/edit?id=acme-bank", form)
	if p := ada.open(at); !strings.Contains(p.body, "Nobody is sent") {
		t.Fatalf("stored without a confirmation: %s", p)
	}
	ada.post("/admin/users/import", url.Values{"file": {"a-list"}})
	for _, file := range must(filepath.Glob(filepath.Join(d.Config.DataDir, "*"))) {
		for _, marker := range []string{"a-token", "a-list"} {
			if content, err := os.ReadFile(file); err == nil && bytes.Contains(content, []byte(marker)) {
				t.Errorf("%s has %s", filepath.Base(file), marker)
			}
		}
	}
	ada.confirm(ada.open("/admin/provisioning/edit?id=acme-bank"))
	form.Set("base_url", "ftp://app.example")
	if p := ada.post("/admin/provisioning/edit?id=acme-bank", form); p.status != http.StatusUnprocessableEntity ||
		strings.Contains(p.body, "a-token") {
		t.Errorf("a wrong address: %s", p)
	}
	form.Set("base_url", app.URL)
	if p := ada.post("/admin/provisioning/edit?id=acme-bank", form); !strings.Contains(p.body, "Saved.") ||
		!strings.Contains(p.body, app.URL) || strings.Contains(p.body, "a-token") {
		t.Fatalf("%s", p)
	}
	if p := ada.post("/admin/provisioning/edit?id=acme-bank", form); p.status != http.StatusConflict {
		t.Errorf("an old form: %s", p)
	}
	if p := ada.open("/admin/provisioning/preview?id=acme-bank"); !strings.Contains(p.body, "ada@example.com") {
		t.Errorf("%s", p)
	}
	for path, word := range map[string]string{"pause": "Paused.", "all": "Everything is sent again."} {
		if p := ada.post("/admin/provisioning/"+path, url.Values{"id": {"acme-bank"}}); !strings.Contains(p.body, word) {
			t.Errorf("%s: %s", path, p)
		}
	}
	if p := ada.post("/admin/provisioning/resume", url.Values{"id": {"acme-bank"}}); !strings.Contains(p.body, "Resumed.") {
		t.Errorf("%s", p)
	}
	if p := ada.post("/admin/provisioning/remove", url.Values{"id": {"acme-bank"}}); !strings.Contains(p.body, "Nobody is sent") {
		t.Errorf("%s", p)
	}
}

func TestThePagesOfProvisioning(t *testing.T) { eachLanguage(t, thePagesOfProvisioning) }

func thePagesOfProvisioning(t *testing.T, l *looker) {
	issuer := l.demo.Config.Issuer.String()
	app := scimApp(t)
	l.plug(device{synced: true})
	l.signInAs(l.demo, "ada@example.com")
	l.makeRole("ada@example.com", directory.RoleOwner)
	l.open(issuer + "/admin/provisioning?id=acme-bank")
	l.look("sends-none", "admin")
	l.follow("sends-edit")
	l.click("passkey-stepup")
	l.wait(`!!document.querySelector("[data-test=sends-save]")`, "the form")
	l.look("sends-form", "admin")
	l.fill("sends-base_url", "ftp://app.example.com")
	l.follow("sends-save")
	l.look("sends-wrong", "admin")
	l.fill("sends-base_url", app.URL+"/scim/v2")
	l.fill("sends-token", "a-token")
	l.follow("sends-save")
	l.look("sends", "admin")
	l.follow("sends-preview")
	l.look("sends-preview", "admin")
	l.open(issuer + "/admin/provisioning?id=acme-bank")
	l.follow("sends-pause")
	l.look("sends-paused", "admin")
}
