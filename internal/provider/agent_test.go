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
	"encoding/base64"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"

	oidcclient "github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys/keystest"
	"github.com/stepward/stepward/internal/store"
)

func p256(t testing.TB) crypto.Signer {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

// openWith is open with keys held by an agent.
func openWith(t testing.TB, o *keystest.Agent, configure ...func(*Config)) *house {
	h := open(t, append(configure, func(c *Config) { c.Keys = ringIn(t, c.DB, o) })...)
	check(t, h.keys.Prepare(t.Context()))
	return h
}

// ringIn returns a ring whose keys are held by an agent.
func ringIn(t testing.TB, db *store.DB, o *keystest.Agent) *keys.Ring {
	t.Helper()
	w, err := keys.NewWrapper(bytes.Repeat([]byte{7}, 32))
	check(t, err)
	k, err := keys.New(keys.Config{DB: db, Wrapper: w, Agent: keys.NewAgent(o.Socket)})
	check(t, err)
	return k
}

func TestTokensAreSignedByKeysThatNeverLeaveTheirAgent(t *testing.T) {
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	check(t, err)
	big, err := rsa.GenerateKey(rand.Reader, 2048)
	check(t, err)
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	check(t, err)
	h := openWith(t, keystest.NewAgent(t, p384, p256(t), ed, big)) // P-384 is no algorithm of ours
	if d := cmp.Diff([]string{keys.ES256, keys.EdDSA, keys.RS256}, h.keys.Algorithms()); d != "" {
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
			s, err := h.keys.Signer(t.Context(), alg)
			check(t, err)
			r, err := h.keys.Current(t.Context())
			check(t, err)
			raw, err := s.Sign(keys.TypeIDToken, token.IDClaims{Subject: idp.NewID()})
			check(t, err)
			check(t, r.Open(keys.TypeIDToken, raw, &token.IDClaims{}))
		}
	}
	stored, err := h.db.SigningKeys(t.Context())
	check(t, err)
	for _, key := range stored {
		w, err := keys.NewWrapper(bytes.Repeat([]byte{7}, 32))
		check(t, err)
		content, err := w.Open(key.Sealed, key.Algorithm+" "+key.ID)
		check(t, err)
		if _, err := x509.ParsePKIXPublicKey(content); err != nil {
			t.Errorf("%s: the store holds more than the public half: %v", key.Algorithm, err)
		}
	}
	c := h.addClient(func(c *idp.Client) { c.IDTokenAlg = keys.PS256 })
	wantError(t, h.exchange(c, h.code(c, u)), 500, "server_error")
}

func TestSelfRegisteredClientsGetAlgorithmsOfTheAgent(t *testing.T) {
	h := openWith(t, keystest.NewAgent(t, p256(t)), full)
	if m := h.registered(plainClient); m["id_token_signed_response_alg"] != keys.ES256 {
		t.Errorf("the default: %v", m["id_token_signed_response_alg"])
	}
	for _, name := range []string{"id_token_signed_response_alg", "userinfo_signed_response_alg", "introspection_signed_response_alg", "authorization_signed_response_alg"} {
		r := h.sendJSON("POST", oauth.PathRegister, `{"redirect_uris":["https://app.example/cb"],"`+name+`":"PS256"}`, "")
		wantError(t, r, 400, "invalid_client_metadata")
		if !strings.Contains(r.body, name) {
			t.Errorf("%s: %s", name, r.body)
		}
	}
}

