package store_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// The batches of the suite's races are too short to overlap often on Postgres. Here both are made to wait in the
// middle, for locks of another transaction, and are then released at once.
func TestBatchesThatOverlapRunOneAfterTheOther(t *testing.T) {
	now := time.Now()
	passkey := func(u idp.User) idp.Passkey {
		id := idp.NewID()
		return idp.Passkey{ID: id, UserID: u.ID, CredentialID: []byte(id), CreatedAt: now}
	}
	tests := map[string]struct {
		passkeys int
		lock     string
		change   func(t *testing.T, db *store.DB, u idp.User, k idp.Passkey) error
		lost     error
		left     int
	}{
		"removals of the last two passkeys": {
			2, "SELECT id FROM passkeys FOR UPDATE",
			func(t *testing.T, db *store.DB, u idp.User, k idp.Passkey) error {
				return db.RemovePasskey(t.Context(), u.ID, k.ID, false)
			}, idp.ErrLastPasskey, 1,
		},
		"additions of the last passkey that is allowed": {
			store.MaxPasskeys - 1, "SELECT id FROM users FOR UPDATE",
			func(t *testing.T, db *store.DB, u idp.User, _ idp.Passkey) error {
				return db.AddPasskey(t.Context(), passkey(u))
			}, store.ErrTooManyPasskeys, store.MaxPasskeys,
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			url := storetest.PostgresURL(t)
			db, err := store.Open(t.Context(), store.Config{URL: url})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			if err := db.Migrate(t.Context()); err != nil {
				t.Fatal(err)
			}
			u := idp.NewUser("a@example.org", "A", now)
			if err := db.CreateUser(t.Context(), u); err != nil {
				t.Fatal(err)
			}
			var keys []idp.Passkey
			for i := range test.passkeys {
				keys = append(keys, passkey(u))
				if err := db.AddPasskey(t.Context(), keys[i]); err != nil {
					t.Fatal(err)
				}
			}

			release := block(t, url, test.lock)
			answers := make(chan error, 2)
			for i := range 2 {
				go func() { answers <- test.change(t, db, u, keys[i]) }()
			}
			release(2)
			first, second := <-answers, <-answers
			if first != nil {
				first, second = second, first
			}
			if first != nil || !errors.Is(second, test.lost) {
				t.Errorf("got %v and %v, want one success and %v", first, second, test.lost)
			}
			left, err := db.PasskeysOf(t.Context(), u.ID)
			if err != nil {
				t.Fatal(err)
			}
			if len(left) != test.left {
				t.Errorf("%d passkeys are left, want %d", len(left), test.left)
			}
		})
	}
}

// block takes locks; release drops them once that many others wait for one.
func block(t *testing.T, url, lock string) (release func(waiting int)) {
	ctx := t.Context()
	connect := func() *pgx.Conn {
		c, err := pgx.Connect(ctx, url)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close(t.Context()) })
		return c
	}
	holder, watcher := connect(), connect()
	tx, err := holder.Begin(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(ctx, lock); err != nil {
		t.Fatal(fmt.Errorf("%s: %w", lock, err))
	}
	return func(waiting int) {
		for n := 0; n < waiting; {
			err := watcher.QueryRow(ctx, "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'").Scan(&n)
			if err != nil {
				t.Fatal(err)
			}
		}
		if err := tx.Rollback(ctx); err != nil {
			t.Fatal(err)
		}
	}
}
