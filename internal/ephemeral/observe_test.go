package ephemeral_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
)

func TestAnObserverLearnsVerbsAndNoKeys(t *testing.T) {
	var asked []string
	var failed []error
	store := ephemeral.Observe(ephemeraltest.Open(t), func(ctx context.Context, operation string) (context.Context, func(error)) {
		asked = append(asked, operation)
		return ctx, func(err error) { failed = append(failed, err) }
	})
	put := func() *ephemeral.Op {
		return &ephemeral.Op{Verb: ephemeral.Put, Key: "secret:1", Value: []byte("secret"), TTL: time.Minute}
	}
	get := func() *ephemeral.Op { return &ephemeral.Op{Verb: ephemeral.Get, Key: "secret:1"} }
	var many []*ephemeral.Op
	for range 50 {
		many = append(many, put(), get())
	}
	for _, ops := range [][]*ephemeral.Op{{put()}, {put(), put(), get()}, many, {}} {
		if err := store.Do(t.Context(), ops...); err != nil {
			t.Fatal(err)
		}
	}
	if want := []string{"put", "put, get", "put, get, put, get, put, get, …"}; !slices.Equal(asked, want) {
		t.Errorf("asked %q, want %q", asked, want)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Do(t.Context(), get()); !errors.Is(err, idp.ErrUnavailable) || !errors.Is(failed[3], idp.ErrUnavailable) {
		t.Errorf("closed: %v, observed %v", err, failed)
	}
}