func TestRotationUsesTheKeysOfTheAgent(t *testing.T) {
	first, second := p256(t), p256(t)
	o := keystest.NewAgent(t, first)
	h := openWith(t, o)
	kid := func() string {
		s, err := h.keys.Signer(t.Context(), keys.ES256)
		check(t, err)
		return s.KeyID
	}
	thumbprint := func(key crypto.Signer) string {
		k := jose.JSONWebKey{Key: key.Public()}
		sum, err := k.Thumbprint(crypto.SHA256)
		check(t, err)
		return base64.RawURLEncoding.EncodeToString(sum)
	}
	c, u := h.addClient(nil), h.addUser()
	old := h.tokens(c, u)
	if err := h.keys.RotateNow(t.Context(), time.Now()); err == nil || !strings.Contains(err.Error(), "no unused ES256 key") || kid() != thumbprint(first) {
		t.Fatalf("without a further key: %v", err)
	}
	o.Hold(second)
	replica := ringIn(t, h.db, o)
	const day = 24 * time.Hour // keys sign for 90 days, and are announced 7 days ahead
	soon := time.Now().Add(83 * day)
	for _, k := range []*keys.Ring{h.keys, replica, h.keys} { // announced once, however many do it
		check(t, k.Rotate(t.Context(), soon))
	}
	if d := cmp.Diff([]idp.KeyState{idp.KeyActive, idp.KeyNext}, states(t, h.db)); d != "" || !strings.Contains(h.get(oauth.PathJWKS).body, thumbprint(second)) || kid() != thumbprint(first) {
		t.Errorf("announced (-want +got):\n%s", d)
	}
	check(t, h.keys.Rotate(t.Context(), soon.Add(7*day)))
	if kid() != thumbprint(second) {
		t.Error("the second key does not sign")
	}
	public, err := ssh.NewPublicKey(first.Public())
	check(t, err)
	check(t, o.Remove(public)) // a retired key may leave the agent
	if r := h.userinfo(old["access_token"]); r.StatusCode != 200 || !strings.Contains(h.get(oauth.PathJWKS).body, thumbprint(first)) {
		t.Errorf("what the first key signed: %d", r.StatusCode)
	}
}

func TestWithoutItsAgentTheProviderOnlyVerifies(t *testing.T) {
	key := p256(t)
	o := keystest.NewAgent(t, key)
	h := openWith(t, o)
	c, u := h.addClient(nil), h.addUser()
	tok := h.tokens(c, u)
	code := h.code(c, u)
	o.Stop()
	if r := h.userinfo(tok["access_token"]); r.StatusCode != 200 {
		t.Errorf("userinfo: %d", r.StatusCode)
	}
	if r := h.get(oauth.PathJWKS); r.StatusCode != 200 || !strings.Contains(r.body, `"kid"`) {
		t.Errorf("JWKS: %d", r.StatusCode)
	}
	r := h.exchange(c, code)
	wantError(t, r, 500, "server_error")
	if strings.Contains(r.body, "agent") || strings.Contains(r.body, o.Socket) {
		t.Errorf("the answer tells of our insides: %s", r.body)
	}
	w, err := keys.NewWrapper(bytes.Repeat([]byte{7}, 32))
	check(t, err)
	other, err := keys.New(keys.Config{DB: h.db, Wrapper: w}) // and one that is started without it
	check(t, err)
	if set, err := other.JWKS(t.Context()); err != nil || !bytes.Contains(set, []byte(`"kid"`)) {
		t.Errorf("%s %v", set, err)
	}
	o.Start() // the kept connections are of the old one
	h.tokens(c, u)
}

// forger signs with another key than requested.
type forger struct {
	agent.ExtendedAgent
	other ssh.Signer
}

func (f forger) SignWithFlags(_ ssh.PublicKey, data []byte, _ agent.SignatureFlags) (*ssh.Signature, error) {
	return f.other.Sign(rand.Reader, data)
}

func TestSignaturesOfTheAgentAreVerified(t *testing.T) {
	o := keystest.NewAgent(t, p256(t))
	other, err := ssh.NewSignerFromSigner(p256(t))
	check(t, err)
	h := openWith(t, o)
	o.ExtendedAgent = forger{o.ExtendedAgent, other}
	c := h.addClient(nil)
	wantError(t, h.exchange(c, h.code(c, h.addUser())), 500, "server_error")
}
