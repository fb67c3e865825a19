package server

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/drain"
)

// house is a running server on embedded stores.
type house struct {
	*Server
	origin string
	stop   context.CancelFunc
	ended  chan error
}

// open starts a server with these settings. mount adds routes to the server's own.
func open(t *testing.T, mount func(*Server, *http.ServeMux), settings ...string) *house {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: append(settings, "STEPWARD_DATA_DIR="+t.TempDir(), "STEPWARD_LISTEN=127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	s, err := New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	mux := http.NewServeMux()
	if mount != nil {
		mount(s, mux)
	}
	outer := http.NewServeMux()
	outer.Handle("/", s.Handler)
	outer.Handle("/test/", s.current.Load().shell.Browser(mux))
	s.Handler = outer
	listener, err := s.Listen()
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	h := &house{Server: s, origin: "http://" + listener.Addr().String(), stop: stop, ended: make(chan error, 1)}
	served := make(chan struct{})
	t.Cleanup(func() { stop(); <-served }) // Close comes after it
	go func() {
		defer close(served)
		h.ended <- s.Serve(ctx, listener)
	}()
	return h
}

func (h *house) get(client *http.Client, path string) (*http.Response, string, error) {
	r, err := http.NewRequest(http.MethodGet, h.origin+path, nil)
	if err != nil {
		return nil, "", err
	}
	r.Host = h.Config.Issuer.Host
	resp, err := client.Do(r)
	if err != nil {
		return nil, "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return resp, string(body), err
}

// slow mounts /test/slow, which signals began and goes on until finish is closed, whatever happens to its context.
func slow(began chan<- struct{}, finish <-chan struct{}) func(*Server, *http.ServeMux) {
	return func(s *Server, mux *http.ServeMux) {
		s.current.Load().shell.Handle(mux, "GET /test/slow", func(w http.ResponseWriter, _ *http.Request) error {
			began <- struct{}{}
			<-finish
			_, err := io.WriteString(w, "done")
			return err
		})
	}
}

func TestStoppingIsAnnouncedAndFinishesRunningRequests(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}, 1), make(chan struct{})
	h := open(t, slow(began, finish), "STEPWARD_SHUTDOWN_DELAY=3s", "STEPWARD_SHUTDOWN_TIMEOUT=40s")
	kept := &http.Client{Transport: &http.Transport{}}
	if resp, body, err := h.get(kept, "/readyz"); err != nil || resp.StatusCode != http.StatusOK || resp.Close {
		t.Fatalf("before: %v %q %v", resp, body, err)
	}
	under := make(chan error, 1)
	go func() {
		_, body, err := h.get(&http.Client{Transport: &http.Transport{}}, "/test/slow")
		if err == nil && body != "done" {
			err = io.ErrUnexpectedEOF
		}
		under <- err
	}()
	<-began
	h.stop()
	for !h.drain.begun.Load() {
		time.Sleep(time.Millisecond)
	}
	resp, body, err := h.get(kept, "/readyz")
	if err != nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" || !resp.Close {
		t.Errorf("ready while stopping: %v %q %v", resp, body, err)
	}
	fresh := &http.Client{Transport: &http.Transport{}} // of a balancer that has not asked yet
	if resp, _, err := h.get(fresh, "/.well-known/openid-configuration"); err != nil || resp.StatusCode != http.StatusOK || !resp.Close {
		t.Errorf("a request that comes in the delay: %v %v", resp, err)
	}
	for { // until it listens no more
		conn, err := net.Dial("tcp", h.origin[len("http://"):])
		if err != nil {
			break
		}
		_ = conn.Close()
	}
	close(finish)
	if err := <-under; err != nil {
		t.Errorf("the request under way: %v", err)
	}
	if err := <-h.ended; err != nil {
		t.Errorf("serve: %v", err)
	}
}

func TestStoppingTakesNoLongerThanPromised(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}, 2), make(chan struct{})
	defer close(finish)
	h := open(t, func(s *Server, mux *http.ServeMux) {
		slow(began, finish)(s, mux)
		s.current.Load().shell.Handle(mux, "GET /test/waits", func(_ http.ResponseWriter, r *http.Request) error {
			began <- struct{}{}
			<-r.Context().Done()
			return r.Context().Err()
		})
	}, "STEPWARD_SHUTDOWN_DELAY=200ms", "STEPWARD_SHUTDOWN_TIMEOUT=4s") // half a second for the last answer
	type answer struct {
		status int
		err    error
	}
	waits := make(chan answer, 1)
	go func() {
		resp, _, err := h.get(http.DefaultClient, "/test/waits")
		if err != nil {
			waits <- answer{err: err}
			return
		}
		waits <- answer{status: resp.StatusCode}
	}()
	go func() { _, _, _ = h.get(http.DefaultClient, "/test/slow") }()
	<-began
	<-began
	begin := time.Now()
	h.stop()
	err := <-h.ended
	h.Close()
	if took := time.Since(begin); took > 20*time.Second || took < 3*time.Second { // the slow request never ends
		t.Errorf("it took %v", took)
	}
	if !errors.Is(err, drain.ErrCut) {
		t.Error("serve does not say that it cut a request")
	}
	// What heeds its context is told to come back; the browser has not gone.
	if a := <-waits; a.err != nil || a.status != http.StatusServiceUnavailable {
		t.Errorf("the request that was cancelled: %+v", a)
	}
}
