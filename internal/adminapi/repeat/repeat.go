// Package repeat answers a request to the admin API that has an Idempotency-Key once: a repeated one gets the first
// one's answer (draft-ietf-httpapi-idempotency-key-header).
//
//	Once ─▶ claim the key ─▶ first: run it, keep the answer encrypted ─▶ repeated: the kept answer
package repeat

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/web"
)

// Header makes a POST safe to repeat.
const Header = "Idempotency-Key"

const (
	// MaxKey is how long a key may be, in bytes.
	MaxKey = 255
	// keptFor is how long an answer is kept.
	keptFor = 24 * time.Hour
	// runningFor is how long the first request may take. If its replica dies, a repeated one runs again after this.
	runningFor = web.MaxTime + time.Minute
)

// Answers keeps answers. It is safe for concurrent use.
type Answers struct {
	store ephemeral.Store
	kept  ephemeral.Bucket[kept]
	key   []byte
}

// New returns the answers in a store. key encrypts them: 32 random bytes shared by all replicas.
func New(store ephemeral.Store, key []byte) *Answers {
	return &Answers{store, ephemeral.NewBucket[kept](store, "admin-api-repeat", keptFor), key}
}

// kept is what is stored about a request with an Idempotency-Key, under a hash of the key and the caller. The answer
// may have a secret in it, so it is encrypted with a key that only the Idempotency-Key gives.
type kept struct {
	Request string `json:"request"`          // a hash of the request, which the same key must not change
	Answer  string `json:"answer,omitempty"` // sealed; empty while the request runs
}

// A Request is one with an Idempotency-Key.
type Request struct {
	Key   string
	Actor admin.Actor
	Body  []byte
}

// secret returns a secret for one purpose that only the caller with this key leads to.
func (p Request) secret(server []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, server)
	for _, part := range []string{purpose, p.Actor.ClientID, p.Actor.UserID, p.Key} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// request returns a hash of what is asked for.
