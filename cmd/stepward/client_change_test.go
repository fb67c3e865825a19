package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
)

func TestSetChangesAClientFromTheOutputOfShow(t *testing.T) {
	dir := t.TempDir()
	if _, err := stepward(t, dir, "client", "add", "Acme Bank", "--redirect-uri", "https://acme.example/cb", "--id", "acme"); err != nil {
		t.Fatal(err)
	}
	beside := func(change func(*idp.Client)) idp.Client { // the fields stored beside the metadata
		server, stop := serveIn(t, dir)
		defer stop()
		c, err := server.DB.StoredClient(t.Context(), "acme")
		if err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := server.DB.PutClient(t.Context(), c); err != nil {
			t.Fatal(err)
		}
		return idp.Client{Secrets: c.Secrets, CreatedAt: c.CreatedAt, DisabledAt: c.DisabledAt, RegistrationHash: c.RegistrationHash, UsedAt: c.UsedAt}
	}
	beside(func(c *idp.Client) { // as if the client had registered itself
		c.Dynamic, c.RegistrationHash, c.UsedAt = true, "hash", c.CreatedAt
	})
	if _, err := stepward(t, dir, "client", "disable", "acme"); err != nil {
		t.Fatal(err)
	}
	before := beside(func(*idp.Client) {})
	shown, err := stepward(t, dir, "client", "show", "acme")
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "client.json")
	set := func(from, to string) error {
		t.Helper()
		if err := os.WriteFile(file, []byte(strings.Replace(shown, from, to, 1)), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := stepward(t, dir, "client", "set", "acme", file)
		return err
	}
	if err := set(`"redirect_uris"`, `"backchannel_logout_uri": "https://acme.example/logout", "redirect_uris"`); err != nil {
		t.Fatal(err)
	}
	if out, _ := stepward(t, dir, "client", "show", "acme"); !strings.Contains(out, `"backchannel_logout_uri": "https://acme.example/logout"`) {
		t.Errorf("not changed:\n%s", out)
	}
	if diff := cmp.Diff(before, beside(func(*idp.Client) {})); diff != "" {
		t.Errorf("changed with the metadata (-before +after):\n%s", diff)
	}
	for name, row := range map[string]struct{ from, to, want string }{
		"another ID":         {`"acme"`, `"other"`, "cannot change"},
		"a fault":            {`https://acme.example/cb`, `http://acme.example/cb`, "use https"},
		"a misspelt member":  {`"redirect_uris"`, `"redirect_uri"`, "is no member of a client"},
		"invalid JSON":       {`{`, ``, "not a client as"},
		"a logout over http": {`"redirect_uris"`, `"backchannel_logout_uri": "http://acme.example/x", "redirect_uris"`, "backchannel_logout_uri must be"},
	} {
		if err := set(row.from, row.to); err == nil || !strings.Contains(err.Error(), row.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClientIsDisabledAndEnabled(t *testing.T) {
	dir := t.TempDir()
	if _, err := stepward(t, dir, "client", "add", "Acme Bank", "--redirect-uri", "https://acme.example/cb", "--id", "acme",
		"--backchannel-logout-uri", "https://acme.example/back", "--frontchannel-logout-uri", "https://acme.example/front"); err != nil {
		t.Fatal(err)
	}
	for _, step := range []struct{ verb, fails, listed string }{
		{"disable", "", "disabled"}, {"disable", "already", "disabled"}, {"enable", "", "standard"}, {"enable", "already", "standard"},
	} {
		_, err := stepward(t, dir, "client", step.verb, "acme")
		if (err != nil) != (step.fails != "") || err != nil && !strings.Contains(err.Error(), step.fails) {
			t.Errorf("%s: %v", step.verb, err)
		}
		if out, _ := stepward(t, dir, "client", "list"); !strings.Contains(out, step.listed) {
			t.Errorf("after %s:\n%s", step.verb, out)
		}
		if out, err := stepward(t, dir, "client", "show", "acme"); err != nil || !strings.Contains(out, "https://acme.example/back") || !strings.Contains(out, "https://acme.example/front") {
			t.Errorf("after %s: %v\n%s", step.verb, err, out)
		}
		if _, err := stepward(t, dir, "client", step.verb, "nobody"); err == nil || !strings.Contains(err.Error(), "no client") {
			t.Errorf("%s nobody: %v", step.verb, err)
		}
	}
}

func TestShowEscapesControlCharacters(t *testing.T) {
	dir := t.TempDir()
	said := []string{"ä\u009b31m\u202e", "\U000e0041"}
	server, stop := serveIn(t, dir)
	now := time.Now()
	err := server.DB.PutClient(t.Context(), idp.Client{ID: "acme", Name: "Acme", Contacts: said, Dynamic: true, CreatedAt: now, UpdatedAt: now})
	stop()
	if err != nil {
		t.Fatal(err)
	}
	out, err := stepward(t, dir, "client", "show", "acme")
	if err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(out, "\u009b\u202e\U000e0041") {
		t.Errorf("%q", out)
	}
	var shown idp.Client
	if err := json.Unmarshal([]byte(out), &shown); err != nil || !slices.Equal(shown.Contacts, said) {
		t.Errorf("%v %q", err, shown.Contacts)
	}
}
