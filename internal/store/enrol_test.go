package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestAUserAndTheFirstPasskeyAreStoredTogetherOrNotAtAll(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().Truncate(time.Millisecond)
		enrol := func(email string, credential byte) (idp.User, error) {
			u := idp.NewUser(email, "A", now)
			k := idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte{credential}, CreatedAt: now}
			return u, db.EnrolUser(t.Context(), u, k, idp.NewEvent(idp.EventUserCreated, u.ID, now))
		}
		ada, err := enrol("ada@example.com", 1)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := enrol("ada@example.com", 2); !errors.Is(err, idp.ErrConflict) {
			t.Errorf("address taken: %v, want ErrConflict", err)
		}
		bob, err := enrol("bob@example.com", 1)
		if !errors.Is(err, idp.ErrConflict) {
			t.Errorf("credential known: %v, want ErrConflict", err)
		}
		if _, err := db.UserByID(t.Context(), bob.ID); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("half an account was left behind: %v", err)
		}
		events, err := db.Events(t.Context(), "", 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(events) != 1 || events[0].UserID != ada.ID {
			t.Errorf("events %v, want only the one of the successful enrolment", events)
		}
	})
}

func TestSavingAProfileDoesNotUndoWhatAnAdminDidMeanwhile(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		now := time.Now().Truncate(time.Millisecond)
		u := idp.NewUser("ada@example.com", "Ada", now)
		if err := db.CreateUser(t.Context(), u); err != nil {
			t.Fatal(err)
		}
		if err := db.UpdateProfile(t.Context(), u.ID, "Ada L", idp.Profile{Nickname: "al"}, now.Add(time.Second)); err != nil {
			t.Fatal(err)
		}
		got, err := db.UserByID(t.Context(), u.ID)
		if err != nil {
			t.Fatal(err)
		}
		want := u
		want.Name, want.Profile, want.UpdatedAt = "Ada L", idp.Profile{Nickname: "al"}, now.Add(time.Second)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		got.DisabledAt = now
		if err := db.UpdateUser(t.Context(), got); err != nil {
			t.Fatal(err)
		}
		if err := db.UpdateProfile(t.Context(), u.ID, "Ada", idp.Profile{}, now); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("disabled user: %v, want ErrNotFound", err)
		}
	})
}