func (p Request) request(r *http.Request) string {
	sum := sha256.New()
	for _, part := range []string{
		r.Method, r.URL.EscapedPath(), r.URL.RawQuery, r.Header.Get("If-Match"), string(p.Body),
	} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// Once answers a request with an Idempotency-Key: the first one runs, and repeated ones get its answer for 24 hours.
// A request that failed may be repeated; it changed nothing. If Once returns a refusal or an error, nothing is
// answered yet.
func (a *Answers) Once(
	w http.ResponseWriter, r *http.Request, p Request, answer func(http.ResponseWriter),
) (*bearer.Refusal, error) {
	if len(p.Key) > MaxKey {
		return refuse(http.StatusBadRequest, "invalid_request", Header+" is longer than 255 bytes"), nil
	}
	name := base64.RawURLEncoding.EncodeToString(p.secret(a.key, "name"))
	mark := kept{Request: p.request(r)}
	first, before, err := a.claim(r, name, mark)
	switch {
	case err != nil:
		return nil, err
	case first:
		a.run(w, r, name, mark, p, answer)
		return nil, nil
	case before.Request != mark.Request:
		return refuse(http.StatusUnprocessableEntity, "idempotency_key_reused",
			"this "+Header+" came with another request; use a new one"), nil
	case before.Answer == "":
		running := refuse(http.StatusConflict, "in_progress", "the first request with this "+Header+" is still running")
		running.RetryAfter = time.Second
		return running, nil
	}
	return nil, a.replay(w, before, p)
}

func refuse(status int, code, detail string) *bearer.Refusal {
	return &bearer.Refusal{Status: status, Code: code, Detail: detail}
}

// claim reports whether this request is the first with its key; if not, before is what is known of the first.
func (a *Answers) claim(r *http.Request, name string, mark kept) (first bool, before kept, err error) {
	value, err := json.Marshal(mark)
	if err != nil {
		return false, before, err
	}
	seen := a.kept.GetOp(name)
	claim := &ephemeral.Op{Verb: ephemeral.Claim, Key: seen.Key, Value: value, TTL: runningFor}
	if err := a.store.Do(r.Context(), seen, claim); err != nil {
		return false, before, err
	}
	if claim.Found {
		return true, before, nil
	}
	if !seen.Found { // claimed between the two
		return false, mark, nil
	}
	before, err = a.kept.Decode(seen)
	return false, before, err
}

// run runs the first request and keeps its answer.
func (a *Answers) run(
	w http.ResponseWriter, r *http.Request, name string, mark kept, p Request, answer func(http.ResponseWriter),
) {
	rec := &recorder{header: w.Header().Clone(), status: http.StatusOK}
	answer(rec)
	ctx := context.WithoutCancel(r.Context()) // a caller who leaves is one who repeats the request
	var err error
	switch {
	case rec.status < 300:
		if mark.Answer, err = seal(p.secret(a.key, "answer"), rec); err == nil {
			err = a.kept.Put(ctx, name, mark)
		}
	case rec.status < 500: // refused, so nothing has changed
		err = a.kept.Delete(ctx, name)
	}
	// After any other error nobody knows what has changed: a repeated request waits until the mark expires.
	if err != nil {
		web.Note(ctx, slog.Any("keep_answer", err))
	}
	rec.send(w)
}

// replay sends the answer of the first request.
func (a *Answers) replay(w http.ResponseWriter, before kept, p Request) error {
	rec, err := unseal(p.secret(a.key, "answer"), before.Answer)
	if err != nil {
		return err
	}
	rec.header.Set("Idempotency-Replayed", "true")
	rec.send(w)
	return nil
}

// A recorder is a ResponseWriter that keeps the answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (c *recorder) Header() http.Header         { return c.header }
func (c *recorder) WriteHeader(status int)      { c.status = status }
func (c *recorder) Write(b []byte) (int, error) { return c.body.Write(b) }

func (c *recorder) send(w http.ResponseWriter) {
	for name, values := range c.header {
		w.Header()[name] = values
	}
	w.WriteHeader(c.status)
	_, _ = w.Write(c.body.Bytes())
}

// An answer is what of a recorder is stored.
type answer struct {
	Status int                 `json:"status"`
	Header map[string][]string `json:"header"`
	Body   []byte              `json:"body"`
}

// remembered are the headers that belong to an answer; the others belong to a request.
var remembered = []string{"Content-Type", "Etag", "Location"}

func seal(key []byte, c *recorder) (string, error) {
	is := answer{Status: c.status, Header: map[string][]string{}, Body: c.body.Bytes()}
	for _, name := range remembered {
		if values := c.header.Values(name); len(values) > 0 {
			is.Header[name] = values
		}
	}
	text, err := json.Marshal(is)
	if err != nil {
		return "", err
	}
	aead, err := newAEAD(key)
	if err != nil {
		return "", err
	}
	nonce := make([]byte, aead.NonceSize())
	_, _ = rand.Read(nonce) // never fails
	return base64.RawURLEncoding.EncodeToString(aead.Seal(nonce, nonce, text, nil)), nil
}

func unseal(key []byte, sealed string) (*recorder, error) {
	aead, err := newAEAD(key)
	if err != nil {
		return nil, err
	}
	text, err := base64.RawURLEncoding.DecodeString(sealed)
	if err != nil || len(text) < aead.NonceSize() {
		return nil, errors.New("kept answer is damaged")
	}
	var is answer
	text, err = aead.Open(nil, text[:aead.NonceSize()], text[aead.NonceSize():], nil)
	if err == nil {
		err = json.Unmarshal(text, &is)
	}
	if err != nil {
		return nil, fmt.Errorf("open kept answer: %w", err)
	}
	c := &recorder{header: is.Header, status: is.Status}
	c.body.Write(is.Body)
	return c, nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}
