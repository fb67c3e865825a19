package ephemeraltest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/compact"
	"github.com/stepward/stepward/internal/idp"
)

func updateRetries(t *testing.T, s ephemeral.Store, unit time.Duration) {
	b := ephemeral.NewBucket[counter](s, "x", 1000*unit)
	if err := b.Put(t.Context(), "a", counter{}); err != nil {
		t.Fatal(err)
	}
	runs := 0
	got, err := b.Update(t.Context(), "a", 0, func(c *counter) error {
		if runs++; runs <= 3 { // a concurrent change
			do(t, s, put("x:a", fmt.Sprintf(`{"N":%d}`, 10*runs), 1000*unit))
		}
		c.N++
		return nil
	})
	if err != nil || got.N != 31 || runs != 4 {
		t.Errorf("update: %+v after %d runs, %v", got, runs, err)
	}
	if stored, err := b.Get(t.Context(), "a"); err != nil || stored != got {
		t.Errorf("stored is %+v, %v", stored, err)
	}

	_, err = b.Update(t.Context(), "a", 0, func(c *counter) error {
		runs++
		do(t, s, put("x:a", fmt.Sprintf(`{"N":%d}`, runs), 1000*unit))
		return nil
	})
	if !errors.Is(err, idp.ErrConflict) {
		t.Errorf("update that always loses: %v", err)
	}
	stop := errors.New("stop")
	if _, err := b.Update(t.Context(), "a", 0, func(*counter) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("update that refuses: %v", err)
	}
}

func updateFindsNothing(t *testing.T, s ephemeral.Store, unit time.Duration) {
	b := ephemeral.NewBucket[counter](s, "x", 1000*unit)
	if _, err := b.Update(t.Context(), "a", 0, func(*counter) error { return nil }); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("update of nothing: %v", err)
	}
	if err := b.Put(t.Context(), "a", counter{}); err != nil {
		t.Fatal(err)
	}
	_, err := b.Update(t.Context(), "a", 0, func(*counter) error { return b.Delete(t.Context(), "a") })
	if !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("update of what is deleted meanwhile: %v", err)
	}
	want(t, s, "x:a", "-")
}

func unreadableIsNotFound(t *testing.T, s ephemeral.Store, unit time.Duration) {
	b := ephemeral.NewBucket[counter](s, "x", 1000*unit)
	for _, value := range []string{"", "{", `{"N":"text"}`, "\x00"} {
		do(t, s, put("x:a", value, 1000*unit))
		if c, err := b.Get(t.Context(), "a"); !errors.Is(err, idp.ErrNotFound) || c != (counter{}) {
			t.Errorf("%q is read as %+v, %v", value, c, err)
		}
	}
}

func compactWaits(t *testing.T, s ephemeral.Store, unit time.Duration) {
	fields := func(c *compact.Codec, v *counter) { n := int64(v.N); c.Int(&n); v.N = int(n) }
	b, older := ephemeral.NewCompactBucket(s, "x", 1000*unit, fields), ephemeral.NewBucket[counter](s, "x", 1000*unit)
	written := func(want string, readable bool) {
		t.Helper()
		if err := b.Put(t.Context(), "a", counter{7}); err != nil {
			t.Fatal(err)
		}
		if raw := one(t, s, ephemeral.Op{Verb: ephemeral.Get, Key: "x:a"}).Result; string(raw) != want {
			t.Errorf("written as %q, want %q", raw, want)
		}
		if _, err := older.Get(t.Context(), "a"); (err == nil) != readable {
			t.Errorf("%q, for the older program: %v", want, err)
		}
	}
	compacted := "\x01\x0e"
	written(compacted, false)
	s.WriteCompactFrom(time.Now().Add(time.Hour))
	written(`{"N":7}`, true)
	if c, err := b.Update(t.Context(), "a", 0, func(c *counter) error { c.N++; return nil }); err != nil || c.N != 8 {
		t.Errorf("the older form is updated to %+v, %v", c, err)
	}
	s.WriteCompactFrom(time.Now().Add(-time.Second))
	if c, err := b.Get(t.Context(), "a"); err != nil || c.N != 8 {
		t.Errorf("the older form is read as %+v, %v", c, err)
	}
	written(compacted, false)
	do(t, s, put("x:a", "\x01\xff", 1000*unit))
	if c, err := b.Get(t.Context(), "a"); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("damaged: %+v, %v", c, err)
	}
}
