package store_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestSQLitePassesTheSuite(t *testing.T) {
	var seen statements
	runSuite(t, seen.of(storetest.Open))
	scan := regexp.MustCompile(`^SCAN (\w+)( USING (COVERING )?INDEX)?`)
	t.Run("no statement reads a large table from end to end", func(t *testing.T) {
		seen.explain(t, storetest.Open(t), func(plan []string) string {
			for _, line := range plan {
				if m := scan.FindStringSubmatch(line); m != nil && m[1] != "CONSTANT" {
					return m[1]
				}
			}
			return ""
		})
	})
}

// This is the form while older programs may still run: see contract.go.
func TestTheExpandedFormPassesTheSuite(t *testing.T) {
	runSuite(t, func(t testing.TB) *store.DB {
		db := storetest.Open(t)
		store.Expand(db)
		return db
	})
}

func TestPostgresPassesTheSuite(t *testing.T) {
	var seen statements
	runSuite(t, seen.of(storetest.OpenPostgres))
	scan := regexp.MustCompile(`(Seq Scan|Index Scan using \w+|Index Only Scan using \w+) on (\w+)`)
	t.Run("no statement reads a large table from end to end", func(t *testing.T) {
		// With these settings the planner uses an index wherever one fits, although the tables are small here.
		db, err := store.Open(t.Context(), store.Config{URL: storetest.PostgresURL(t) + "&enable_seqscan=off&enable_hashjoin=off&enable_mergejoin=off"})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = db.Close() })
		if err := db.Migrate(t.Context()); err != nil {
			t.Fatal(err)
		}
		seen.explain(t, db, func(plan []string) string {
			for i, line := range plan {
				m := scan.FindStringSubmatch(line)
				if searched := i+1 < len(plan) && strings.Contains(plan[i+1], "Index Cond"); m != nil && !searched {
					return m[2]
				}
			}
			return ""
		})
	})
}

// statements collects the SQL that the suite runs, each text once.
type statements struct{ texts sync.Map }

func (s *statements) of(open func(testing.TB) *store.DB) func(testing.TB) *store.DB {
	return func(t testing.TB) *store.DB {
		db := open(t)
		store.Record(db, func(sql string, args []any) { s.texts.LoadOrStore(sql, args) })
		return db
	}
}

// explain checks the plan of every statement; scanned returns the name of a table that is read from end to end.
func (s *statements) explain(t *testing.T, db *store.DB, scanned func(plan []string) string) {
	// These tables hold a few rows, or are read whole on purpose. waiting and counted are subqueries: one row a client,
	// and rows that an index found.
	// below, paths, up and down are the few groups around one. windowed is a bounded number of rows that an index found.
	// declared is what a file describes: a person wrote it, and apply compares all of it.
	small := map[string]bool{
		"": true, "clients": true, "signing_keys": true, "leases": true, "registration_tokens": true, "waiting": true,
		"counted": true, "claims": true, "below": true, "paths": true, "up": true, "down": true,
		"windowed": true, "declared": true,
	}
	count := 0
	s.texts.Range(func(sql, args any) bool {
		count++
		if strings.Contains(sql.(string), "pg_advisory") {
			return true
		}
		if strings.Contains(sql.(string), "installation") { // counts passkeys only when the host of the issuer changes
			return true
		}
		if strings.Contains(sql.(string), "families") && strings.Contains(sql.(string), "WHERE client_id = $1") &&
			!strings.Contains(sql.(string), "user_id") { // commands that disable or remove a client: an index would cost each sign-in
			return true
		}
		plan, err := store.Plan(t.Context(), db, sql.(string), args.([]any))
		if err != nil {
			t.Errorf("%s: %v", sql, err)
			return true
		}
		if table := scanned(plan); !small[table] {
			t.Errorf("reads all of %s:\n%s\n%s", table, sql, strings.Join(plan, "\n"))
		}
		return true
	})
	if count < 60 {
		t.Errorf("saw only %d statements", count)
	}
}

