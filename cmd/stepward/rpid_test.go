package main

import (
	"database/sql"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/server"
)

func TestAnotherHostDoesNotLeavePasskeysBehindUnasked(t *testing.T) {
	dir := t.TempDir()
	_, stop := serveIn(t, dir)
	stop()
	environ := func(more ...string) []string {
		return append([]string{"STEPWARD_DATA_DIR=" + dir, "STEPWARD_TRUSTED_PROXIES=10.0.0.1"}, more...)
	}
	start := func(environ []string) error {
		cfg, err := config.Load(config.Sources{Environ: environ})
		if err != nil {
			return err
		}
		s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
		if err == nil {
			s.Close()
		}
		return err
	}
	check := func(environ []string) error { return run(t.Context(), []string{"config", "check"}, environ) }
	a, b := "STEPWARD_ISSUER=https://a.example.com", "STEPWARD_ISSUER=https://b.example.com:8443"
	if err := start(environ(a)); err != nil { // without passkeys, the host may change
		t.Fatal(err)
	}
	if _, err := stepward(t, dir, "user", "add", "ada@example.com"); err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "stepward.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for i, id := range []string{"k1", "k2"} {
		if _, err := db.Exec(`INSERT INTO passkeys SELECT $1, id, CAST($1 AS BLOB), x'00', 0, 0, 0, 0, x'00000000000000000000000000000000',
			'', '', '', 0, 0, '', '', '', '', $2, '', 0, '', 0, 0 FROM users WHERE email = 'ada@example.com'`, id, time.Now().UnixMilli()+int64(i)); err != nil {
			t.Fatal(err)
		}
	}
	for name, try := range map[string]func([]string) error{"serve": start, "config check": check} {
		err := try(environ(b))
		if err == nil || !strings.Contains(err.Error(), "issuer (STEPWARD_ISSUER): 2 passkeys in this database are for a.example.com") {
			t.Errorf("%s: %v", name, err)
		}
		if err := try(environ(a)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := try(environ(b, "STEPWARD_NEW_RP_ID=c.example.com")); err == nil || !strings.Contains(err.Error(), "is not the host that passkeys are made for") {
			t.Errorf("%s: %v", name, err)
		}
	}
	deliberate := environ(b, "STEPWARD_NEW_RP_ID=b.example.com")
	if err := check(deliberate); err != nil {
		t.Error(err)
	}
	if err := check(environ(b)); err == nil {
		t.Error("config check changed the recorded host")
	}
	if err := start(deliberate); err != nil {
		t.Error(err)
	}
	if err := start(environ(b)); err != nil {
		t.Errorf("the new host is not recorded: %v", err)
	}
	if err := start(environ(a)); err == nil {
		t.Error("the way back was not refused")
	}
	if _, err := db.Exec("DELETE FROM installation"); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]func([]string) error{"serve": start, "config check": check} {
		if err := try(environ(a)); err == nil || !strings.Contains(err.Error(), "2 passkeys in this database are for a host that is not recorded") {
			t.Errorf("%s, without a record: %v", name, err)
		}
	}
	if err := start(environ(a, "STEPWARD_NEW_RP_ID=a.example.com")); err != nil {
		t.Error(err)
	}
	if err := start(environ(a)); err != nil {
		t.Errorf("the host is not recorded: %v", err)
	}
	if _, err := db.Exec("UPDATE passkeys SET transports = '[]', extensions = '{}'"); err != nil {
		t.Fatal(err)
	}
	_, err = stepward(t, dir, "user", "invite", "ada@example.com") // her passkeys may all be dead
	if err == nil || !strings.Contains(err.Error(), "stepward user recover ada@example.com") {
		t.Errorf("inviting a user with passkeys: %v", err)
	}
}
