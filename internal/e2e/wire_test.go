package e2e

import (
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// A wire is a TCP way to a unix socket that can be cut and mended: a store that goes away and comes back.
type wire struct {
	t        *testing.T
	target   string
	listener net.Listener
	mu       sync.Mutex
	cutOff   bool
	silent   bool
	held     chan struct{} // closed when bytes may pass again; nil: they may
	open     map[net.Conn]bool
}

func newWire(t *testing.T, socket string) *wire {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{t: t, target: socket, listener: l, open: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); w.cut(); w.hold(false) })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go w.join(conn)
		}
	}()
	return w
}

func (w *wire) join(near net.Conn) {
	w.mu.Lock()
	far, err := net.Dial("unix", w.target)
	if w.cutOff || err != nil {
		w.mu.Unlock()
		_ = near.Close()
		return
	}
	w.open[near], w.open[far] = true, true
	w.mu.Unlock()
	go func() { w.relay(far, near, false); _ = far.Close() }()
	w.relay(near, far, true)
	_ = near.Close()
}

// relay passes bytes on until an end closes. Those of the store may be swallowed.
func (w *wire) relay(to, from net.Conn, ofStore bool) {
	buffer := make([]byte, 1<<16)
	for {
		n, err := from.Read(buffer)
		w.mu.Lock()
		held, silent := w.held, w.silent && ofStore
		w.mu.Unlock()
		if held != nil {
			<-held
		}
		if silent && err == nil {
			continue
		}
		if _, e := to.Write(buffer[:n]); err != nil || e != nil {
			return
		}
	}
}

// hold keeps bytes back in both directions from now on, or lets them and all later ones through.
func (w *wire) hold(held bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case held && w.held == nil:
		w.held = make(chan struct{})
	case !held && w.held != nil:
		close(w.held)
		w.held = nil
	}
}

// hush swallows what the store says from now on, or lets it through again. The store still hears and does everything.
func (w *wire) hush(silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.silent = silent
}

func (w *wire) cut() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutOff = true
	for conn := range w.open {
		_ = conn.Close()
	}
	clear(w.open)
}

// lead makes new connections go to another socket.
func (w *wire) lead(socket string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.target = socket
}

func (w *wire) mend() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cutOff = false
}

// wired is the production profile with both stores on wires.
func wired(t *testing.T) (settings []string, postgres, redis *wire) {
	t.Helper()
	settings = production(t)
	database, err := url.Parse(strings.TrimPrefix(settings[0], "STEPWARD_DATABASE_URL="))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := url.Parse(strings.TrimPrefix(settings[1], "STEPWARD_REDIS_URL="))
	if err != nil {
		t.Fatal(err)
	}
	postgres = newWire(t, database.Query().Get("host")+"/.s.PGSQL.5432")
	redis = newWire(t, cache.Path)
	settings[0] = "STEPWARD_DATABASE_URL=postgres://postgres@" + postgres.listener.Addr().String() + database.Path + "?sslmode=disable"
	settings[1] = "STEPWARD_REDIS_URL=redis://" + redis.listener.Addr().String()
	return settings, postgres, redis
}
