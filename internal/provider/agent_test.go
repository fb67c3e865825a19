package provider

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	oidcclient "github.com/coreos/go-oidc/v3/oidc"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/storetest"
)

// An outpost is an ssh-agent of its own, behind a real socket.
type outpost struct {
	agent.ExtendedAgent
	t      testing.TB
	socket string
	mu     sync.Mutex
	stop   func()
}

func newOutpost(t testing.TB, keys ...crypto.Signer) *outpost {
	o := &outpost{ExtendedAgent: agent.NewKeyring().(agent.ExtendedAgent), t: t, socket: filepath.Join(t.TempDir(), "agent")}
	for _, key := range keys {
		o.add(key)
	}
	o.start()
	t.Cleanup(func() { o.stop() })
	return o
}

func (o *outpost) add(key crypto.Signer) {
	o.t.Helper()
	var private any = key
	if k, ok := key.(ed25519.PrivateKey); ok {
		private = &k
	}
	check(o.t, o.Add(agent.AddedKey{PrivateKey: private}))
}

func (o *outpost) start() {
	o.t.Helper()
	listener, err := net.Listen("unix", o.socket)
	check(o.t, err)
	var conns []net.Conn
	o.stop = sync.OnceFunc(func() {
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

func p256(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// openWith is open with keys that are in an agent.
func openWith(t testing.TB, o *outpost) *house {
	h := open(t)
	h.keys.cfg.Agent = NewKeyAgent(o.socket)
	check(t, h.keys.Prepare(t.Context()))
	return h
}

func TestTokensAreSignedByKeysThatNeverLeaveTheirAgent(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	h := openWith(t, newOutpost(t, p384, p256(t), ed, big)) // P-384 is no algorithm of ours
	if d := cmp.Diff([]string{ES256, EdDSA, RS256}, h.keys.Algorithms()); d != "" {
		t.Errorf("offered (-want +got):\n%s", d)
	}
	u := h.addUser()
	for _, alg := range h.keys.Algorithms() {
		c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = alg })
		tok := h.tokens(c, u, "scope", "openid offline_access")
		op, err := oidcclient.NewProvider(t.Context(), h.url)
		check(t, err)
		if _, err := op.Verifier(&oidcclient.Config{ClientID: c.ID, SupportedSigningAlgs: []string{alg}}).Verify(t.Context(), tok["id_token"].(string)); err != nil {
			t.Errorf("%s: %v", alg, err)
		}
		if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
			t.Errorf("%s: userinfo %d", alg, r.StatusCode)
		}
		if again := h.refresh(c, tok["refresh_token"]).json(t); again["id_token"] == nil {
			t.Errorf("%s: %v", alg, again)
		}
		for range 20 { // signatures with leading zeros are among them, sooner or later
			s, r, err := h.keys.signer(t.Context(), alg)
			check(t, err)
			token, err := s.sign(typIDToken, idClaims{Subject: idp.NewID()})
			check(t, err)
			check(t, r.open(typIDToken, token, &idClaims{}))
		}
	}
	stored, err := h.db.SigningKeys(t.Context())
	check(t, err)
	for _, key := range stored {
		content, err := wrapper(t, 7).Open(key.Sealed, sealContext(key.ID, key.Algorithm))
		check(t, err)
		if _, err := x509.ParsePKIXPublicKey(content); err != nil {
			t.Errorf("%s: the store holds more than the public half: %v", key.Algorithm, err)
		}
	}
	c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = PS256 })
	wantError(t, h.exchange(c, h.code(c, u)), 500, "server_error")
}

