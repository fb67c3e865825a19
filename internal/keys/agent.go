package keys

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"time"

	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"

	"github.com/stepward/stepward/internal/idp"
)

const (
	agentTimeout = 5 * time.Second // for one question
	agentIdle    = 8               // idle connections kept
)

// An Agent signs with keys that never enter this process. It is an ssh-agent behind a unix socket
// (draft-ietf-sshm-ssh-agent), because there is one for every kind of key store: PKCS #11 modules (ssh-add -s), TPMs,
// key management services. See docs/decisions/0027. It is safe for concurrent use.
type Agent struct {
	socket string
	idle   chan agentLine
}

// An agentLine is one connection. An agent answers the questions on a connection in order, so each question has its own
// connection.
type agentLine struct {
	conn   net.Conn
	client agent.ExtendedAgent
}

// NewAgent returns the agent at a socket. It does not connect yet.
func NewAgent(socket string) *Agent {
	return &Agent{socket: socket, idle: make(chan agentLine, agentIdle)}
}

// ask runs question on a pooled connection. If that fails, it retries once on a new one, because the agent may have
// been restarted.
func (a *Agent) ask(question func(agent.ExtendedAgent) error) error {
	select {
	case kept := <-a.idle:
		if a.askOver(kept, question) == nil {
			return nil
		}
	default:
	}
	conn, err := net.DialTimeout("unix", a.socket, agentTimeout)
	if err == nil {
		err = a.askOver(agentLine{conn, agent.NewClient(conn)}, question)
	}
	if err != nil {
		return fmt.Errorf("key agent: %w", err)
	}
	return nil
}

// askOver runs the question on a connection, and returns the connection to the pool if it was answered.
func (a *Agent) askOver(line agentLine, question func(agent.ExtendedAgent) error) error {
	// not a deadline, because the client always reads
	late := time.AfterFunc(agentTimeout, func() { _ = line.conn.Close() })
	err := question(line.client)
	if !late.Stop() || err != nil {
		_ = line.conn.Close()
		return err
	}
	select {
	case a.idle <- line:
	default:
		_ = line.conn.Close()
	}
	return nil
}

// An agentKey is a key of an agent. Agents do the hashing, so it signs messages, not digests.
type agentKey struct {
	agent  *Agent // nil: no agent is configured any more, and the key only verifies
	public crypto.PublicKey
	ssh    ssh.PublicKey
}

func newAgentKey(a *Agent, public crypto.PublicKey) (*agentKey, error) {
	key, err := ssh.NewPublicKey(public)
	if err != nil {
		return nil, fmt.Errorf("key of an agent: %w", err)
	}
	return &agentKey{a, public, key}, nil
}

// agentAlgorithm returns the algorithm that an agent's key can sign for, or "". The agent protocol has no PS256.
func agentAlgorithm(public crypto.PublicKey) string {
	switch key := public.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() {
			return ES256
		}
	case ed25519.PublicKey:
		return EdDSA
	case *rsa.PublicKey:
		if key.Size() >= 256 {
			return RS256
		}
	}
	return ""
}

// Ping reports whether the agent responds.
func (a *Agent) Ping() error {
	_, err := a.keys()
	return err
}

// keys returns the agent's keys that can sign for us, in its order.
func (a *Agent) keys() (found []*agentKey, err error) {
	var listed []*agent.Key
	if err := a.ask(func(c agent.ExtendedAgent) (err error) {
		listed, err = c.List()
		return err
	}); err != nil {
		return nil, err
	}
	for _, l := range listed {
		key, err := ssh.ParsePublicKey(l.Marshal())
		if err != nil {
			continue // an unknown type
		}
		if c, ok := key.(ssh.CryptoPublicKey); ok && agentAlgorithm(c.CryptoPublicKey()) != "" && key.Type() == l.Type() {
			found = append(found, &agentKey{a, c.CryptoPublicKey(), key})
		}
	}
	return found, nil
}

// Public implements crypto.Signer.
func (k *agentKey) Public() crypto.PublicKey { return k.public }

