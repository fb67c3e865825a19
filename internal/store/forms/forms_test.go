package forms_test

import (
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/forms"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestOlderReplicasGetADay(t *testing.T) {
	from := func(db *store.DB) time.Time {
		t.Helper()
		at, err := forms.CompactFrom(t.Context(), db)
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	empty, used := storetest.Open(t), storetest.Open(t)
	if at := from(empty); time.Now().Before(at) {
		t.Errorf("a new installation waits until %v", at)
	}
	addUser(t, empty)
	if at := from(empty); time.Now().Before(at) {
		t.Errorf("the same later: %v", at)
	}
	addUser(t, used)
	before := time.Now()
	at := from(used)
	if at.Before(before.Add(forms.Beside-time.Minute)) || at.After(time.Now().Add(forms.Beside+time.Minute)) {
		t.Errorf("an installation with users waits until %v", at)
	}
	if again := from(used); !again.Equal(at) {
		t.Errorf("the next replica waits until %v, not %v", again, at)
	}
}

func addUser(t *testing.T, db *store.DB) {
	t.Helper()
	now := time.Now()
	u := idp.User{
		ID: idp.NewID(), Handle: []byte(idp.NewSecret()), Email: "ada@example.com", Name: "Ada", Role: directory.RoleUser,
		CreatedAt: now, UpdatedAt: now,
	}
	if err := db.CreateUser(t.Context(), u); err != nil {
		t.Fatal(err)
	}
}
