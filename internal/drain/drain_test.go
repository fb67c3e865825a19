package drain_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/drain"
)

const post = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi"

// A busy listener stands for a machine with too much to do: while it is busy, connections wait to be accepted, and
// requests to be read.
type busy struct {
	*net.TCPListener
	accepts, reads sync.RWMutex
	begun, read    atomic.Int64 // calls of Read; those that did not have to wait
	closed         atomic.Bool
}

func (b *busy) Close() error {
	b.closed.Store(true)
	return b.TCPListener.Close()
}

func (b *busy) Accept() (net.Conn, error) {
	c, err := b.TCPListener.AcceptTCP()
	if err != nil {
		return nil, err
	}
	b.accepts.RLock() // what follows waits: this one is accepted
	defer b.accepts.RUnlock()
	return &slow{c, b}, nil
}

type slow struct {
	*net.TCPConn
	busy *busy
}

func (s *slow) Read(p []byte) (int, error) {
	s.busy.begun.Add(1)
	s.busy.reads.RLock()
	s.busy.read.Add(1)
	s.busy.reads.RUnlock()
	return s.TCPConn.Read(p)
}

// serve runs a server with this handler.
func serve(t *testing.T, h http.HandlerFunc) (*drain.Server, *busy) {
	t.Helper()
	l, err := drain.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	b := &busy{TCPListener: l.(*net.TCPListener)}
	s := drain.New(&http.Server{Handler: h}, b)
	go func() { _ = s.Serve() }()
	t.Cleanup(func() { _ = s.Close() })
	return s, b
}

func answers(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(w, r.Body)
}

// A caller is a client that does nothing twice.
type caller struct {
	net.Conn
	answers *bufio.Reader
}

func call(t *testing.T, address string) *caller {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return &caller{c, bufio.NewReader(c)}
}

func (c *caller) send(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(c, post); err != nil {
		t.Fatal(err)
	}
}

// receive reads an answer, and whether it is the last on this connection.
func (c *caller) receive(t *testing.T) (last bool) {
	t.Helper()
	resp, err := http.ReadResponse(c.answers, nil)
	if err != nil {
		t.Errorf("a request was lost: %v", err)
		return false
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hi" {
		t.Errorf("the answer is %s %q %v", resp.Status, body, err)
	}
	return resp.Close
}

// stopping calls Stop, and returns its result.
// connected returns a server, and a client that it waits for.
func connected(t *testing.T) (*drain.Server, *busy, *caller) {
	t.Helper()
	s, b := serve(t, answers)
	c := call(t, b.Addr().String())
	until(func() bool { return b.read.Load() == 1 })
	return s, b, c
}

func stopping(ctx context.Context, s *drain.Server) <-chan error {
	result := make(chan error, 1)
	go func() { result <- s.Stop(ctx) }()
	return result
}

// tell fails the test if Stop returned an error, or does not return.
func tell(t *testing.T, result <-chan error) {
	t.Helper()
	if err := <-result; err != nil {
		t.Errorf("stop: %v", err)
	}
}

func until(done func() bool) {
	for !done() {
		time.Sleep(time.Millisecond)
	}
}

// onLinux skips a test of what only Linux can do (kernel_other.go).
func onLinux(t *testing.T) {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("only Linux can ignore new connections before a port is closed")
	}
}

// closed waits until a port refuses connections.
func closed(address string) {
	until(func() bool {
		c, err := net.DialTimeout("tcp", address, 20*time.Millisecond)
		if err == nil {
			_ = c.Close() // Stop has not begun
		}
		return errors.Is(err, syscall.ECONNREFUSED)
	})
}

func TestConnectionsThatWaitToBeAcceptedAreAnswered(t *testing.T) {
	t.Parallel()
	onLinux(t)
	s, b := serve(t, answers)
	b.accepts.Lock()
	var waiting []*caller
	for range 5 {
		c := call(t, b.Addr().String())
		c.send(t)
		waiting = append(waiting, c)
	}
	result := stopping(t.Context(), s)
	for {
		late, err := net.DialTimeout("tcp", b.Addr().String(), 200*time.Millisecond)
		if err != nil {
			break // no refusal, no reset: it has to try again
		}
		c := &caller{late, bufio.NewReader(late)}
		c.send(t)
		if waiting = append(waiting, c); len(waiting) > 1000 {
			t.Fatal("a stopping server takes new connections while others wait")
		}
	}
	b.accepts.Unlock()
	for _, c := range waiting {
		if !c.receive(t) {
			t.Error("a stopping server does not say that it closes the connection")
		}
	}
	tell(t, result)
	closed(b.Addr().String())
}

func TestAConnectionThatIsJustBeingAcceptedIsAnswered(t *testing.T) {
	t.Parallel()
	s, b := serve(t, answers)
	b.accepts.Lock()
	c := call(t, b.Addr().String())
	c.send(t)
	result := stopping(t.Context(), s)
	until(b.closed.Load)
	time.Sleep(20 * time.Millisecond) // a server that does not know of the connection would have ended
	b.accepts.Unlock()
	c.receive(t)
	tell(t, result)
}

