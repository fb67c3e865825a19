package server

import (
	"context"
	"net/http"
	"time"
)

// healthz says that the process answers.
func healthz(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte("ok\n"))
}

// readyz says that both stores answer; a load balancer sends nobody here while they do not.
func (s *Server) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	w.Header().Set("Cache-Control", "no-store")
	if s.drain.begun.Load() {
		w.Header().Set("Retry-After", "5")
		http.Error(w, "stopping", http.StatusServiceUnavailable)
		return
	}
	for _, store := range []interface{ Ping(context.Context) error }{s.DB, s.Ephemeral} {
		if err := store.Ping(ctx); err != nil {
			http.Error(w, "a store does not answer", http.StatusServiceUnavailable)
			return
		}
	}
	_, _ = w.Write([]byte("ok\n"))
}
