package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/recoveries"
)

func TestTheOperatorMakesARecoveryLinkAndItsEventSaysSo(t *testing.T) {
	dir := t.TempDir()
	if _, err := stepward(t, dir, "user", "add", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	says := func(text string, args ...string) {
		t.Helper()
		if out, err := stepward(t, dir, args...); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
	}
	says("user invite ada@example.com", "user", "recover", "ada@example.com") // nothing to recover yet
	says("no user", "user", "recover", "bob@example.com")

	cfg, err := config.Load(config.Sources{Environ: []string{"STEPWARD_DATA_DIR=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	db, err := server.OpenStore(t.Context(), cfg, false)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	u, err := db.UserByEmail(t.Context(), "ada@example.com")
	if err != nil {
		t.Fatal(err)
	}
	if err := db.AddPasskey(t.Context(), idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{1}, CreatedAt: time.Now()}); err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []string{"4m", "25h"} {
		says("between 5m and 24h", "user", "recover", "ada@example.com", "--ttl", ttl)
	}
	out, err := stepward(t, dir, "user", "recover", "Ada@example.com", "--ttl", "2h")
	if err != nil {
		t.Fatal(err)
	}
	token := regexp.MustCompile(`/recover/link#(\S+)\n`).FindStringSubmatch(out)
	if token == nil {
		t.Fatalf("no link:\n%s", out)
	}
	link, err := db.PeekLink(t.Context(), idp.Secret(token[1]).Hash(), "recover", time.Now().Add(2*time.Hour-time.Minute))
	if err != nil || link.UserID != u.ID || link.ExpiresAt.After(time.Now().Add(2*time.Hour)) {
		t.Errorf("link %+v: %v", link, err)
	}
	if out, err := stepward(t, dir, "user", "recover", "ada@example.com", "--pin", "--output", "json"); err != nil ||
		!regexp.MustCompile(`(?s)^\{.*"link": "http.*"pin": ".*\}\n$`).MatchString(out) {
		t.Errorf("as JSON: %v %s", err, out)
	}
	events, err := db.EventsOf(t.Context(), u.ID, 10)
	if err != nil {
		t.Fatal(err)
	}
	if e := events[0]; e.Kind != idp.EventRecoveryLinkMade || e.Detail["by"] != "operator" || strings.Contains(e.Detail["until"], token[1]) {
		t.Errorf("event %+v", e)
	}
	out, err = stepward(t, dir, "user", "recover", "ada@example.com", "--pin", "--second")
	pin := regexp.MustCompile(`(?m)^PIN: (\d{8})$`).FindStringSubmatch(out)
	token = regexp.MustCompile(`/recover/link#(\S+)\n`).FindStringSubmatch(out)
	if err != nil || pin == nil || token == nil || !strings.Contains(out, "/recover/approve/"+u.ID+"\n") {
		t.Fatalf("%v\n%s", err, out)
	}
	ordered, err := recoveries.New(db).Link(t.Context(), idp.Secret(token[1]).Hash(), time.Now())
	if err != nil || !ordered.Second || ordered.PIN == "" || strings.Contains(ordered.PIN, pin[1]) {
		t.Errorf("link %+v: %v", ordered, err)
	}
	if out, err := stepward(t, dir, "user", "show", "ada@example.com"); err != nil || !strings.Contains(out, "waits for a second admin until") || !strings.Contains(out, "/recover/approve/"+u.ID+"\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := recoveries.New(db).ApproveLink(t.Context(), ordered, "grace", time.Now()); err != nil {
		t.Fatal(err)
	}
	if out, err := stepward(t, dir, "user", "show", "ada@example.com"); err != nil || !strings.Contains(out, "approved by grace, until") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := stepward(t, dir, "user", "disable", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	says("disabled", "user", "recover", "ada@example.com")
}
