package ephemeraltest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// Run tests the stores returned by open, a fresh one each time, against the contract of ephemeral.Store. It uses the
// real clock, for a server in another process.
func Run(t *testing.T, open func(t *testing.T) ephemeral.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // they mostly wait
			c.run(t, open(t), 20*time.Millisecond)
		})
	}
}

// RunInTurn does the same one case after the other, for stores that share their entries. open returns an empty one.
func RunInTurn(t *testing.T, open func(t *testing.T) ephemeral.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) { c.run(t, open(t), 20*time.Millisecond) })
	}
}

// RunInBubble does the same in synctest bubbles, where time passes instantly, for a store in this process. Its unit is
// short compared to the minute between sweeps, so expiry is tested without the sweeper.
func RunInBubble(t *testing.T, open func(t *testing.T) ephemeral.Store) {
	for _, c := range suite {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { c.run(t, open(t), time.Second) })
		})
	}
}

// suite is the contract, one sentence per case. Cases count time in units: an entry of 10 units certainly exists at
// first, even on a slow machine, and is certainly gone after 11.
var suite = []struct {
	name string
	run  func(t *testing.T, s ephemeral.Store, unit time.Duration)
}{
	{"an entry exists until it expires, and then for no verb", entryExpires},
	{"put replaces value and expiry", putReplaces},
	{"values come back byte for byte", valuesAreBytes},
	{"a take deletes the entry", takeLeavesNothing},
	{"one of several parallel takes wins", takeHasOneWinner},
	{"one of several parallel claims wins until the claim expires", claimHasOneWinner},
	{"one of several parallel swaps wins", swapHasOneWinner},
	{"a swap never brings an entry back", swapNeverRevives},
	{"a swap gives the entry its own expiry", swapSetsExpiry},
	{"count counts within a fixed window", countHasWindow},
	{"no parallel count is lost", countLosesNothing},
	{"members of an index expire one by one", membersExpire},
	{"adding a member renews it and removing deletes it", membersChange},
	{"ops of one do run in order in one round trip", opsRunInOrder},
	{"an op can be reused", opsAreReusable},
	{"oversized and malformed ops are rejected before anything is sent", badOpsAreRefused},
	{"update retries after a concurrent change", updateRetries},
	{"update of nothing is not found", updateFindsNothing},
	{"unreadable bytes in a bucket are not found", unreadableIsNotFound},
	{"a bucket writes the form that programs of the version before read, as long as they run", compactWaits},
	{"what the entries occupy is known", usedGrows},
	{"a cancelled context is an unavailable store", cancelledIsUnavailable},
	{"a closed store is an unavailable store", closedIsUnavailable},
}

func do(t testing.TB, s ephemeral.Store, ops ...*ephemeral.Op) {
	t.Helper()
	if err := s.Do(context.Background(), ops...); err != nil {
		t.Fatal(err)
	}
}

// one runs one op and returns it.
func one(t testing.TB, s ephemeral.Store, op ephemeral.Op) *ephemeral.Op {
	t.Helper()
	do(t, s, &op)
	return &op
}

// want checks that key holds value; "-" means nothing.
func want(t testing.TB, s ephemeral.Store, key, value string) {
	t.Helper()
	got, op := "-", one(t, s, ephemeral.Op{Verb: ephemeral.Get, Key: key})
	if op.Found {
		got = string(op.Result)
	}
	if got != value {
		t.Errorf("%s holds %q, want %q", key, got, value)
	}
}

func put(key, value string, ttl time.Duration) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Put, Key: key, Value: []byte(value), TTL: ttl}
}

func swap(key, old, value string, ttl time.Duration) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Swap, Key: key, Old: []byte(old), Value: []byte(value), TTL: ttl}
}

func entryExpires(t *testing.T, s ephemeral.Store, unit time.Duration) {
	keys := []string{"x:get", "x:take", "x:swap", "x:delete", "x:claim"}
	for _, key := range keys {
		do(t, s, put(key, "v", 10*unit))
		want(t, s, key, "v")
	}
	time.Sleep(11 * unit)
	want(t, s, "x:get", "-")
	for _, op := range []*ephemeral.Op{
		{Verb: ephemeral.Take, Key: "x:take"},
		swap("x:swap", "v", "w", unit),
		{Verb: ephemeral.Delete, Key: "x:delete"},
	} {
		if do(t, s, op); op.Found {
			t.Errorf("%s found an expired entry", op.Key)
		}
	}
	claim := one(t, s, ephemeral.Op{Verb: ephemeral.Claim, Key: "x:claim", Value: []byte("new"), TTL: 100 * unit})
	if !claim.Found {
		t.Error("an expired entry prevents a claim")
	}
	want(t, s, "x:claim", "new")
}