// Each request either gets its answer or no connection: then a proxy may send it elsewhere.
func TestNoRequestIsLostToAPortThatCloses(t *testing.T) {
	t.Parallel()
	onLinux(t)
	var answered, refused atomic.Int64
	for range 5 {
		s, b := serve(t, answers)
		address := b.Addr().String()
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for {
					c, err := net.Dial("tcp", address)
					if errors.Is(err, syscall.ECONNREFUSED) {
						refused.Add(1)
						return
					}
					if err != nil {
						t.Errorf("dial: %v", err)
						return
					}
					a := &caller{c, bufio.NewReader(c)}
					if _, err := io.WriteString(c, post); err != nil {
						t.Errorf("send: %v", err)
					}
					a.receive(t)
					_ = c.Close()
					answered.Add(1)
				}
			})
		}
		until(func() bool { return answered.Load() > 100 })
		answered.Store(0)
		if err := s.Stop(t.Context()); err != nil {
			t.Errorf("stop: %v", err)
		}
		all.Wait()
	}
	if refused.Load() != 40 {
		t.Errorf("%d of 40 clients were refused in the end", refused.Load())
	}
}

func TestARequestThatHasArrivedOnAnIdleConnectionIsAnswered(t *testing.T) {
	t.Parallel()
	onLinux(t)
	var b *busy
	var s *drain.Server
	s, b = serve(t, func(w http.ResponseWriter, r *http.Request) {
		answers(w, r)
		if r.Header.Get("First") != "" {
			until(func() bool { return b.read.Load() == 2 }) // net/http reads ahead
			b.reads.Lock()
		}
	})
	c := call(t, b.Addr().String())
	if _, err := io.WriteString(c, strings.Replace(post, "Host", "First: yes\r\nHost", 1)); err != nil {
		t.Fatal(err)
	}
	if c.receive(t) {
		t.Error("the connection is not kept")
	}
	until(func() bool { return b.begun.Load() == 3 }) // for the next request: the connection is idle
	c.send(t)
	result := stopping(t.Context(), s)
	closed(b.Addr().String())
	time.Sleep(150 * time.Millisecond) // an unused connection would be closed by now
	b.reads.Unlock()
	if !c.receive(t) {
		t.Error("a stopping server does not say that it closes the connection")
	}
	tell(t, result)
}

// A proxy learns of a stop when it sends its next request over a connection that it has kept.
func TestAConnectionInUseStaysOpenForItsNextRequest(t *testing.T) {
	t.Parallel()
	began, finish := make(chan struct{}, 9), make(chan struct{})
	s, b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Length", "2")
		_ = http.NewResponseController(w).Flush() // so the header does not say that the server is stopping
		began <- struct{}{}
		<-finish
		_, _ = w.Write(body)
	})
	c := call(t, b.Addr().String())
	c.send(t)
	<-began
	result := stopping(t.Context(), s)
	closed(b.Addr().String())
	close(finish)
	if c.receive(t) {
		t.Fatal("this answer should not say that the connection is closed")
	}
	c.send(t)
	if !c.receive(t) {
		t.Error("the next answer does not say it either")
	}
	tell(t, result)
}

// Clients connect in advance. What they have not used is not a request.
func TestAConnectionWithoutARequestIsNotCut(t *testing.T) {
	t.Parallel()
	s, _, c := connected(t)
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := c.answers.ReadByte(); err == nil {
		t.Error("it is still open")
	}
}

func TestARequestThatDoesNotEndIsCut(t *testing.T) {
	t.Parallel()
	began := make(chan struct{})
	s, b := serve(t, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
	})
	c := call(t, b.Addr().String())
	c.send(t)
	<-began
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	if err := s.Stop(ctx); !errors.Is(err, drain.ErrCut) {
		t.Errorf("stop: %v", err)
	}
	if _, err := c.answers.ReadByte(); err == nil {
		t.Error("it got an answer")
	}
}

func TestAFirstRequestThatComesLateIsAnswered(t *testing.T) {
	t.Parallel()
	s, b, c := connected(t)
	result := stopping(t.Context(), s)
	closed(b.Addr().String())
	c.send(t)
	if !c.receive(t) {
		t.Error("a stopping server does not say that it closes the connection")
	}
	tell(t, result)
}

func TestIdleConnectionsEndWithTheServer(t *testing.T) {
	t.Parallel()
	s, b := serve(t, answers)
	c := call(t, b.Addr().String())
	c.send(t)
	c.receive(t)
	begin := time.Now()
	if err := s.Stop(t.Context()); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := c.answers.ReadByte(); !errors.Is(err, io.EOF) && !strings.Contains(err.Error(), "reset") {
		t.Errorf("it is still open: %v", err)
	}
	t.Logf("stopping with an idle connection took %v", time.Since(begin))
}
