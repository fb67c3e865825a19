package keys

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh/agent"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys/keystest"
	"github.com/stepward/stepward/internal/store/storetest"
)

func p256(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func TestASilentAgentTimesOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		start := time.Now()
		err := NewAgent("").askOver(agentLine{ours, agent.NewClient(ours)}, func(c agent.ExtendedAgent) error {
			_, err := c.List()
			return err
		})
		if took := time.Since(start); err == nil || took != agentTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

func TestWriteAccessToTheStoreCannotPublishAKey(t *testing.T) {
	db := storetest.Open(t)
	check(t, newKeys(t, db, wrapper(t, 7)).Prepare(t.Context()))
	key := p256(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	public, err := jwkOf(ES256, key.Public())
	check(t, err)
	check(t, db.AddSigningKey(t.Context(), idp.SigningKey{ID: public.KeyID, Algorithm: ES256, State: idp.KeyNext, Sealed: der, CreatedAt: time.Now()}))
	if set, err := newKeys(t, db, wrapper(t, 7)).JWKS(t.Context()); err == nil {
		t.Errorf("published: %s", set)
	}
}

func TestKeysFromBeforeTheAgentStayInUseUntilRotated(t *testing.T) {
	db := storetest.Open(t)
	check(t, newKeys(t, db, wrapper(t, 7)).Prepare(t.Context()))
	ring := newKeys(t, db, wrapper(t, 7))
	ring.cfg.Agent = NewAgent(keystest.NewAgent(t, p256(t)).Socket)
	check(t, ring.Prepare(t.Context()))
	s, err := ring.Signer(t.Context(), ES256)
	check(t, err)
	if _, remote := s.key.(*agentKey); remote {
		t.Error("rotated before its time")
	}
	check(t, ring.RotateNow(t.Context(), time.Now()))
	s, err = ring.Signer(t.Context(), ES256)
	check(t, err)
	r, err := ring.Current(t.Context())
	check(t, err)
	if _, remote := s.key.(*agentKey); !remote {
		t.Error("the agent's key does not sign")
	}
	if n := strings.Count(string(r.jwks), `"kid"`); n != len(Algorithms)+1 {
		t.Errorf("%d keys published", n)
	}
	ring = newKeys(t, db, wrapper(t, 7))
	ring.cfg.Agent = NewAgent(filepath.Join(t.TempDir(), "nothing"))
	if err := ring.Prepare(t.Context()); err == nil {
		t.Error("started without the agent that is configured")
	}
}
