package e2e

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"runtime"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
)

// A replica waits for its stores without work, loses nothing while it waits, and is back as soon as they are.
func TestAnOutageLeavesNothingBehindAndIsOverAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	book := newLedger()
	visitors := s.visitors(3, book, 1)
	r := s.replicas[0]
	first := visitors[0]
	if !first.enter("sign-in") {
		t.Fatalf("%+v", book)
	}
	s.load(visitors[1:], 500*time.Millisecond)
	before := s.rest(r)
	for name, of := range map[string]func(*balanced) *wire{
		"Postgres": func(r *balanced) *wire { return r.postgres }, "Redis": func(r *balanced) *wire { return r.redis },
	} {
		for _, r := range s.replicas {
			of(r).cut()
		}
		quiet := s.stats(r).CPU
		time.Sleep(2 * time.Second)
		quiet = s.stats(r).CPU - quiet
		s.load(visitors[1:], time.Second)
		for _, r := range s.replicas {
			of(r).mend()
		}
		mended := time.Now()
		for !first.enter("sign-in") && time.Since(mended) < 20*time.Second {
			time.Sleep(10 * time.Millisecond)
		}
		signedIn := time.Since(mended)
		s.ready(r)
		ready := time.Since(mended)
		after := s.rest(r)
		t.Logf("counted: without %s %v of CPU in 2 s; a sign-in done %v after it was back, ready after %v; %d goroutines, "+
			"%d connections of Postgres and %d of Redis before, %d, %d and %d afterwards", name, quiet.Round(time.Millisecond),
			signedIn.Round(10*time.Millisecond), ready.Round(10*time.Millisecond), before.goroutines, before.postgres, before.redis,
			after.goroutines, after.postgres, after.redis)
		if quiet > time.Second {
			t.Errorf("without %s the replica works for %v in 2 s", name, quiet)
		}
		if signedIn > 15*time.Second { // on a quiet machine below one
			t.Errorf("a sign-in was done %v after %s was back", signedIn, name)
		}
		most := 2*max(4, runtime.GOMAXPROCS(0)) + 2 // of the pools: docs/operate.md
		if after.goroutines > before.goroutines+20 || after.postgres > most || after.redis > redisPools() {
			t.Errorf("%s: before %+v, after %+v", name, before, after)
		}
	}
	s.judge(visitors, book)
}

// load lets people use the provider for a while.
func (s *stage) load(visitors []*visitor, long time.Duration) {
	ctx, cancel := context.WithTimeout(s.t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	for _, v := range visitors {
		all.Go(func() { v.stay(ctx) })
	}
	all.Wait()
}

// redisPools is how many connections two replicas may have to Redis, 10 for each core, and the test beside them.
func redisPools() int { return 2*10*runtime.GOMAXPROCS(0) + 5 }

// occupied is what a replica occupies when nobody asks.
type occupied struct{ goroutines, postgres, redis int }

// rest waits until what a replica occupies does not shrink any more, and Redis has noticed which connections are gone.
func (s *stage) rest(r *balanced) (o occupied) {
	s.t.Helper()
	for range 100 {
		last := o
		o.goroutines = s.stats(r).Goroutines
		o.postgres = s.count(`SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`)
		s.withRedis(func(ctx context.Context, c *redis.Client) {
			o.redis, _ = strconv.Atoi(c.InfoMap(ctx, "clients").Item("Clients", "connected_clients"))
		})
		if last.goroutines > 0 && o.goroutines >= last.goroutines && o.redis <= redisPools() {
			return o
		}
		time.Sleep(200 * time.Millisecond)
	}
	return o
}

func (s *stage) stats(r *balanced) (out stats) {
	s.t.Helper()
	resp, err := http.Get((&url.URL{Scheme: "http", Host: r.stats, Path: "/"}).String())
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		s.t.Fatal(err)
	}
	return out
}
