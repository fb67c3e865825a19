package e2e

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Faults at random moments, of a replica and of a store at once, while people and applications go on. STEPWARD_TEST_FAULTS
// says for how long (10s), STEPWARD_TEST_SEED which faults.
func TestRandomFaultsUnderLoadBreakNoPromise(t *testing.T) {
	t.Parallel()
	long := must(time.ParseDuration(cmp.Or(os.Getenv("STEPWARD_TEST_FAULTS"), "10s")))
	seed := must(strconv.ParseUint(cmp.Or(os.Getenv("STEPWARD_TEST_SEED"), fmt.Sprint(time.Now().UnixNano()%1e6)), 10, 64))
	t.Logf("STEPWARD_TEST_SEED=%d", seed)
	s := newStage(t)
	book := newLedger()
	visitors := s.visitors(5, book, seed)
	ctx, cancel := context.WithTimeout(t.Context(), long)
	defer cancel()
	var all sync.WaitGroup
	for _, v := range visitors {
		all.Go(func() { v.stay(ctx) })
	}
	happened := map[string]int{}
	all.Go(func() { s.strike(ctx, rand.New(rand.NewPCG(seed, 1)), s.crashes, book, happened) })
	s.strike(ctx, rand.New(rand.NewPCG(seed, 2)), s.outages, book, happened)
	all.Wait()
	for _, r := range s.replicas {
		s.ready(r)
	}
	faults := 0
	for _, name := range slices.Sorted(maps.Keys(happened)) {
		t.Logf("%d × %s", happened[name], name)
		faults += happened[name]
	}
	t.Logf("counted: %d faults; %v succeeded and %v failed", faults, book.done, book.missed)
	s.judge(visitors, book)
}

// strike lets one fault after the other happen until ctx ends.
func (s *stage) strike(ctx context.Context, rng *rand.Rand, from func(*rand.Rand) []fault, book *ledger, happened map[string]int) {
	pause := func(most int) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Duration(50+rng.IntN(most)) * time.Millisecond):
		}
	}
	for pause(600); ctx.Err() == nil; pause(600) {
		faults := from(rng)
		f := faults[rng.IntN(len(faults))]
		book.note(func() { happened[f.name]++ })
		end := f.begin()
		pause(1500)
		end()
	}
}

// judge counts what must be 0.
func (s *stage) judge(visitors []*visitor, book *ledger) {
	s.t.Helper()
	shutOut, missing := 0, 0
	for _, v := range visitors {
		for n := len(v.families) - 1; n >= 0; n-- {
			v.renew(n)
		}
		in := false
		for range 5 {
			v.fresh()
			if in = v.enter("sign-in afterwards") && v.renew(len(v.families)-1); in {
				break
			}
			time.Sleep(time.Second)
		}
		if !in {
			shutOut++
		}
		missing += max(0, book.issued[v.sub]-s.count(`SELECT count(*) FROM event_log WHERE user_id = $1 AND kind = 'tokens.issued'`, v.sub))
		missing += max(0, v.proven-s.count(`SELECT count(*) FROM event_log WHERE user_id = $1
			AND kind IN ('session.signed_in', 'session.stepped_up')`, v.sub))
	}
	missing += s.count(`SELECT count(*) FROM families WHERE authentication_id NOT IN (SELECT id FROM event_log)`)
	for _, what := range slices.Sorted(maps.Keys(book.why)) {
		s.t.Logf("%s failed, for example: %s", what, strings.Join(strings.Fields(strings.Join(book.why[what], "; ")), " "))
	}
	s.t.Logf("counted: %d of %d codes spent twice, %d of %d refresh tokens with two successors, %d events missing, "+
		"%d of %d users cannot sign in, %d answers 500, %d families lost (and %d to a request handled after its sender had left)",
		book.twice(), len(book.tokens), book.split(), len(book.next), missing, shutOut, len(visitors), len(book.blunders),
		len(book.lost), book.repeated)
	if book.twice()+book.split()+missing+shutOut+len(book.blunders)+len(book.lost) > 0 {
		s.t.Errorf("a promise is broken; answers 500: %q; lost families: %q", book.blunders, book.lost)
	}
}
