package admin_test

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
)

// client adds a client with a secret.
func (h *house) client(id string) idp.Client {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond).UTC()
	c := idp.Client{
		ID: id, Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, CreatedAt: now, UpdatedAt: now,
		RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode},
		Scopes: []string{"openid"},
	}
	c.AddSecret(now)
	h.must(h.Clients.Add(h.ctx, admin.Operator(), c))
	return c
}

func TestASecretIsRotatedWithoutAnOutage(t *testing.T) {
	h, op := open(t), admin.Operator()
	c := h.client("app")
	old := c.Secrets[0].ID
	secret, added, err := h.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{Name: " next\u202e ", ExpiresAt: time.Now().Add(time.Hour)}, time.Time{})
	h.must(err)
	is, err := h.Clients.Get(h.ctx, op, c.ID)
	h.must(err)
	if id, ok := is.MatchSecret(secret, time.Now()); !ok || id != added.ID || len(is.Secrets) != 2 || is.Secrets[0].ID != old || added.Name == "" {
		t.Errorf("secrets %+v, added %+v", is.Secrets, added)
	}
	if id, ok := is.MatchSecret(secret, time.Now().Add(time.Hour)); ok {
		t.Errorf("the expired secret %s still matches", id)
	}
	h.must(h.Clients.RemoveSecret(h.ctx, op, c.ID, old, time.Time{}))
	_, faulty := errors.AsType[directory.Faults](h.Clients.RemoveSecret(h.ctx, op, c.ID, added.ID, time.Time{}))
	if !faulty {
		t.Error("the only secret of a client was removed")
	}
	if err := h.Clients.RemoveSecret(h.ctx, op, c.ID, old, time.Time{}); !errors.Is(err, idp.ErrNotFound) {
		t.Errorf("a secret was removed twice: %v", err)
	}
	at := time.Now().Add(time.Minute).Truncate(time.Millisecond)
	changed, err := h.Clients.ExpireSecret(h.ctx, op, c.ID, added.ID, at, time.Time{})
	if err != nil || !changed.ExpiresAt.Equal(at) {
		t.Errorf("expires %v, %v", changed.ExpiresAt, err)
	}
	events, err := h.db.Events(h.ctx, "", 100)
	h.must(err)
	var changes []string
	for _, e := range events {
		if e.Kind == idp.EventClientChanged && e.ClientID == c.ID {
			changes = append(changes, e.Detail["change"]+" "+e.Detail["secret"])
		}
	}
	if want := []string{"added " + added.ID, "removed " + old, "expiry " + added.ID}; !slices.Equal(changes, want) {
		t.Errorf("events %q, want %q", changes, want)
	}
}

func TestSecretsOfAClientAreBounded(t *testing.T) {
	h, op := open(t), admin.Operator()
	c := h.client("app")
	_, faulty := errors.AsType[directory.Faults](second(h.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{ExpiresAt: time.Now().Add(-time.Hour)}, time.Time{})))
	if !faulty {
		t.Error("a secret was added that has expired")
	}
	for range admin.MaxSecrets - 1 {
		_, _, err := h.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{}, time.Time{})
		h.must(err)
	}
	if _, faulty := errors.AsType[directory.Faults](second(h.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{}, time.Time{}))); !faulty {
		t.Errorf("a client has more than %d secrets", admin.MaxSecrets)
	}
	// An expired one makes room.
	_, err := h.Clients.ExpireSecret(h.ctx, op, c.ID, c.Secrets[0].ID, time.Now().Add(-time.Second), time.Time{})
	h.must(err)
	_, _, err = h.Clients.AddSecret(h.ctx, op, c.ID, admin.NewSecret{}, time.Time{})
	h.must(err)
	if err := second(h.Clients.AddSecret(h.ctx, h.as(directory.RoleSupport), c.ID, admin.NewSecret{}, time.Time{})); err == nil {
		t.Error("the role support added a secret")
	}
}

func second[A, B any](_ A, _ B, err error) error { return err }

func TestOfTwoEditsOfAClientAtOnceOneIsStale(t *testing.T) {
	h, op := open(t), admin.Operator()
	h.client("app")
	was, err := h.Clients.Get(h.ctx, op, "app")
	h.must(err)
	names := []string{"One", "Two", "Three", "Four"}
	errs := make([]error, len(names))
	var wg sync.WaitGroup
	begin := make(chan struct{})
	for i, name := range names {
		wg.Go(func() {
			<-begin
			c := was
			c.Name = name
			_, errs[i] = h.Clients.Change(h.ctx, op, "app", c, was.UpdatedAt)
		})
	}
	close(begin)
	wg.Wait()
	is, err := h.Clients.Get(h.ctx, op, "app")
	h.must(err)
	won := 0
	for i, err := range errs {
		switch {
		case err == nil:
			won++
			if is.Name != names[i] {
				t.Errorf("the edit to %s succeeded, but the name is %s", names[i], is.Name)
			}
		case !errors.Is(err, admin.ErrStale):
			t.Error(err)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d edits of one version succeeded", won, len(names))
	}
}

func TestTwoClientsCannotBeAddedWithOneID(t *testing.T) {
	h := open(t)
	c := h.client("app")
	c.Name = "Another"
	err := h.Clients.Add(h.ctx, admin.Operator(), c)
	faults, ok := errors.AsType[directory.Faults](err)
	is, _ := h.Clients.Get(h.ctx, admin.Operator(), "app")
	if !ok || faults[0].Field != "client_id" || is.Name != "App" {
		t.Errorf("%v, name %s", err, is.Name)
	}
}

func TestTheEventOfAChangedClientNamesTheFields(t *testing.T) {
	h := open(t)
	c := h.client("app")
	c.Name, c.LogoURI, c.Contacts = "New", "https://app.example/logo.png", []string{"help@app.example"}
	by := admin.Actor{Channel: admin.ChannelAPI, ClientID: "robot", Role: directory.RoleAdmin}
	_, err := h.Clients.Change(h.ctx, by, "app", c, time.Time{})
	h.must(err)
	events, err := h.db.Events(h.ctx, "", 100)
	h.must(err)
	last := events[len(events)-1]
	if got := last.Detail["fields"]; got != "client_name contacts logo_uri" || last.Detail["through"] != "robot" || last.ClientID != "app" {
		t.Errorf("fields %q of %+v", got, last)
	}
	if strings.Contains(last.Detail["fields"], "secret") {
		t.Error("the event names secrets that did not change")
	}
}
