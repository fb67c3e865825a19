package storetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"time"
)

// Run is the suite that every engine passes; open returns a fresh, migrated store.
func Run(t *testing.T, open func(testing.TB) *store.DB) {
	db := open(t)
	now := time.Now().Truncate(time.Millisecond).UTC()
	u := idp.NewUser("a@x.org", "A", now)
	start := time.Now()
	if err := db.CreateUser(t.Context(), u, idp.NewEvent(idp.EventUserCreated, u.ID, now)); err != nil {
		t.Fatal(err)
	}
	got, err := db.UserByID(t.Context(), u.ID)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(u, got); d != "" {
		t.Fatal(d)
	}
	t.Log(time.Since(start))
}
