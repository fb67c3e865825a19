package server

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/policies"
)

// policyEvery is how often a replica looks for another version of the policy. A change counts everywhere within 5
// seconds (docs/operate.md): this, the question, and the new wiring.
const policyEvery = 2 * time.Second

// policyWatch is what a replica remembers between two looks.
type policyWatch struct {
	mu      sync.Mutex
	refused int64 // the version that this replica could not take over; it is logged once
}

// followPolicy takes over each new version of the policy until ctx ends. No request pays for it.
func (s *Server) followPolicy(ctx context.Context) {
	tick := time.NewTicker(policyEvery)
	defer tick.Stop()
	for {
		// An unavailable store is logged once, by the store. The policy that counted last goes on.
		if err := s.RenewPolicy(ctx); err != nil && ctx.Err() == nil && !errors.Is(err, idp.ErrUnavailable) {
			s.log.Error("look for a new policy", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// RenewPolicy takes over the newest version of the policy at once, for the replica that has changed it. A version that
// this program does not understand, because a newer one wrote it or its own settings contradict it, does not count
// here: the one before goes on, and the log says why.
func (s *Server) RenewPolicy(ctx context.Context) error {
	s.policy.mu.Lock()
	defer s.policy.mu.Unlock()
	v, changed, err := policies.New(s.DB).Newer(ctx, s.PolicyVersion())
	if err != nil || !changed || v.Number == s.policy.refused {
		return err
	}
	cfg, err := v.Over(s.Config)
	if err == nil {
		err = s.take(cfg)
	}
	if err != nil {
		s.policy.refused = v.Number
		s.log.Error("policy not taken over", "version", v.Number, "current", s.PolicyVersion(), "error", err)
		return nil
	}
	s.policy.refused = 0
	s.log.Info("policy taken over", "version", v.Number)
	return nil
}

// PolicyVersion returns the version of the policy that new requests are answered with; 0: none is stored.
func (s *Server) PolicyVersion() int64 { return s.current.Load().cfg.Policy.Version }
