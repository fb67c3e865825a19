// Package keystest has a real ssh-agent for tests of keys that are kept elsewhere.
package keystest

import (
	"crypto"
	"crypto/ed25519"
	"net"
	"path/filepath"
	"sync"
	"testing"

	"golang.org/x/crypto/ssh/agent"
)

// Agent is an ssh-agent of its own behind a real socket.
type Agent struct {
	agent.ExtendedAgent
	t      testing.TB
	Socket string
	mu     sync.Mutex
	Stop   func()
}

func NewAgent(t testing.TB, keys ...crypto.Signer) *Agent {
	o := &Agent{ExtendedAgent: agent.NewKeyring().(agent.ExtendedAgent), t: t, Socket: filepath.Join(t.TempDir(), "agent")}
	for _, key := range keys {
		o.Hold(key)
	}
	o.Start()
	t.Cleanup(func() { o.Stop() })
	return o
}

func (o *Agent) Hold(key crypto.Signer) {
	o.t.Helper()
	var private any = key
	if k, ok := key.(ed25519.PrivateKey); ok {
		private = &k
	}
	if err := o.Add(agent.AddedKey{PrivateKey: private}); err != nil {
		o.t.Fatal(err)
	}
}

func (o *Agent) Start() {
	o.t.Helper()
	listener, err := net.Listen("unix", o.Socket)
	if err != nil {
		o.t.Fatal(err)
	}
	var conns []net.Conn
	o.Stop = sync.OnceFunc(func() {
		_ = listener.Close()
		o.mu.Lock()
		defer o.mu.Unlock()
		for _, c := range conns {
			_ = c.Close()
		}
	})
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			o.mu.Lock()
			conns = append(conns, conn)
			o.mu.Unlock()
			go func() { _ = agent.ServeAgent(o, conn) }()
		}
	}()
}
