package adminapi

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
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/web"
)

// headerRepeat makes a POST safe to repeat (draft-ietf-httpapi-idempotency-key-header).
const headerRepeat = "Idempotency-Key"

const (
	maxRepeat  = 255
	repeatsFor = 24 * time.Hour
	// runningFor is how long the first request may take. If its replica dies, a repeated one runs again after this.
	runningFor = web.MaxTime + time.Minute
)

// kept is what is stored about a request with an Idempotency-Key, under a hash of the key and the caller. The answer
// may have a secret in it, so it is encrypted with a key that only the Idempotency-Key gives.
type kept struct {
	Request string `json:"request"`          // a hash of the request, which the same key must not change
	Answer  string `json:"answer,omitempty"` // sealed; empty while the request runs
}

// A repeated is a request with an Idempotency-Key.
type repeated struct {
	key   string
	actor admin.Actor
	body  []byte
}

// secret returns a secret for one purpose that only the caller with this key leads to.
func (p repeated) secret(server []byte, purpose string) []byte {
	mac := hmac.New(sha256.New, server)
	for _, part := range []string{purpose, p.actor.ClientID, p.actor.UserID, p.key} {
		fmt.Fprintf(mac, "%d:%s", len(part), part)
	}
	return mac.Sum(nil)
}

// request returns a hash of what is asked for.
func (p repeated) request(r *http.Request) string {
	sum := sha256.New()
	for _, part := range []string{r.Method, r.URL.EscapedPath(), r.URL.RawQuery, string(p.body)} {
		fmt.Fprintf(sum, "%d:%s", len(part), part)
	}
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil))
}

// once answers a request with an Idempotency-Key: the first one runs, and repeated ones get its answer for 24 hours. A
// request that failed may be repeated; it changed nothing.
func (a *API) once(w http.ResponseWriter, r *http.Request, p repeated, answer func(http.ResponseWriter)) {
	if len(p.key) > maxRepeat {
		write(w, r, problem(http.StatusBadRequest, "invalid_request", headerRepeat+" is longer than 255 bytes"))
		return
	}
	name := base64.RawURLEncoding.EncodeToString(p.secret(a.cfg.Key, "name"))
	mark := kept{Request: p.request(r)}
	first, before, err := a.claim(r, name, mark)
	switch {
	case err != nil:
		a.fail(w, r, err)
	case first:
		a.run(w, r, name, mark, p, answer)
	case before.Request != mark.Request:
		write(w, r, problem(http.StatusUnprocessableEntity, "idempotency_key_reused",
			"this "+headerRepeat+" came with another request; use a new one"))
	case before.Answer == "":
		f := problem(http.StatusConflict, "in_progress", "the first request with this "+headerRepeat+" is still running")
		f.header = http.Header{"Retry-After": {"1"}}
		write(w, r, f)
	default:
		if err := a.replay(w, before, p); err != nil {
			a.fail(w, r, err)
		}
	}
}

func (a *API) fail(w http.ResponseWriter, r *http.Request, err error) {
	write(w, r, failure(r.Context(), err))
}

// claim reports whether this request is the first with its key; if not, before is what is known of the first.
func (a *API) claim(r *http.Request, name string, mark kept) (first bool, before kept, err error) {
	value, err := json.Marshal(mark)
	if err != nil {
		return false, before, err
	}
	seen := a.repeats.GetOp(name)
	claim := &ephemeral.Op{Verb: ephemeral.Claim, Key: seen.Key, Value: value, TTL: runningFor}
	if err := a.cfg.Ephemeral.Do(r.Context(), seen, claim); err != nil {
		return false, before, err
	}
	if claim.Found {
		return true, before, nil
	}
	if !seen.Found { // claimed between the two
		return false, mark, nil
	}
	before, err = a.repeats.Decode(seen)
	return false, before, err
}

// run runs the first request and keeps its answer.
func (a *API) run(
	w http.ResponseWriter, r *http.Request, name string, mark kept, p repeated, answer func(http.ResponseWriter),
) {
	rec := &recorder{header: w.Header().Clone(), status: http.StatusOK}
	answer(rec)
	ctx := context.WithoutCancel(r.Context()) // a caller who leaves is one who repeats the request
	var err error
	switch {
	case rec.status < 300:
		if mark.Answer, err = seal(p.secret(a.cfg.Key, "answer"), rec); err == nil {
			err = a.repeats.Put(ctx, name, mark)
		}
	case rec.status < 500: // refused, so nothing has changed
		err = a.repeats.Delete(ctx, name)
	}
	// After any other error nobody knows what has changed: a repeated request waits until the mark expires.
	if err != nil {
		web.Note(ctx, slog.Any("keep_answer", err))
	}
	rec.send(w)
}

// replay sends the answer of the first request.
func (a *API) replay(w http.ResponseWriter, before kept, p repeated) error {
	rec, err := unseal(p.secret(a.cfg.Key, "answer"), before.Answer)
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