func TestClientsThatDescribeThemselvesAreSignedForByWhatTheAgentHolds(t *testing.T) {
	h := open(t, full)
	h.keys.cfg.Agent = NewKeyAgent(newOutpost(t, p256(t)).socket)
	check(t, h.keys.Prepare(t.Context()))
	if m := h.registered(plainClient); m["id_token_signed_response_alg"] != ES256 {
		t.Errorf("the default: %v", m["id_token_signed_response_alg"])
	}
	for _, name := range []string{"id_token_signed_response_alg", "userinfo_signed_response_alg", "introspection_signed_response_alg", "authorization_signed_response_alg"} {
		r := h.sendJSON("POST", pathRegister, `{"redirect_uris":["https://app.example/cb"],"`+name+`":"PS256"}`, "")
		wantError(t, r, 400, "invalid_client_metadata")
		if !strings.Contains(r.body, name) {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

func TestKeysRotateIntoWhatTheAgentHolds(t *testing.T) {
	first, second := p256(t), p256(t)
	o := newOutpost(t, first)
	h := openWith(t, o)
	kid := func() string {
		s, _, err := h.keys.signer(t.Context(), ES256)
		check(t, err)
		return s.kid
	}
	thumbprint := func(key crypto.Signer) string {
		k, err := jwkOf(ES256, key.Public())
		check(t, err)
		return k.Kid
	}
	c, u := h.addClient(nil), h.addUser()
	old := h.tokens(c, u)
	if err := h.keys.RotateNow(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "no ES256 key that has not been used") || kid() != thumbprint(first) {
		t.Fatalf("without a further key: %v", err)
	}
	o.add(second)
	replica := newKeys(t, h.db, wrapper(t, 7))
	replica.cfg.Agent = NewKeyAgent(o.socket)
	soon := time.Now().Add(h.keys.cfg.Every - h.keys.cfg.Ahead)
	for _, k := range []*Keys{h.keys, replica, h.keys} { // announced once, however many do it
		check(t, k.Rotate(t.Context(), soon))
	}
	if d := cmp.Diff([]idp.KeyState{idp.KeyActive, idp.KeyNext}, states(t, h.db)); d != "" || !strings.Contains(h.get(pathJWKS).body, thumbprint(second)) || kid() != thumbprint(first) {
		t.Errorf("announced (-want +got):\n%s", d)
	}
	check(t, h.keys.Rotate(t.Context(), soon.Add(h.keys.cfg.Ahead)))
	if kid() != thumbprint(second) {
		t.Error("the second key does not sign")
	}
	public, err := ssh.NewPublicKey(first.Public())
	check(t, err)
	check(t, o.Remove(public)) // a retired key may leave the agent
	if r := h.userinfo(old["access_token"]); r.StatusCode != 200 || !strings.Contains(h.get(pathJWKS).body, thumbprint(first)) {
		t.Errorf("what the first key signed: %d", r.StatusCode)
	}
}

func TestWithoutItsAgentTheProviderVerifiesAndDoesNotSign(t *testing.T) {
	key := p256(t)
	o := newOutpost(t, key)
	h := openWith(t, o)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u)
	code := h.code(c, u)
	o.stop()
	if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
		t.Errorf("userinfo: %d", r.StatusCode)
	}
	if r := h.get(pathJWKS); r.StatusCode != 200 || !strings.Contains(r.body, `"kid"`) {
		t.Errorf("JWKS: %d", r.StatusCode)
	}
	r := h.exchange(c, code)
	wantError(t, r, 500, "server_error")
	if strings.Contains(r.body, "agent") || strings.Contains(r.body, o.socket) {
		t.Errorf("the answer tells of our insides: %s", r.body)
	}
	other := newKeys(t, h.db, wrapper(t, 7)) // and one that is started without it
	if set, err := other.JWKS(t.Context()); err != nil || !bytes.Contains(set, []byte(`"kid"`)) {
		t.Errorf("%s %v", set, err)
	}
	o.start() // the kept connections are of the old one
	h.tokens(c, u)
}

func TestAnAgentThatSaysNothingIsNotWaitedForLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := net.Pipe()
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		start := time.Now()
		err := NewKeyAgent("").over(agentLine{ours, agent.NewClient(ours)}, func(c agent.ExtendedAgent) error {
			_, err := c.List()
			return err
		})
		if took := time.Since(start); err == nil || took != agentTimeout {
			t.Errorf("%v after %v", err, took)
		}
	})
}

// forger signs with another key than it was asked to.
type forger struct {
	agent.ExtendedAgent
	other ssh.Signer
}

func (f forger) SignWithFlags(_ ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return f.other.Sign(rand.Reader, data)
}

func TestAnAgentIsNotBelievedItsSignature(t *testing.T) {
	o := newOutpost(t, p256(t))
	other, err := ssh.NewSignerFromSigner(p256(t))
	check(t, err)
	h := openWith(t, o)
	o.ExtendedAgent = forger{o.ExtendedAgent, other}
	c := h.addClient(nil)
	wantError(t, h.exchange(c, h.code(c, h.addUser())), 500, "server_error")
}

func TestWhoWritesToTheStoreCannotPublishAKey(t *testing.T) {
	h := open(t)
	check(t, h.keys.Prepare(t.Context()))
	key := p256(t)
	der, err := x509.MarshalPKIXPublicKey(key.Public())
	check(t, err)
	public, err := jwkOf(ES256, key.Public())
	check(t, err)
	check(t, h.db.AddSigningKey(t.Context(), idp.SigningKey{ID: public.Kid, Algorithm: ES256, State: idp.KeyNext, Sealed: der, CreatedAt: time.Now()}))
	if set, err := newKeys(t, h.db, wrapper(t, 7)).JWKS(t.Context()); err == nil {
		t.Errorf("published: %s", set)
	}
}

func TestKeysOfTheTimeBeforeTheAgentAreUsedUntilTheyAreRotated(t *testing.T) {
	db := storetest.Open(t)
	check(t, newKeys(t, db, wrapper(t, 7)).Prepare(t.Context()))
	keys := newKeys(t, db, wrapper(t, 7))
	keys.cfg.Agent = NewKeyAgent(newOutpost(t, p256(t)).socket)
	check(t, keys.Prepare(t.Context()))
	s, _, err := keys.signer(t.Context(), ES256)
	check(t, err)
	if _, remote := s.key.(*agentKey); remote {
		t.Error("rotated before its time")
	}
	check(t, keys.RotateNow(t.Context(), time.Now()))
	s, r, err := keys.signer(t.Context(), ES256)
	check(t, err)
	if _, remote := s.key.(*agentKey); !remote {
		t.Error("the agent's key does not sign")
	}
	if n := strings.Count(string(r.jwks), `"kid"`); n != 2 {
		t.Errorf("%d keys published", n)
	}
	keys = newKeys(t, db, wrapper(t, 7))
	keys.cfg.Agent = NewKeyAgent(filepath.Join(t.TempDir(), "nothing"))
	if err := keys.Prepare(t.Context()); err == nil {
		t.Error("started without the agent that is configured")
	}
}