func TestTheTwoSchemasDifferInTypeNamesOnly(t *testing.T) {
	names := func(folder string) (names []string) {
		entries, err := store.Migrations.ReadDir("migrations/" + folder)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range entries {
			names = append(names, e.Name())
		}
		return names
	}
	comment := regexp.MustCompile(`(?m)^(-- [^+]|ALTER TABLE \w+ ALTER COLUMN \w+ DROP NOT NULL;).*\n`) // SQLite has no such statement
	text := func(folder, name string) string {
		b, err := store.Migrations.ReadFile("migrations/" + folder + "/" + name)
		if err != nil {
			t.Fatal(err)
		}
		return comment.ReplaceAllString(string(b), "")
	}
	toSQLite := strings.NewReplacer(`TEXT COLLATE "C"`, "TEXT", "BIGINT", "INTEGER", "SMALLINT", "INTEGER", "BYTEA", "BLOB", "BOOLEAN", "INTEGER", "\n);", "\n) STRICT;")
	postgres, sqlite := names("postgres"), names("sqlite")
	if strings.Join(postgres, " ") != strings.Join(sqlite, " ") {
		t.Fatalf("files %v and %v", postgres, sqlite)
	}
	for _, name := range postgres {
		if strings.HasSuffix(name, "_view.sql") { // reading a time or an ID is said differently: a test reads the views
			continue
		}
		if want, got := toSQLite.Replace(text("postgres", name)), text("sqlite", name); got != want {
			t.Errorf("%s differs:\n%s\n%s", name, want, got)
		}
	}
	newest, _, _ := strings.Cut(postgres[len(postgres)-1], "_")
	if version, err := strconv.Atoi(newest); err != nil || version != store.SchemaVersion {
		t.Errorf("the newest migration is %s, schemaVersion is %d", newest, store.SchemaVersion)
	}
}

func TestReplicasThatStartTogetherMigrateOnce(t *testing.T) {
	t.Run("postgres", func(t *testing.T) {
		migrateAtOnce(t, storetest.PostgresURL(t))
	})
	t.Run("sqlite", func(t *testing.T) {
		db := openEmbedded(t, t.TempDir())
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				if err := db.Migrate(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
	})
}

func TestANewerOrOlderSchemaIsRefusedWithAdvice(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.CheckSchema(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := store.SetVersion(t.Context(), db, store.SchemaVersion+1); err != nil {
			t.Fatal(err)
		}
		// The newer migration was the first of two steps: in a rollout, this program may restart.
		for _, err := range []error{db.CheckSchema(t.Context()), db.Migrate(t.Context())} {
			if err != nil {
				t.Error(err)
			}
		}
		oldest := func(sql string) {
			t.Helper()
			if err := store.Do(t.Context(), db, sql); err != nil {
				t.Fatal(err)
			}
		}
		oldest(fmt.Sprintf(`UPDATE installation SET value = '%d' WHERE name = 'oldest_program'`, store.SchemaVersion+1))
		needs := fmt.Sprintf("needs a program that knows version %d; this one knows %d. Run the newer program", store.SchemaVersion+1, store.SchemaVersion)
		for _, err := range []error{db.CheckSchema(t.Context()), db.Migrate(t.Context())} {
			if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), needs) {
				t.Error(err)
			}
		}
		oldest(`DELETE FROM installation WHERE name = 'oldest_program'`)
		for _, err := range []error{db.CheckSchema(t.Context()), db.Migrate(t.Context())} {
			if !errors.Is(err, store.ErrNewerSchema) || !strings.Contains(err.Error(), "run the newer program") {
				t.Error(err)
			}
		}
	})
	t.Run("not migrated", func(t *testing.T) {
		db := openEmbedded(t, t.TempDir())
		if err := db.CheckSchema(t.Context()); !errors.Is(err, store.ErrOlderSchema) {
			t.Error(err)
		}
		if _, err := db.UserByID(t.Context(), "u"); !errors.Is(err, store.ErrOlderSchema) {
			t.Error(err)
		}
	})
}

// A program restarts in a rollout only if each newer migration has said whether it can.
func TestEachMigrationSaysWhichProgramsCanRunOnIt(t *testing.T) {
	const first = 20
	for _, folder := range []string{"postgres", "sqlite"} {
		entries, err := store.Migrations.ReadDir("migrations/" + folder)
		if err != nil {
			t.Fatal(err)
		}
		said := int64(0)
		for i, e := range entries {
			text, err := store.Migrations.ReadFile("migrations/" + folder + "/" + e.Name())
			if err != nil {
				t.Fatal(err)
			}
			version := int64(i + 1)
			if oldest := store.OldestProgram(string(text)); version >= first && (oldest < max(said, first-1) || oldest > version) {
				t.Errorf("%s/%s says %d: see 00020_brief.sql for how to say it, and contract.go for when it may grow", folder, e.Name(), oldest)
			} else {
				said = oldest
			}
		}
	}
}

func TestASecondProcessIsRefusedTheDataFolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data & more #1?") // no character of a path is special
	db := openEmbedded(t, dir)
	_, err := store.Open(t.Context(), store.Config{Dir: dir})
	if !errors.Is(err, store.ErrInUse) || !strings.Contains(err.Error(), dir) {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	again := openEmbedded(t, dir)
	if err := again.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"", "stepward.db", "stepward.lock"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q is %v: it holds keys", name, info.Mode())
		}
	}
}

func TestStoredDataSurvivesARestart(t *testing.T) {
	dir := t.TempDir()
	db := openEmbedded(t, dir)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	u := idp.NewUser("a@example.org", "A", time.Now())
	if err := db.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	db = openEmbedded(t, dir)
	if err := db.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := db.UserByID(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
}

func TestACallerWhoLeavesIsNoFaultOfTheStore(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, read := db.UserByID(ctx, "u")
		write := db.RecordEvents(ctx, idp.NewEvent(idp.EventSignedIn, "u", time.Now()))
		for _, err := range []error{read, write} {
			if !errors.Is(err, context.Canceled) || errors.Is(err, idp.ErrUnavailable) {
				t.Error(err)
			}
		}
	})
}

func TestAClosedStoreIsUnavailable(t *testing.T) {
	for name, open := range map[string]func(testing.TB) *store.DB{"sqlite": storetest.Open, "postgres": storetest.OpenPostgres} {
		t.Run(name, func(t *testing.T) {
			db := open(t)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			_, read := db.UserByID(t.Context(), "u")
			write := db.RecordEvents(t.Context(), idp.NewEvent(idp.EventSignedIn, "u", time.Now()))
			for _, err := range []error{read, write, db.Ping(t.Context())} {
				if !errors.Is(err, idp.ErrUnavailable) {
					t.Error(err)
				}
			}
		})
	}
}

func TestAClientIsReadAgainAfterFourSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db := storetest.Open(t)
		if err := db.PutClient(t.Context(), idp.Client{ID: "app"}); err != nil {
			t.Fatal(err)
		}
		trips := func(id string) int64 {
			before := db.RoundTrips()
			if _, err := db.Client(t.Context(), id); err != nil && !errors.Is(err, idp.ErrNotFound) {
				t.Fatal(err)
			}
			return db.RoundTrips() - before
		}
		for _, id := range []string{"app", "unknown"} {
			first := trips(id)
			time.Sleep(4*time.Second - time.Nanosecond)
			cached := trips(id)
			time.Sleep(time.Nanosecond)
			again := trips(id)
			if first != 1 || cached != 0 || again != 1 {
				t.Errorf("%s: %d, then %d, then %d reads", id, first, cached, again)
			}
		}
	})
}

func openEmbedded(t *testing.T, dir string) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), store.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestTheFirstAdminBecomesTheOwner(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now()
		add := func(email string, role directory.Role, after time.Duration, passkeys int) idp.User {
			u := idp.NewUser(email, "A", now.Add(after))
			u.Role = role
			if err := db.CreateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			for range passkeys {
				id := idp.NewID()
				if err := db.AddPasskey(t.Context(), idp.Passkey{ID: id, UserID: u.ID, CredentialID: []byte(id), PublicKey: []byte{1}, CreatedAt: now}); err != nil {
					t.Fatal(err)
				}
			}
			return u
		}
		add("user@example.org", directory.RoleUser, -time.Hour, 1)
		add("never-came@example.org", directory.RoleAdmin, 0, 0)
		add("first@example.org", directory.RoleAdmin, time.Minute, 1)
		add("second@example.org", directory.RoleAdmin, 2*time.Minute, 1)
		file, err := store.Migrations.ReadFile("migrations/" + db.Backend() + "/00005_groups.sql")
		if err != nil {
			t.Fatal(err)
		}
		_, rest, _ := strings.Cut(string(file), "UPDATE users")
		statement, _, _ := strings.Cut(rest, ";")
		var b store.Batch
		b.Do("UPDATE users" + statement)
		if err := db.RunBatch(t.Context(), "migrate", &b); err != nil {
			t.Fatal(err)
		}
		users, err := db.Users(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range users {
			want := map[string]directory.Role{
				"user@example.org": directory.RoleUser, "first@example.org": directory.RoleOwner,
			}
			role, named := want[u.Email]
			if !named {
				role = directory.RoleAdmin
			}
			if u.Role != role {
				t.Errorf("%s is %q, want %q", u.Email, u.Role, role)
			}
		}
	})
}
