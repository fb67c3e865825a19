package e2e

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/store/storetest"
)

// The primary dies under load. Its standby has everything, because each commit waits for it.
func TestAFailoverOfPostgresUnderLoadLosesNothing(t *testing.T) {
	t.Parallel()
	pair := storetest.NewPair(t)
	pair.Synchronous()
	s := newStageAt(t, pair.URL(), persistentRedis(t))
	book := newLedger()
	visitors := s.visitors(4, book, 1)
	first := visitors[0] // asks for nothing but this, so that the time can be measured
	if !first.enter("sign-in") {
		t.Fatalf("%+v", book)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var all sync.WaitGroup
	defer all.Wait()
	for _, v := range visitors[1:] {
		all.Go(func() { v.stay(ctx) })
	}
	time.Sleep(time.Second)
	pair.CrashPrimary()
	time.Sleep(time.Second)
	pair.Promote()
	promoted := time.Now()
	form := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {first.families[0].refresh}}
	for first.ask("/oauth2/token", form, "").status != http.StatusOK && time.Since(promoted) < 20*time.Second {
		time.Sleep(10 * time.Millisecond)
	}
	back := time.Since(promoted)
	for _, r := range s.replicas {
		s.ready(r)
	}
	t.Logf("counted: back %v after the promotion", back.Round(10*time.Millisecond))
	time.Sleep(time.Second)
	cancel()
	all.Wait()
	t.Logf("counted: %v succeeded and %v failed", book.done, book.missed)
	s.database = must(pgx.Connect(t.Context(), pair.URL()))
	s.judge(visitors, book)
	if back > 15*time.Second { // on a quiet machine at once
		t.Errorf("back %v after the promotion", back)
	}
}