func putReplaces(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, put("x:a", "long", 1000*unit), put("x:b", "short", 5*unit))
	do(t, s, put("x:a", "short", 5*unit), put("x:b", "long", 1000*unit))
	time.Sleep(6 * unit)
	want(t, s, "x:a", "-")
	want(t, s, "x:b", "long")
}

func valuesAreBytes(t *testing.T, s ephemeral.Store, unit time.Duration) {
	for name, value := range map[string][]byte{
		"nil": nil, "bytes": {0, 0xff, '\r', '\n', 0}, "largest": bytes.Repeat([]byte{0xfe}, ephemeral.MaxValue),
	} {
		key := strings.Repeat("k", ephemeral.MaxKey-len(name)) + name
		do(t, s, &ephemeral.Op{Verb: ephemeral.Put, Key: key, Value: value, TTL: 1000 * unit})
		got := one(t, s, ephemeral.Op{Verb: ephemeral.Get, Key: key})
		if !got.Found || !bytes.Equal(got.Result, value) {
			t.Errorf("%s: found %v, %d bytes, want the %d that were put", name, got.Found, len(got.Result), len(value))
		}
		swapped := one(
			t, s, ephemeral.Op{Verb: ephemeral.Swap, Key: key, Old: value, Value: []byte("next"), TTL: 1000 * unit},
		)
		if !swapped.Found {
			t.Errorf("%s: swap does not recognize the value", name)
		}
	}
}

func takeLeavesNothing(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, put("x:a", "v", 1000*unit))
	first := one(t, s, ephemeral.Op{Verb: ephemeral.Take, Key: "x:a"})
	if !first.Found || string(first.Result) != "v" {
		t.Errorf("take found %v %q", first.Found, first.Result)
	}
	if second := one(t, s, ephemeral.Op{Verb: ephemeral.Take, Key: "x:a"}); second.Found || second.Result != nil {
		t.Errorf("second take found %q", second.Result)
	}
	want(t, s, "x:a", "-")
}

// race runs an op 16 times at once and returns how many callers won. Each call runs it after another op in one Do, so
// that the path for several ops is tested too.
func race(t *testing.T, s ephemeral.Store, op func(i int) *ephemeral.Op) (winners int64) {
	var wg sync.WaitGroup
	var won atomic.Int64
	for i := range 16 {
		wg.Go(func() {
			ops := []*ephemeral.Op{op(i)}
			if i%2 == 1 {
				ops = append(ops, put(fmt.Sprintf("x:other%d", i), "v", time.Minute))
			}
			if err := s.Do(context.Background(), ops...); err != nil {
				t.Error(err)
			}
			if ops[0].Found {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	return won.Load()
}

func takeHasOneWinner(t *testing.T, s ephemeral.Store, unit time.Duration) {
	for range 20 {
		do(t, s, put("x:a", "v", 1000*unit))
		if n := race(t, s, func(int) *ephemeral.Op { return &ephemeral.Op{Verb: ephemeral.Take, Key: "x:a"} }); n != 1 {
			t.Fatalf("%d callers took one value", n)
		}
	}
}

func claimHasOneWinner(t *testing.T, s ephemeral.Store, unit time.Duration) {
	claim := func(i int) *ephemeral.Op {
		return &ephemeral.Op{Verb: ephemeral.Claim, Key: "x:a", Value: fmt.Append(nil, i), TTL: 20 * unit}
	}
	for round := range 3 {
		if n := race(t, s, claim); n != 1 {
			t.Fatalf("round %d: %d callers won one claim", round, n)
		}
		time.Sleep(21 * unit)
	}
}

func swapHasOneWinner(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, put("x:a", "0", 1000*unit))
	for round := range 20 {
		old := fmt.Sprint(round)
		// All write the same value, so only Old can tell them apart; the next round's Old is that value.
		if n := race(t, s, func(int) *ephemeral.Op { return swap("x:a", old, fmt.Sprint(round+1), 1000*unit) }); n != 1 {
			t.Fatalf("%d callers won one swap", n)
		}
	}
	want(t, s, "x:a", "20")
}

func swapNeverRevives(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, put("x:a", "v", 1000*unit), &ephemeral.Op{Verb: ephemeral.Delete, Key: "x:a"})
	for _, key := range []string{"x:a", "x:never"} {
		for _, old := range []string{"v", ""} { // an empty Old must not match a missing entry
			if one(t, s, *swap(key, old, "w", 1000*unit)).Found {
				t.Errorf("swap from %q won on nothing", old)
			}
		}
		want(t, s, key, "-")
	}
	do(t, s, put("x:a", "v", 1000*unit))
	if one(t, s, *swap("x:a", "other", "w", 1000*unit)).Found {
		t.Error("swap won from a value that was not there")
	}
	want(t, s, "x:a", "v")
}

func swapSetsExpiry(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, put("x:a", "v", 20*unit), swap("x:a", "v", "w", 1000*unit))
	do(t, s, put("x:b", "v", 1000*unit), swap("x:b", "v", "w", 20*unit))
	do(t, s, put("x:c", "v", 20*unit), swap("x:c", "other", "w", 1000*unit))
	time.Sleep(21 * unit)
	want(t, s, "x:a", "w")
	want(t, s, "x:b", "-")
	want(t, s, "x:c", "-")
}

func countHasWindow(t *testing.T, s ephemeral.Store, unit time.Duration) {
	count := func() int64 {
		return one(t, s, ephemeral.Op{Verb: ephemeral.Count, Key: "x:n", TTL: 20 * unit}).N
	}
	for i := range int64(3) {
		if n := count(); n != i+1 {
			t.Errorf("count is %d, want %d", n, i+1)
		}
	}
	time.Sleep(12 * unit)
	count() // does not extend the window
	time.Sleep(9 * unit)
	if n := count(); n != 1 {
		t.Errorf("count is %d in a new window", n)
	}
}

func countLosesNothing(t *testing.T, s ephemeral.Store, unit time.Duration) {
	race(t, s, func(int) *ephemeral.Op { return &ephemeral.Op{Verb: ephemeral.Count, Key: "x:n", TTL: 1000 * unit} })
	if op := one(t, s, ephemeral.Op{Verb: ephemeral.Count, Key: "x:n", TTL: 1000 * unit}); op.N != 17 {
		t.Errorf("the seventeenth count is %d", op.N)
	}
}

func add(member string, ttl time.Duration) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Add, Key: "i:u", Member: member, TTL: ttl}
}

