package backup_test

import (
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/backup"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func env(t *testing.T, environ ...string) *manage.Env {
	return manage.NewEnv(t.Context(), config.Sources{Environ: environ, Flags: map[string]string{}}, "test")
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openStore opens a store as a server does.
func openStore(t *testing.T, c store.Config) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), c)
	must(t, err)
	t.Cleanup(func() { _ = db.Close() })
	must(t, db.Migrate(t.Context()))
	return db
}

func refuses(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %q", err, want)
	}
}

func TestAnInstallationMovesToPostgresAndBack(t *testing.T) {
	dir, url, back := t.TempDir(), storetest.PostgresURL(t), filepath.Join(t.TempDir(), "back")
	file := filepath.Join(t.TempDir(), "url")
	must(t, os.WriteFile(file, []byte(url+"\n"), 0o600))
	refuses(t, backup.Copy{From: dir, To: "@" + file}.Run(env(t)), "no store in")
	db := openStore(t, store.Config{Dir: dir})
	u := idp.NewUser("ada@example.com", "Ada", time.Now())
	must(t, db.CreateUser(t.Context(), u))
	refuses(t, backup.Copy{From: dir, To: "@" + file}.Run(env(t)), "stop it first")
	must(t, db.Close())
	refuses(t, backup.Copy{From: dir, To: "postgres://me:secret@localhost/x"}.Run(env(t)), "command line")
	refuses(t, backup.Copy{From: dir, To: "database-url"}.Run(env(t)), "is not set")
	must(t, backup.Copy{From: dir, To: "@" + file}.Run(env(t)))
	refuses(t, backup.Copy{From: dir, To: "@" + file}.Run(env(t)), "not empty")

	settings := []string{
		"STEPWARD_DATABASE_URL=" + url, "STEPWARD_REDIS_URL=redis://localhost:1", "STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
	}
	running := openStore(t, store.Config{URL: url})
	refuses(t, backup.Copy{From: "database-url", To: back}.Run(env(t, settings...)), "servers are connected")
	must(t, backup.Copy{From: "database-url", To: back, Anyway: true}.Run(env(t, settings...)))
	must(t, running.Close())
	db = openStore(t, store.Config{Dir: back})
	if got, err := db.UserByEmail(t.Context(), "ada@example.com"); err != nil || got.ID != u.ID {
		t.Errorf("%+v %v", got, err)
	}
}

func TestAfterAPostgresWasRestoredAllSessionsAndTokensEnd(t *testing.T) {
	url, redis := storetest.PostgresURL(t), ephemeraltest.RedisURL(t)
	db, now := openStore(t, store.Config{URL: url}), time.Now()
	u := idp.NewUser("ada@example.com", "Ada", now)
	must(t, db.CreateUser(t.Context(), u))
	must(t, db.PutClient(t.Context(), idp.Client{ID: "app", CreatedAt: now, UpdatedAt: now}))
	_, _, err := db.CreateFamily(t.Context(), idp.Family{
		ID: "f", ClientID: "app", UserID: u.ID, Offline: true, HandleHash: "h", CurrentHash: "c", CreatedAt: now, ExpiresAt: now.Add(time.Hour),
		Assurance: idp.Assurance{AuthenticationID: "a"},
	}, nil)
	must(t, err)
	kept, err := ephemeral.OpenRedis(t.Context(), redis, nil)
	must(t, err)
	defer kept.Close()
	sessions := session.New(session.Config{Store: kept, Idle: time.Hour, Absolute: time.Hour})
	_, err = sessions.Start(t.Context(), httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil), idp.Authentication{ID: "a", UserID: u.ID, At: now}, nil)
	must(t, err)
	settings := []string{"STEPWARD_DATABASE_URL=" + url, "STEPWARD_REDIS_URL=" + redis, "STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="}
	refuses(t, backup.Restore{File: "x"}.Run(env(t, settings...)), "pg_restore")
	refuses(t, backup.Backup{File: "x"}.Run(env(t, settings...)), "pg_dump")
	must(t, backup.Restore{Afterwards: true}.Run(env(t, settings...)))
	if left, err := sessions.List(t.Context(), u.ID); err != nil || len(left) != 0 {
		t.Errorf("%d sessions left, %v", len(left), err)
	}
	if _, _, err := db.FamilyWithUser(t.Context(), "f"); err == nil {
		t.Error("the family lives")
	}
	events, err := db.Events(t.Context(), "", 10)
	if must(t, err); len(events) == 0 || events[0].Kind != idp.EventRestored {
		t.Errorf("%+v", events)
	}
}

func TestRestoreRefusesWhatMakesNoSense(t *testing.T) {
	for want, c := range map[string]backup.Restore{
		"name the backup": {},
		"takes no file":   {File: "x", Afterwards: true},
		"needs --replace": {File: "x", BringBack: true},
		"not a backup":    {File: "backup.go"},
		"no such file":    {File: "missing"},
	} {
		refuses(t, c.Run(env(t, "STEPWARD_DATA_DIR="+t.TempDir())), want)
	}
}
