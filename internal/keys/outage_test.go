package keys

import (
	"bytes"
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestTheJWKSIsServedFromMemoryDuringAnOutage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		db, err := store.Open(t.Context(), store.Config{Dir: t.TempDir()})
		check(t, err)
		check(t, db.Migrate(t.Context()))
		ring := newKeys(t, db, wrapper(t, 1))
		check(t, ring.Prepare(t.Context()))
		published, err := ring.JWKS(t.Context())
		check(t, err)
		check(t, db.Close())
		begin, asked, failed := time.Now(), 0, 0
		for ; time.Since(begin) < PublishedFor; time.Sleep(time.Second) {
			asked++
			if set, err := ring.JWKS(t.Context()); err != nil || !bytes.Equal(set, published) {
				failed++
				t.Errorf("%v later: %s %v", time.Since(begin), set, err)
			}
		}
		t.Logf("counted: %d of %d requests for the keys failed, one a second for %v", failed, asked, time.Since(begin))
		if _, err := ring.Signer(t.Context(), ES256); !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("a key that may have been withdrawn signs: %v", err)
		}
		if _, err := ring.JWKS(t.Context()); !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("after the promised age: %v", err)
		}
	})
}

// stuck returns a ring whose store takes this long to fail.
func stuck(t *testing.T, takes time.Duration) *Ring {
	address := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), store.Config{URL: address, StatementTimeout: takes})
	check(t, err)
	t.Cleanup(func() { _ = db.Close() })
	check(t, db.Migrate(t.Context()))
	ring := newKeys(t, db, wrapper(t, 1))
	check(t, ring.Prepare(t.Context()))
	stale := *ring.ring.Load()
	stale.at = time.Now().Add(-keyCacheTTL)
	ring.ring.Store(&stale)
	other, err := pgx.Connect(t.Context(), address)
	check(t, err)
	t.Cleanup(func() { _ = other.Close(context.Background()) })
	_, err = other.Exec(t.Context(), "BEGIN; LOCK TABLE signing_keys")
	check(t, err)
	return ring
}

func TestWaitingCallersShareOneFailure(t *testing.T) {
	ring := stuck(t, time.Second)
	begin := time.Now()
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := ring.Current(t.Context()); !errors.Is(err, idp.ErrUnavailable) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if took := time.Since(begin); took > 6*time.Second { // one after the other needs eight
		t.Errorf("eight who asked together waited %v", took)
	}
}

func TestACallerCanStopWaitingForKeys(t *testing.T) {
	ring := stuck(t, 4*time.Second)
	var wg sync.WaitGroup
	defer wg.Wait()
	var failed atomic.Bool // what the caller waits for is over
	wg.Go(func() { _, _ = ring.Current(t.Context()); failed.Store(true) })
	for len(ring.loading) == 1 && !failed.Load() { // until the other reads
		time.Sleep(time.Millisecond)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := ring.Current(ctx); err == nil || failed.Load() {
		t.Errorf("the caller waited until the store had failed (%v): %v", failed.Load(), err)
	}
	set, err := ring.JWKS(t.Context())
	if err != nil || len(set) == 0 || failed.Load() {
		t.Errorf("the JWKS, after the store had failed (%v): %v", failed.Load(), err)
	}
}

func TestACancelledLoadIsNotAStoreFailure(t *testing.T) {
	db := storetest.Open(t)
	ring := newKeys(t, db, wrapper(t, 1))
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := ring.Current(ctx); err == nil {
		t.Fatal("no error")
	}
	if ring.failed != nil {
		t.Error("others are told: ", ring.failed)
	}
	check(t, ring.Prepare(t.Context()))
}
