package server

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

const (
	// checkTime is the time limit for checking a store. A balancer that asks every second and waits one second for an
	// answer would take this replica out, and with a silent store all other replicas too.
	checkTime = 700 * time.Millisecond
	checkHold = time.Second // how long a result is cached, because anybody may ask
)

// healthz answers while the process runs.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz reports whether a balancer should send requests here. It returns 503 only for a problem that another replica
// would not have. A store that is down is not such a problem, because replicas share it: much still works without it,
// and the rest gets our own error page. Then the status is degraded, and only ?stores=required returns 503, for a
// balancer that prefers replicas that reach their stores.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	answer, status := map[string]string{"status": "ready"}, http.StatusOK
	var faults map[string]*idp.StoreFault
	if reason := s.unfit(); reason != "" { // whatever the state of the stores
		answer["status"], status = reason, http.StatusServiceUnavailable
	} else {
		faults = s.health.look(r.Context(), s)
	}
	for name, fault := range faults {
		answer[name] = "ok"
		if fault == nil {
			continue
		}
		answer["status"], answer[name] = "degraded", fault.Word+": "+fault.Text
		if r.URL.Query().Get("stores") == "required" {
			status = http.StatusServiceUnavailable
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	_ = web.WriteJSON(w, status, answer)
}

// unfit returns why other replicas would do better than this one, or "".
func (s *Server) unfit() string {
	if s.drain.begun.Load() {
		return "stopping"
	}
	if wrong, _ := s.clocks.state(); wrong {
		return "wrong clock"
	}
	return ""
}

// health caches the last state of the stores.
type health struct {
	mu     sync.Mutex
	looked time.Time
	faults map[string]*idp.StoreFault // by store; nil: no fault
}

// look returns the fault of each store, and logs changes. Results are cached for checkHold.
func (h *health) look(ctx context.Context, s *Server) map[string]*idp.StoreFault {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.faults != nil && time.Since(h.looked) < checkHold {
		return h.faults
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), checkTime) // the result is shared with other callers
	defer cancel()
	now := map[string]*idp.StoreFault{}
	var both sync.WaitGroup
	var database, entries error
	both.Go(func() { database = s.DB.Check(ctx) })
	both.Go(func() { entries = ephemeral.Check(ctx, s.Ephemeral) })
	both.Wait()
	for name, err := range map[string]error{"database": database, "ephemeral": entries} {
		fault, ok := errors.AsType[*idp.StoreFault](err)
		if err != nil && !ok {
			fault = &idp.StoreFault{Word: "wrong", Text: "unusable", Err: err}
		}
		now[name] = fault
		before := h.faults[name]
		switch {
		case fault != nil && (before == nil || before.Word != fault.Word):
			s.log.Error("store out of order", "store", name, "fault", fault.Word, "meaning", fault.Text, "error", fault.Err)
		case fault == nil && before != nil:
			s.log.Info("store back", "store", name, "fault", before.Word)
		}
	}
	h.looked, h.faults = time.Now(), now
	return now
}
