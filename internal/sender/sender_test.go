// These tests are inside the package: they pass the clocks of two replicas.
package sender

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stepward/stepward/internal/dpop"
	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
)

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A replica with a slow clock accepts a proof longer, by as much as clocks may disagree.
func TestAProofIsRememberedForReplicasWithSlowClocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const issuer = "https://id.example"
		store := ephemeraltest.Open(t)
		b := NewBinder(BinderConfig{Issuer: issuer, Ephemeral: store, Secret: make([]byte, 32)})
		c, key, now := idp.Client{Policy: idp.PolicyStandard}, dpoptest.New("ES256"), time.Now()
		from := oauth.Sender{Method: "POST", Path: oauth.PathToken, Proofs: []string{key.Proof("POST", issuer+oauth.PathToken)}}
		first, err := b.CheckProof(from, c, "", now)
		check(t, err)
		check(t, store.Do(t.Context(), first.mark))
		time.Sleep(dpop.MaxAge + dpop.MaxAhead)
		again, err := b.CheckProof(from, c, "", time.Now().Add(-dpop.MaxAhead))
		check(t, err)
		check(t, store.Do(t.Context(), again.mark))
		if again.CheckReplay() == nil {
			t.Error("a proof was accepted twice")
		}
	})
}

func TestNoncesAreValidOnEveryReplicaUntilTheyExpire(t *testing.T) {
	now := time.Now()
	nonce := newNonces([]byte("shared")).current(now)
	replica := newNonces([]byte("shared"))
	if !replica.fresh(nonce, now) || !replica.fresh(nonce, now.Add(-noncePeriod)) || !replica.fresh(nonce, now.Add(noncePeriod)) {
		t.Error("a replica with the same key rejected the nonce")
	}
	if replica.fresh(nonce, now.Add(3*noncePeriod)) || newNonces([]byte("another")).fresh(nonce, now) || replica.fresh("", now) {
		t.Error("an old or foreign nonce was accepted")
	}
}
