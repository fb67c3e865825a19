package ephemeral_test

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

func openSQLite(t *testing.T, path string) *ephemeral.SQLite {
	t.Helper()
	s, err := ephemeral.OpenSQLite(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// openFile opens the database file in addition to the store.
func openFile(t *testing.T, path string) *sql.DB {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

func TestSQLiteKeepsTheContract(t *testing.T) {
	ephemeraltest.RunInBubble(t, func(t *testing.T) ephemeral.Store { return ephemeraltest.Open(t) })
}

func TestSQLiteKeepsEntriesAcrossARestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a folder?with #odd %41 name.db")
	first := openSQLite(t, path)
	if err := first.Do(t.Context(),
		&ephemeral.Op{Verb: ephemeral.Put, Key: "x:a", Value: []byte("v"), TTL: time.Hour},
		&ephemeral.Op{Verb: ephemeral.Add, Key: "i:u", Member: "m", TTL: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	get, members := &ephemeral.Op{Verb: ephemeral.Get, Key: "x:a"}, &ephemeral.Op{Verb: ephemeral.Members, Key: "i:u"}
	if err := openSQLite(t, path).Do(t.Context(), get, members); err != nil {
		t.Fatal(err)
	}
	if string(get.Result) != "v" || len(members.Members) != 1 {
		t.Errorf("after the restart: %q, %q", get.Result, members.Members)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is open to others: %v, %v", info.Mode(), err)
	}
}

func TestSQLiteSweepsOnlyExpiredEntries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ephemeral.db")
		s := openSQLite(t, path)
		var ops []*ephemeral.Op
		for i := range 1200 { // more than two bites
			key := "x:" + string(rune('a'+i%26)) + strings.Repeat("k", i/26)
			ops = append(ops, &ephemeral.Op{Verb: ephemeral.Put, Key: key, TTL: time.Second},
				&ephemeral.Op{Verb: ephemeral.Add, Key: "i:u", Member: key, TTL: time.Second})
		}
		ops = append(ops, &ephemeral.Op{Verb: ephemeral.Put, Key: "x:stays", TTL: time.Hour},
			&ephemeral.Op{Verb: ephemeral.Add, Key: "i:u", Member: "stays", TTL: time.Hour})
		if err := s.Do(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		var entries, members int
		if err := openFile(t, path).QueryRow(`SELECT (SELECT count(*) FROM entries), (SELECT count(*) FROM members)`).Scan(&entries, &members); err != nil {
			t.Fatal(err)
		}
		if entries != 1 || members != 1 {
			t.Errorf("after the sweep there are %d entries and %d members", entries, members)
		}
	})
}

func TestSQLiteRollsBackWhenAnOpFails(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ephemeral.db")
	s := openSQLite(t, path)
	if _, err := openFile(t, path).Exec(`CREATE TRIGGER boom BEFORE INSERT ON entries WHEN new.key = 'x:boom'
		BEGIN SELECT RAISE(ABORT, 'disk on fire'); END`); err != nil {
		t.Fatal(err)
	}
	put := func(key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: ephemeral.Put, Key: key, TTL: time.Hour}
	}
	if err := s.Do(t.Context(), put("x:a")); err != nil {
		t.Fatal(err)
	}
	err := s.Do(t.Context(), &ephemeral.Op{Verb: ephemeral.Take, Key: "x:a"}, put("x:b"), put("x:boom"))
	if !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("failing transaction: %v", err)
	}
	a, b := &ephemeral.Op{Verb: ephemeral.Get, Key: "x:a"}, &ephemeral.Op{Verb: ephemeral.Get, Key: "x:b"}
	if err := s.Do(t.Context(), a, b); err != nil {
		t.Fatalf("the store does not recover: %v", err)
	}
	if !a.Found || b.Found {
		t.Errorf("half done: taken %v, put %v", !a.Found, b.Found)
	}
}

func TestADamagedSQLiteFileSaysWhatToDo(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ephemeral.db")
	if err := os.WriteFile(path, []byte(strings.Repeat("no database ", 500)), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := ephemeral.OpenSQLite(t.Context(), path, nil); err == nil || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("damaged file: %v", err)
	}
}

func TestAFailingSweepAndAnUnreadableEntryAreLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		path := filepath.Join(t.TempDir(), "ephemeral.db")
		s, err := ephemeral.OpenSQLite(t.Context(), path, slog.New(slog.NewTextHandler(&log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		b := ephemeral.NewBucket[struct{ A int }](s, "thing", time.Hour)
		if err := s.Do(t.Context(), &ephemeral.Op{Verb: ephemeral.Put, Key: "thing:x", Value: []byte("not JSON"), TTL: time.Hour}); err != nil {
			t.Fatal(err)
		}
		if _, err := b.Get(t.Context(), "x"); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("an unreadable entry: %v", err)
		}
		other, err := sql.Open("sqlite", path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Exec("DROP TABLE members"); err != nil {
			t.Fatal(err)
		}
		_ = other.Close()
		time.Sleep(5*time.Minute + time.Second)
		synctest.Wait()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"unreadable ephemeral entry", "bucket=thing", "sweep ephemeral store", "error="} {
			if !strings.Contains(log.String(), want) {
				t.Errorf("the log lacks %q:\n%s", want, log.String())
			}
		}
	})
}