// Sign implements crypto.Signer; see SignMessage.
func (k *agentKey) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return nil, errors.New("a key agent signs messages, not digests")
}

// SignMessage implements crypto.MessageSigner.
func (k *agentKey) SignMessage(_ io.Reader, message []byte, _ crypto.SignerOpts) (signature []byte, err error) {
	if k.agent == nil {
		return nil, errors.New("the key is in a key agent, and none is configured")
	}
	var flags agent.SignatureFlags
	if k.ssh.Type() == ssh.KeyAlgoRSA {
		flags = agent.SignatureFlagRsaSha256 // the default is SHA-1
	}
	var signed *ssh.Signature
	if err := k.agent.ask(func(c agent.ExtendedAgent) (err error) {
		signed, err = c.SignWithFlags(k.ssh, message, flags)
		return err
	}); err != nil {
		return nil, err
	}
	switch key := k.public.(type) {
	case *ecdsa.PublicKey: // RFC 5656 §3.1.2; crypto.Signer returns ASN.1
		var sig struct{ R, S *big.Int }
		if err := ssh.Unmarshal(signed.Blob, &sig); err != nil || sig.R.Sign() <= 0 || sig.S.Sign() <= 0 ||
			sig.R.BitLen() > 256 || sig.S.BitLen() > 256 {
			return nil, errors.New("key agent: not an ECDSA signature")
		}
		return asn1.Marshal(sig)
	case *rsa.PublicKey:
		if len(signed.Blob) > key.Size() || signed.Format != ssh.KeyAlgoRSASHA256 {
			return nil, errors.New("key agent: not an RSA signature with SHA-256")
		}
		return append(make([]byte, key.Size()-len(signed.Blob)), signed.Blob...), nil // some agents omit leading zeros
	default:
		return signed.Blob, nil
	}
}

// Algorithms returns the algorithms available for signing tokens: all of ours, or with an agent those it had keys for
// at the start.
func (k *Ring) Algorithms() []string {
	if offered := k.offered.Load(); offered != nil {
		return *offered
	}
	return Algorithms
}

// loadAgentAlgorithms loads the algorithms that the agent can sign for.
func (k *Ring) loadAgentAlgorithms(ctx context.Context) error {
	if k.cfg.Agent == nil {
		return nil
	}
	held, err := k.cfg.Agent.keys()
	if err != nil {
		return err
	}
	stored, err := k.cfg.DB.SigningKeys(ctx)
	if err != nil {
		return fmt.Errorf("load signing keys: %w", err)
	}
	var offered []string
	for _, alg := range Algorithms {
		_, err := unused(stored, held, alg)
		if _, active := activeOf(stored, alg); active || err == nil {
			offered = append(offered, alg)
		}
	}
	k.offered.Store(&offered)
	return nil
}

// fromAgent returns a key of the agent that was never used.
func (k *Ring) fromAgent(ctx context.Context, alg string) (*agentKey, error) {
	held, err := k.cfg.Agent.keys()
	if err != nil {
		return nil, err
	}
	stored, err := k.cfg.DB.SigningKeys(ctx)
	if err != nil {
		return nil, fmt.Errorf("load signing keys: %w", err)
	}
	return unused(stored, held, alg)
}

// errNotHeld: the agent has no key of the algorithm.
var errNotHeld = errors.New("the key agent holds no key of this algorithm")

// unused returns the agent's first key for an algorithm that was never stored.
func unused(stored []idp.SigningKey, held []*agentKey, alg string) (*agentKey, error) {
	used := map[string]bool{}
	for _, key := range stored {
		used[key.ID] = true
	}
	found := false
	for _, key := range held {
		if agentAlgorithm(key.public) != alg {
			continue
		}
		found = true
		public, err := jwkOf(alg, key.public)
		if err != nil {
			return nil, err
		}
		if !used[public.KeyID] {
			return key, nil
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: %s", errNotHeld, alg)
	}
	return nil, fmt.Errorf("the key agent has no unused %s key: add one", alg)
}
