package provision_test

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/provision"
)

// A pace is how an application answers that takes its time, until the test lets it go.
type pace struct {
	begun   chan struct{}
	asked   atomic.Int64
	release func()
}

// slow makes an application take this long for each answer.
func (s *receiver) slow(takes time.Duration) *pace {
	free := make(chan struct{})
	p := &pace{begun: make(chan struct{}), release: sync.OnceFunc(func() { close(free) })}
	s.fault = func(http.ResponseWriter, *http.Request) bool {
		if p.asked.Add(1) == 1 {
			close(p.begun)
		}
		select {
		case <-free:
		case <-time.After(takes):
		}
		return false
	}
	s.T.Cleanup(p.release)
	return p
}

// adds registers another application and has people sent to it.
func (h *house) adds(id string, app *receiver) {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	h.must(h.ops.Clients.Add(h.Context(), operator, idp.Client{
		ID: id, Name: id, Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, CreatedAt: now, UpdatedAt: now,
		GrantTypes: []string{idp.GrantAuthorizationCode}, RedirectURIs: []string{"https://app.example.com/cb"}, Scopes: []string{"openid"},
	}))
	_, err := h.sends.Set(h.Context(), operator, id, provision.Input{BaseURL: app.base(), Token: token}, time.Time{})
	h.must(err)
}

// delivers runs Deliver until the test ends.
func (h *house) delivers(sends *provision.Service) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); sends.Deliver(ctx) }()
	h.Cleanup(func() { cancel(); <-done })
}

// gets waits until an application has somebody.
func (s *receiver) gets(email string) {
	s.Helper()
	for deadline := time.Now().Add(time.Minute); s.named(email) == nil; time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.Fatalf("%s has not arrived", email)
		}
	}
}

const crowd = 9 // an ID of the receiver has one digit

// An application may take its time for everybody. The others do not wait until it has everything.
func TestASlowApplicationDoesNotHoldTheOthers(t *testing.T) {
	t.Parallel()
	slow, quick := newReceiver(t), newReceiver(t)
	h := open(t, slow.Server, near)
	for i := range crowd {
		h.user(fmt.Sprintf("user%d@example.com", i))
	}
	p := slow.slow(4 * time.Second)
	h.set(provision.Input{BaseURL: slow.base()})
	h.adds("quick", quick)
	h.delivers(h.sends)
	<-p.begun
	quick.gets("user8@example.com")
	h.user("late@example.com")
	quick.gets("late@example.com")
	if n := p.asked.Load(); n >= crowd {
		t.Errorf("the other application waited until the slow one had answered %d times", n)
	}
	p.release()
	slow.gets("late@example.com") // and nobody is lost
}

// Slow applications do not keep the places of those that wait.
func TestApplicationsTakeTurns(t *testing.T) {
	t.Parallel()
	quick := newReceiver(t)
	h := open(t, quick.Server, near)
	for i := range crowd {
		h.user(fmt.Sprintf("user%d@example.com", i))
	}
	var all []*pace
	for i := range 8 { // as many as there are places
		slow := newReceiver(t)
		all = append(all, slow.slow(2*time.Second))
		h.adds(fmt.Sprintf("slow%d", i), slow)
	}
	h.delivers(h.impatient(10 * time.Millisecond))
	for _, p := range all {
		<-p.begun
	}
	next := quick.slow(0)
	h.set(provision.Input{BaseURL: quick.base()})
	<-next.begun
	for _, p := range all {
		if n := p.asked.Load(); n >= crowd {
			t.Errorf("a slow application kept its place until it had answered %d times", n)
		}
		p.release()
	}
}
