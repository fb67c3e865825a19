package drain

import (
	"crypto/tls"
	"net"
	"net/http"
	"sync/atomic"
	"time"
)

// accepting is the server's listener. It notes each connection before net/http gets it.
type accepting struct {
	net.Listener
	server *Server
}

func (a accepting) Accept() (net.Conn, error) {
	raw, err := a.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: raw, server: a.server}
	c.used()
	a.server.mu.Lock()
	defer a.server.mu.Unlock()
	a.server.conns[c] = struct{}{}
	return c, nil
}

// A conn is a connection that knows when it was last used.
type conn struct {
	net.Conn
	server *Server
	state  atomic.Int32             // an http.ConnState
	last   atomic.Int64             // Unix nanoseconds of its last byte from the client, or of its last answer
	outer  atomic.Pointer[net.Conn] // with TLS the *tls.Conn over it
}

func (c *conn) used() { c.last.Store(time.Now().UnixNano()) }

func (c *conn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if n > 0 {
		c.used()
	}
	return n, err
}

// CloseWrite lets net/http wait until the client has read the answer.
func (c *conn) CloseWrite() error {
	if w, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return w.CloseWrite()
	}
	return nil
}

func (c *conn) Close() error {
	c.server.forget(c)
	return c.Conn.Close()
}

func (s *Server) forget(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// outermost is what closes the connection properly: with TLS it says goodbye.
func (c *conn) outermost() net.Conn {
	if outer := c.outer.Load(); outer != nil {
		return *outer
	}
	return c
}

// over reports whether no request is running, arriving or likely to arrive on a connection of a server that is stopping
// since then.
func (c *conn) over(since time.Time) bool {
	last := time.Unix(0, c.last.Load())
	wait := quiet
	switch http.ConnState(c.state.Load()) {
	case http.StateIdle:
		last = later(last, since)
	case http.StateNew:
		wait = unused
	default:
		return false
	}
	return time.Since(last) >= wait && !arrived(c.Conn)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// noteState is an http.Server's ConnState.
func noteState(outer net.Conn, state http.ConnState) {
	inner := outer
	if t, ok := outer.(*tls.Conn); ok {
		inner = t.NetConn()
	}
	c, ok := inner.(*conn)
	if !ok {
		return
	}
	switch state {
	case http.StateNew:
		c.outer.Store(&outer)
	case http.StateIdle:
		c.used()
	case http.StateHijacked:
		c.server.forget(c)
	}
	c.state.Store(int32(state))
}