func members(t *testing.T, s ephemeral.Store, want ...string) {
	t.Helper()
	got := one(t, s, ephemeral.Op{Verb: ephemeral.Members, Key: "i:u"}).Members
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("members (-want +got):\n%s", diff)
	}
}

func membersExpire(t *testing.T, s ephemeral.Store, unit time.Duration) {
	members(t, s)
	// The longest-lived member comes first: the index as a whole must outlive the later, shorter ones.
	do(t, s, add("c", 1000*unit), add("b", 40*unit), add("a", 20*unit))
	members(t, s, "a", "b", "c")
	time.Sleep(21 * unit)
	if diff := cmp.Diff([]string{"b", "c", "d"}, one(t, s, *add("d", 2000*unit)).Members); diff != "" {
		t.Errorf("members after adding one (-want +got):\n%s", diff)
	}
	do(t, s, &ephemeral.Op{Verb: ephemeral.Remove, Key: "i:u", Member: "d"})
	members(t, s, "b", "c")
	time.Sleep(20 * unit)
	members(t, s, "c")
}

func membersChange(t *testing.T, s ephemeral.Store, unit time.Duration) {
	do(t, s, add("a", 10*unit), add("b", 1000*unit), add("c", 2000*unit))
	do(t, s, add("a", 3000*unit), &ephemeral.Op{Verb: ephemeral.Remove, Key: "i:u", Member: "b"})
	time.Sleep(11 * unit)
	members(t, s, "c", "a")
	do(t, s, &ephemeral.Op{Verb: ephemeral.Remove, Key: "i:u", Member: "b"}) // repeating it does no harm
	do(t, s, add("a", unit), &ephemeral.Op{Verb: ephemeral.Remove, Key: "i:u", Member: "c"})
	time.Sleep(2 * unit)
	members(t, s)
}

