// Package policies keeps the versions of the policy. What stands in one is for package config to say.
package policies

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Kept is how many versions are kept, for the history.
const Kept = 100

// A Version is one version of the policy. Versions count from 1.
type Version struct {
	Number    int64
	Document  string    // JSON: config.Document
	Changes   string    // in words, a line for each section
	ActorID   string    // empty: the operator, or a client
	ChangedAt time.Time // by the clock of the program that changed it
}

// Policies are those of a store. It is safe for concurrent use.
type Policies struct{ db *store.DB }

// New returns the policies of a store.
func New(db *store.DB) *Policies { return &Policies{db} }

// Over returns the settings with this version of the policy below them. The error wraps config.Faults.
func (v Version) Over(base *config.Config) (*config.Config, error) {
	d, err := v.Sections()
	if err != nil {
		return nil, err
	}
	c, err := base.With(d, v.Number)
	if err != nil {
		return nil, fmt.Errorf("version %d of the policy: %w", v.Number, err)
	}
	return c, nil
}

// With returns the settings with this version and other sections below them. The error may be config.Faults.
func (v Version) With(base *config.Config, sections config.Document) (*config.Config, error) {
	d, err := v.Sections()
	if err != nil {
		return nil, err
	}
	maps.Copy(d, sections)
	return base.With(d, v.Number)
}

// Sections returns the document of a version.
func (v Version) Sections() (config.Document, error) {
	d := config.Document{}
	if v.Document == "" {
		return d, nil
	}
	if err := json.Unmarshal([]byte(v.Document), &d); err != nil {
		return nil, fmt.Errorf("version %d of the policy is not JSON: %w", v.Number, err)
	}
	return d, nil
}

// Lines returns what the version changed, in words; nil: nothing.
func (v Version) Lines() []string {
	if v.Changes == "" {
		return nil
	}
	return strings.Split(v.Changes, "\n")
}

// Effective returns the settings with the policy that counts now.
func (p *Policies) Effective(ctx context.Context, base *config.Config) (*config.Config, error) {
	v, err := p.Current(ctx)
	if err != nil || v.Number == 0 {
		return base, err
	}
	return v.Over(base)
}

const columns = `version, document, changes, actor_id, changed_at`

func scan(row store.Row) (v Version, err error) {
	err = row.Scan(&v.Number, &v.Document, &v.Changes, &v.ActorID, store.Instant(&v.ChangedAt))
	return v, err
}

// Current returns the newest version, or one without a number if nothing was ever stored.
func (p *Policies) Current(ctx context.Context) (Version, error) {
	v, _, err := p.Newer(ctx, 0)
	return v, err
}

// Newer returns the newest version unless it is the known one, and whether it is not. It is smaller than the known one
// after a backup was restored.
func (p *Policies) Newer(ctx context.Context, known int64) (Version, bool, error) {
	v, err := store.One(ctx, p.db, "look for a newer policy", scan, `SELECT `+columns+` FROM policies
		WHERE version = (SELECT MAX(version) FROM policies) AND version <> $1`, known)
	if errors.Is(err, idp.ErrNotFound) {
		return Version{}, false, nil
	}
	return v, err == nil, err
}

// Version returns one version; idp.ErrNotFound if it never was, or is no longer kept.
func (p *Policies) Version(ctx context.Context, number int64) (Version, error) {
	return store.One(ctx, p.db, "read policy", scan, `SELECT `+columns+` FROM policies WHERE version = $1`, number)
}

// History returns the kept versions below before, newest first, without their documents; 0: from the newest.
func (p *Policies) History(ctx context.Context, before int64, limit int) ([]Version, error) {
	if before == 0 {
		before = math.MaxInt64
	}
	return store.List(ctx, p.db, "list policies", scan, `SELECT version, '', changes, actor_id, changed_at FROM policies
		WHERE version < $1 ORDER BY version DESC LIMIT $2`, before, limit)
}

// Put stores a version that follows v.Number-1; idp.ErrConflict if another one was stored since.
func (p *Policies) Put(ctx context.Context, v Version, ev ...idp.Event) error {
	var b store.Batch
	b.Exclusive("policy")
	b.Demand(idp.ErrConflict, `(SELECT COALESCE(MAX(version), 0) FROM policies) = $1`, v.Number-1)
	b.Do(`INSERT INTO policies (`+columns+`) VALUES ($1, $2, $3, $4, $5)`, v.Number, v.Document, v.Changes, v.ActorID,
		store.Millis(v.ChangedAt))
	b.Do(`DELETE FROM policies WHERE version <= $1`, v.Number-Kept)
	b.Events(ev)
	return p.db.RunBatch(ctx, "change policy", &b)
}
