// Package drain is an HTTP server that stops without losing a request:
//
//	Announce ──▶ Connection: close ──▶ Stop ──▶ no new connections ──▶ those that wait are accepted ──▶ port closed
//	                                           ──▶ quiet connections closed, running requests finished
//
// http.Server.Shutdown closes the port first. The kernel then resets the connections that wait to be accepted, and
// what their clients have sent is lost. It also closes an idle connection whose next request has arrived but is not
// read yet. A proxy does not send a POST twice (RFC 9110 §9.2.2), so both would reach the person.
//
// Only Linux can ignore new connections while the port is open. Elsewhere, those that wait when it closes are reset.
package drain

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// quiet is how long no connection may be made, and how long a connection may be unused, before it counts as over.
	// It covers what is on the network: a handshake, a request that was sent before the answer to the one before said
	// Connection: close.
	quiet = 100 * time.Millisecond
	// unused is how long a new connection may go without a request, as in net/http.
	unused = 5 * time.Second
	look   = 5 * time.Millisecond
)

// ErrCut means that requests were still running at the end of the time for stopping.
var ErrCut = errors.New("requests were cut off at the end of shutdown-timeout")

// Server is a server with its listener. Set the fields of http.Server before Serve.
type Server struct {
	*http.Server
	listener  net.Listener
	announced atomic.Int64 // Unix nanoseconds; 0: not stopping
	served    chan struct{}

	mu    sync.Mutex
	conns map[*conn]struct{}
}

// Listen listens on a TCP address. Linux has no filters for Multipath TCP, which net.Listen would use.
func Listen(address string) (net.Listener, error) {
	var c net.ListenConfig
	c.SetMultipathTCP(false)
	return c.Listen(context.Background(), "tcp", address)
}

// New returns a server for a listener of Listen.
func New(server *http.Server, listener net.Listener) *Server {
	return &Server{Server: server, listener: listener, served: make(chan struct{}), conns: map[*conn]struct{}{}}
}

// Serve answers requests, with TLS if there is a TLSConfig, until Stop or Close. Call it once.
func (s *Server) Serve() error {
	defer close(s.served)
	s.Handler = s.lastAnswers(s.Handler)
	s.ConnState = noteState
	l := accepting{s.listener, s}
	if s.TLSConfig != nil {
		return s.ServeTLS(l, "", "")
	}
	return s.Server.Serve(l)
}

// Announce adds Connection: close to every answer from now on, so that clients open another connection for their next
// request (RFC 9112 §9.6). In HTTP/2 this becomes a GOAWAY.
func (s *Server) Announce() { s.announced.CompareAndSwap(0, time.Now().UnixNano()) }

func (s *Server) lastAnswers(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.announced.Load() != 0 {
			w.Header().Set("Connection", "close")
		}
		h.ServeHTTP(w, r)
	})
}

// Stop takes no new connections and returns when all requests are answered. When ctx ends, it cuts what is left; if
// that includes a request, it returns ErrCut. Call it after Serve.
func (s *Server) Stop(ctx context.Context) error {
	s.Announce()
	ignoreNew(s.listener)
	begin := time.Now()
	until(ctx, func() bool { return time.Since(begin) >= quiet && !waiting(s.listener) })
	_ = s.listener.Close()
	<-s.served // now all accepted connections are in conns
	until(ctx, s.closeQuiet)
	running := s.running()
	_ = s.Close()
	if running {
		return ErrCut
	}
	return nil
}

// until calls done every few milliseconds until it returns true or ctx ends.
func until(ctx context.Context, done func() bool) {
	tick := time.NewTicker(look)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// closeQuiet closes the connections that nobody is using. It returns true when none is left.
func (s *Server) closeQuiet() bool {
	s.mu.Lock()
	var over []*conn
	for c := range s.conns {
		if c.over(time.Unix(0, s.announced.Load())) {
			over = append(over, c)
		}
	}
	left := len(s.conns) - len(over)
	s.mu.Unlock()
	for _, c := range over {
		_ = c.outermost().Close()
	}
	return left == 0
}

func (s *Server) running() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if http.ConnState(c.state.Load()) == http.StateActive {
			return true
		}
	}
	return false
}
