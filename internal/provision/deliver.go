package provision

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/provisioning"
)

const (
	pause      = 5 * time.Second // between looks into the outbox
	heldFor    = 2 * time.Minute // longer than any user takes; then another replica goes on
	atOnce     = 8               // applications that one replica sends to at a time
	tasksAsked = 20              // between two renewals of the hold
	longest    = 50              // times so many tasks, in one turn
	turn       = 30 * time.Second
	pageSize   = 200 // users in one look
	lookEvery  = 24 * time.Hour
)

// Backoff is the wait after the first, second, … failure of an application; the last value repeats. RefusedBackoff is
// the same for one user whom an application refuses. An application that has failed for Patience is paused.
var (
	Backoff        = []time.Duration{15 * time.Second, time.Minute, 5 * time.Minute, 15 * time.Minute, time.Hour}
	RefusedBackoff = []time.Duration{time.Minute, 15 * time.Minute, time.Hour, 6 * time.Hour}
)

// Patience is described at Backoff.
const Patience = 3 * 24 * time.Hour

// Deliver sends what waits until ctx ends. It runs on every replica: the store gives each application to one at a time.
// An application that answers slowly keeps nobody waiting: each goes on by itself, and gives up its place after a turn.
func (s *Service) Deliver(ctx context.Context) {
	var wg sync.WaitGroup
	defer wg.Wait()
	tick := time.NewTicker(pause)
	defer tick.Stop()
	holder := idp.NewID()
	report := func(err error) {
		if err != nil && ctx.Err() == nil && !errors.Is(err, idp.ErrUnavailable) {
			s.cfg.Logger.WarnContext(ctx, "provisioning", "error", err)
		}
	}
	for {
		report(s.begin(ctx, holder, &wg, report))
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// Round sends what is due now, for a holder that no other replica has, and returns when that is done.
func (s *Service) Round(ctx context.Context, holder string) error {
	var wg sync.WaitGroup
	var mu sync.Mutex
	var all []error
	err := s.begin(ctx, holder, &wg, func(err error) {
		mu.Lock()
		defer mu.Unlock()
		all = append(all, err)
	})
	wg.Wait()
	return errors.Join(append(all, err)...)
}

// begin starts a turn of each application that is due and has none, and tells report how it ended.
func (s *Service) begin(ctx context.Context, holder string, wg *sync.WaitGroup, report func(error)) error {
	targets, err := s.records.Targets(ctx)
	if err != nil {
		return err
	}
	for _, t := range targets {
		if t.Paused() || t.RetryAt.After(time.Now()) || !s.turns.take(t.ClientID) {
			continue
		}
		wg.Go(func() {
			defer s.turns.end(t.ClientID)
			select {
			case s.turns.places <- struct{}{}: // in the order of asking
			case <-ctx.Done():
				return
			}
			defer func() { <-s.turns.places }()
			if err := s.serve(ctx, t.ClientID, holder); err != nil {
				report(fmt.Errorf("client %s: %w", t.ClientID, err))
			}
		})
	}
	return nil
}

// turns are the applications that this replica sends to, or that wait for a place.
type turns struct {
	places chan struct{}
	mu     sync.Mutex
	taken  map[string]bool
}

func newTurns() *turns { return &turns{places: make(chan struct{}, atOnce), taken: map[string]bool{}} }

// take begins a turn; false if it has one.
func (t *turns) take(clientID string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.taken[clientID] {
		return false
	}
	t.taken[clientID] = true
	return true
}

func (t *turns) end(clientID string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.taken, clientID)
}

// serve sends what is due to one application, unless another replica does.
func (s *Service) serve(ctx context.Context, clientID, holder string) error {
	held, err := s.records.Take(ctx, clientID, holder, time.Now(), heldFor)
	if err != nil || !held {
		return err
	}
	defer func() { _ = s.records.Leave(context.WithoutCancel(ctx), clientID, holder) }() // or the hold expires
	t, err := s.records.Target(ctx, clientID)
	if err != nil {
		return err
	}
	c, err := s.cfg.Operations.DB().StoredClient(ctx, clientID)
	if err != nil || !c.DisabledAt.IsZero() {
		return err
	}
	d, err := s.delivery(t, c)
	if err != nil {
		return err
	}
	err = d.run(ctx, func() (bool, error) { return s.records.Take(ctx, clientID, holder, time.Now(), heldFor) })
	if d.remote.took || err == nil && t.Failures > 0 {
		t.Failures, t.FailingSince = 0, time.Time{}
		// The application has it, even if the server is stopping.
		if err := s.records.Succeeded(context.WithoutCancel(ctx), clientID, time.Now()); err != nil {
			return err
		}
	}
	if failure, ok := errors.AsType[*failed](err); ok {
		return s.failed(ctx, t, failure.error)
	}
	return err
}

// failed notes that an application cannot be reached, and pauses one that has failed for too long.
func (s *Service) failed(ctx context.Context, t provisioning.Target, failure error) error {
	if ctx.Err() != nil {
		return nil // the server is stopping; not the application's fault
	}
	now := time.Now()
	next := now.Add(Backoff[min(t.Failures, len(Backoff)-1)])
	if r, ok := errors.AsType[*refusal](failure); ok && r.after > 0 {
		next = now.Add(r.after)
	}
	s.cfg.Logger.WarnContext(ctx, "people not sent to an application", "client", t.ClientID, "attempt", t.Failures+1,
		"error", failure.Error())
	err := s.records.Failed(ctx, t.ClientID, failure.Error(), now, next)
	if err != nil || t.FailingSince.IsZero() || now.Sub(t.FailingSince) < Patience {
		return err
	}
	ev := idp.NewEvent(idp.EventProvisionPaused, "", now)
	ev.ClientID = t.ClientID
	ev.Detail = map[string]string{"by": provisioning.ByFailures, "last_error": failure.Error()}
	err = s.records.Pause(ctx, t.ClientID, provisioning.ByFailures, now, ev)
	if errors.Is(err, idp.ErrNotFound) {
		return nil // paused meanwhile
	}
	return err
}

// A failed is an error of the application as a whole; others are of our own.
type failed struct{ error }

// Unwrap has errors.AsType find the refusal.
func (f *failed) Unwrap() error { return f.error }

// A delivery sends to one application.
type delivery struct {
	*Service
	target provisioning.Target
	client idp.Client
	remote *remote
	groups map[string]provisioning.Group // that the application has, by ID
}

func (s *Service) delivery(t provisioning.Target, c idp.Client) (*delivery, error) {
	token, err := s.wrapper.Open(t.Token, sealContext(t.ClientID))
	if err != nil {
		return nil, fmt.Errorf("open token: %w", err)
	}
	return &delivery{
		Service: s, target: t, client: c, groups: map[string]provisioning.Group{},
		remote: &remote{out: s.cfg.Outbound, base: t.Settings.BaseURL, token: string(token)},
	}, nil
}

// run looks at everybody if that is due, and then sends who waits. hold renews the hold.
func (d *delivery) run(ctx context.Context, hold func() (bool, error)) error {
	known, err := d.records.Groups(ctx, d.target.ClientID)
	if err != nil {
		return err
	}
	for _, g := range known {
		d.groups[g.ID] = g
	}
	if d.target.Swept < d.target.Wanted || time.Since(d.target.SweptAt) > lookEvery {
		if err := d.look(ctx, hold); err != nil {
			return err
		}
	}
	begin := time.Now()
	for range longest {
		tasks, err := d.records.Due(ctx, d.target.ClientID, time.Now(), tasksAsked)
		if err != nil || len(tasks) == 0 {
			return err
		}
		for _, t := range tasks {
			if held, err := hold(); err != nil || !held {
				return err
			}
			if err := d.task(ctx, t); err != nil || time.Since(begin) > d.cfg.Turn {
				return err
			}
		}
	}
	return nil
}

// look brings the groups up to date, and enqueues everybody who differs from what the application has.
func (d *delivery) look(ctx context.Context, hold func() (bool, error)) error {
	if err := d.syncGroups(ctx); err != nil {
		return err
	}
	for after := ""; ; {
		if held, err := hold(); err != nil || !held {
			return err
		}
		people, err := d.records.People(ctx, d.target.ClientID, after, pageSize)
		if err != nil {
			return err
		}
		var differing []string
		for _, p := range people {
			if d.plan(p).action != Nothing {
				differing = append(differing, p.User.ID)
			}
		}
		if err := d.records.Enqueue(ctx, d.target.ClientID, differing, time.Now()); err != nil {
			return err
		}
		if len(people) < pageSize {
			return d.records.Swept(ctx, d.target.ClientID, d.target.Wanted, time.Now())
		}
		after = people[len(people)-1].User.ID
	}
}

// task sends one user, and notes how that ended.
func (d *delivery) task(ctx context.Context, t provisioning.Task) error {
	p, err := d.records.Person(ctx, t.ClientID, t.UserID)
	if err != nil {
		return err
	}
	err = d.send(ctx, p)
	_, whole := errors.AsType[*failed](err)
	switch {
	case err != nil && (whole || !isRemote(err) || ctx.Err() != nil):
		return err
	case err != nil && !concerns(err):
		return &failed{err}
	case err != nil:
		d.cfg.Logger.WarnContext(ctx, "person not sent to an application", "client", t.ClientID, "user", t.UserID,
			"attempt", t.Attempts+1, "error", err.Error())
		next := time.Now().Add(RefusedBackoff[min(t.Attempts, len(RefusedBackoff)-1)])
		return d.records.Postpone(ctx, t, err.Error(), next)
	}
	return d.records.Finish(context.WithoutCancel(ctx), t) // the application has it, even if the server is stopping
}
