package registry

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/store"
)

// A Usage is what a client did last, to the minute. Zero times: never.
type Usage struct {
	SignInAt time.Time // tokens for a person who signed in
	TokensAt time.Time // any tokens
	ErrorAt  time.Time
	Error    string // the OAuth error and its description
	// Secrets is when each secret was last used, by its ID.
	Secrets map[string]time.Time
}

// What is recorded of clients. The use of a secret is "secret:" and its ID.
const (
	signIn   = "sign_in"
	tokens   = "tokens"
	failure  = "error"
	ofSecret = "secret:"
)

// maxPending bounds the memory of a Recorder; what does not fit is lost.
const maxPending = 20_000

// A Recorder collects what clients do and writes the last of each once a minute, so that no request pays for it. A
// crash loses at most that minute. Methods may be called by several goroutines.
type Recorder struct {
	db      *store.DB
	mu      sync.Mutex
	pending map[use]done
}

type use struct{ client, what string }

type done struct {
	at     time.Time
	detail string
}

// NewRecorder returns a Recorder. Somebody must call Run.
func NewRecorder(db *store.DB) *Recorder { return &Recorder{db: db, pending: map[use]done{}} }

// SignedIn records that a client got tokens for a person who signed in; Tokens that it got any.
func (r *Recorder) SignedIn(clientID string, now time.Time) { r.note(clientID, signIn, "", now) }

// Tokens is described at SignedIn.
func (r *Recorder) Tokens(clientID string, now time.Time) { r.note(clientID, tokens, "", now) }

// Failed records an error that a client got, the first 300 bytes of its text.
func (r *Recorder) Failed(clientID, text string, now time.Time) {
	r.note(clientID, failure, text[:min(len(text), maxText)], now) // the store mends a rune that is cut
}

const maxText = 300

// UsedSecret records that a client authenticated with this secret.
func (r *Recorder) UsedSecret(clientID, secretID string, now time.Time) {
	r.note(clientID, ofSecret+secretID, "", now)
}

func (r *Recorder) note(clientID, what, detail string, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if key := (use{clientID, what}); len(r.pending) < maxPending || !r.pending[key].at.IsZero() {
		r.pending[key] = done{now, detail}
	}
}

// Run writes what was recorded, every minute and when ctx ends.
func (r *Recorder) Run(ctx context.Context) {
	tick := time.NewTicker(time.Minute)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
			defer cancel()
			_ = r.Flush(last)
			return
		case <-tick.C:
			_ = r.Flush(ctx) // an unavailable store was logged by the store; this minute is lost
		}
	}
}

// together is how many rows Flush writes at once.
const together = 200

// Flush writes what was recorded since the last time.
func (r *Recorder) Flush(ctx context.Context) error {
	r.mu.Lock()
	pending := r.pending
	r.pending = map[use]done{}
	r.mu.Unlock()
	var b store.Batch
	for key, d := range pending {
		// A client that was removed meanwhile is passed over. Of two replicas, the later use counts.
		b.Do(`INSERT INTO client_usage (client_id, what, at, detail)
			SELECT c.id, CAST($2 AS TEXT), CAST($3 AS BIGINT), CAST($4 AS TEXT) FROM clients c WHERE c.id = $1
			ON CONFLICT (client_id, what) DO UPDATE SET at = excluded.at, detail = excluded.detail
				WHERE client_usage.at < excluded.at`, key.client, key.what, store.Millis(d.at), d.detail)
		if len(b.Statements) == together {
			if err := r.db.RunBatch(ctx, "record use of clients", &b); err != nil {
				return err
			}
			b = store.Batch{}
		}
	}
	if len(b.Statements) == 0 {
		return nil
	}
	return r.db.RunBatch(ctx, "record use of clients", &b)
}

// Usage returns what these clients did last, by client ID: at most a few hundred of them.
func (r *Registry) Usage(ctx context.Context, clientIDs ...string) (map[string]Usage, error) {
	all := map[string]Usage{}
	if len(clientIDs) == 0 {
		return all, nil
	}
	args, places := []any(nil), []string(nil)
	for i, id := range clientIDs {
		args, places = append(args, id), append(places, fmt.Sprintf("$%d", i+1))
	}
	type row struct {
		client, what, detail string
		at                   time.Time
	}
	found, err := store.List(ctx, r.db, "load use of clients", func(rows store.Row) (u row, err error) {
		return u, rows.Scan(&u.client, &u.what, store.Instant(&u.at), &u.detail)
	}, `SELECT client_id, what, at, detail FROM client_usage WHERE client_id IN (`+strings.Join(places, ", ")+`)`, args...)
	for _, f := range found {
		u := all[f.client]
		switch secret, isSecret := strings.CutPrefix(f.what, ofSecret); {
		case isSecret:
			if u.Secrets == nil {
				u.Secrets = map[string]time.Time{}
			}
			u.Secrets[secret] = f.at
		case f.what == signIn:
			u.SignInAt = f.at
		case f.what == tokens:
			u.TokensAt = f.at
		case f.what == failure:
			u.ErrorAt, u.Error = f.at, f.detail
		}
		all[f.client] = u
	}
	return all, err
}