func opsRunInOrder(t *testing.T, s ephemeral.Store, unit time.Duration) {
	ttl := 1000 * unit
	ops := []*ephemeral.Op{
		put("x:a", "1", ttl),
		{Verb: ephemeral.Get, Key: "x:a"},
		swap("x:a", "1", "2", ttl),
		{Verb: ephemeral.Take, Key: "x:a"},
		{Verb: ephemeral.Claim, Key: "x:a", Value: []byte("3"), TTL: ttl},
		{Verb: ephemeral.Claim, Key: "x:a", Value: []byte("4"), TTL: ttl},
		{Verb: ephemeral.Count, Key: "x:n", TTL: ttl},
		add("m", ttl),
		{Verb: ephemeral.Members, Key: "i:u"},
		{Verb: ephemeral.Remove, Key: "i:u", Member: "m"},
		{Verb: ephemeral.Members, Key: "i:u"},
		{Verb: ephemeral.Count, Key: "x:n", TTL: ttl},
		{Verb: ephemeral.Delete, Key: "x:a"},
		{Verb: ephemeral.Delete, Key: "x:a"},
		{Verb: ephemeral.Get, Key: "x:a"},
	}
	before := s.RoundTrips()
	do(t, s, ops...)
	if n := s.RoundTrips() - before; n != 1 {
		t.Errorf("%d round trips", n)
	}
	var got []string
	for _, op := range ops {
		got = append(got, fmt.Sprint(op.Found, " ", string(op.Result), " ", op.N, " ", op.Members))
	}
	if diff := cmp.Diff([]string{
		"false  0 []", "true 1 0 []", "true  0 []", "true 2 0 []", "true  0 []", "false  0 []", "false  1 []", "false  0 [m]",
		"false  0 [m]", "false  0 []", "false  0 []", "false  2 []", "true  0 []", "false  0 []", "false  0 []",
	}, got); diff != "" {
		t.Errorf("results (-want +got):\n%s", diff)
	}
	do(t, s) // no ops, no round trip
	if n := s.RoundTrips() - before; n != 1 {
		t.Errorf("%d round trips after doing nothing", n)
	}
}

func opsAreReusable(t *testing.T, s ephemeral.Store, unit time.Duration) {
	take := &ephemeral.Op{Verb: ephemeral.Take, Key: "x:a"}
	do(t, s, put("x:a", "v", 1000*unit), take)
	do(t, s, take)
	if take.Found || take.Result != nil {
		t.Error("the second use of an op shows the result of the first")
	}
}

func badOpsAreRefused(t *testing.T, s ephemeral.Store, unit time.Duration) {
	long := strings.Repeat("k", ephemeral.MaxKey+1)
	for name, bad := range map[string]*ephemeral.Op{
		"key":    {Verb: ephemeral.Get, Key: long},
		"member": {Verb: ephemeral.Remove, Key: "i:u", Member: long},
		"value":  {Verb: ephemeral.Put, Key: "x:a", Value: make([]byte, ephemeral.MaxValue+1), TTL: unit},
	} {
		if err := s.Do(t.Context(), put("x:first", "v", 1000*unit), bad); !errors.Is(err, ephemeral.ErrTooLarge) {
			t.Errorf("oversized %s: %v", name, err)
		}
	}
	for name, bad := range map[string]*ephemeral.Op{
		"no key":       {Verb: ephemeral.Get},
		"no ttl":       {Verb: ephemeral.Put, Key: "x:a"},
		"negative ttl": {Verb: ephemeral.Count, Key: "x:a", TTL: -unit},
		"no verb":      {Verb: 99, Key: "x:a"},
	} {
		err := s.Do(t.Context(), put("x:first", "v", 1000*unit), bad)
		if err == nil || errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("%s: %v", name, err)
		}
	}
	want(t, s, "x:first", "-")
}

type counter struct{ N int }

func usedGrows(t *testing.T, s ephemeral.Store, _ time.Duration) {
	before, _, err := s.Used(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range 40 {
		do(t, s, put(fmt.Sprintf("large%d:x", i), strings.Repeat("x", 50<<10), time.Minute))
	}
	after, most, err := s.Used(t.Context())
	// Twice, if the server keeps for its replicas what was written last.
	if err != nil || after-before < 2_000_000 || after-before > 5_000_000 || most < 0 {
		t.Errorf("%d bytes before, %d after 2,048,000 more, %d allowed, %v", before, after, most, err)
	}
}

func cancelledIsUnavailable(t *testing.T, s ephemeral.Store, unit time.Duration) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for range 20 { // a store that checks ctx and its lock at once would choose either
		err := s.Do(ctx, put("x:a", "v", 1000*unit))
		if !errors.Is(err, idp.ErrUnavailable) || !errors.Is(err, context.Canceled) {
			t.Fatalf("cancelled: %v", err)
		}
	}
	want(t, s, "x:a", "-")
}

func closedIsUnavailable(t *testing.T, s ephemeral.Store, unit time.Duration) {
	if err := s.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"ping":  s.Ping(t.Context()),
		"put":   s.Do(t.Context(), put("x:a", "v", unit)),
		"count": s.Do(t.Context(), &ephemeral.Op{Verb: ephemeral.Count, Key: "x:n", TTL: unit}),
		"both":  s.Do(t.Context(), put("x:a", "v", unit), put("x:b", "v", unit)),
	} {
		if !errors.Is(err, idp.ErrUnavailable) {
			t.Errorf("%s on a closed store: %v", name, err)
		}
	}
}
