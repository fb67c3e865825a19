// Package declared keeps which objects a file manages (stepward apply). Package store has the other tables.
package declared

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/store"
)

// Kind is what a mark is about.
type Kind string

// Kinds of marks, with what their ID is.
const (
	Client  Kind = "client"  // client ID
	Secrets Kind = "secrets" // client ID: the file also lists the client's secrets
	Group   Kind = "group"   // group ID
	Claim   Kind = "claim"   // name
	Role    Kind = "role"    // user ID
	Policy  Kind = "policy"  // key of a section
)

// A Mark says that a file manages an object.
type Mark struct {
	Kind   Kind
	ID     string
	Source string // the name of the file
	Digest string // of the file that marked it last
	At     time.Time
}

// Marks are those of a store. They are safe for concurrent use.
type Marks struct{ db *store.DB }

// New returns the marks of a store.
func New(db *store.DB) *Marks { return &Marks{db} }

const columns = `kind, id, source, digest, at`

func scan(row store.Row) (m Mark, err error) {
	err = row.Scan((*string)(&m.Kind), &m.ID, &m.Source, &m.Digest, store.Instant(&m.At))
	return m, err
}

// All returns all marks, by kind and ID.
func (m *Marks) All(ctx context.Context) ([]Mark, error) {
	return store.List(ctx, m.db, "list marks", scan, `SELECT `+columns+` FROM declared ORDER BY kind, id`)
}

// Of returns the name of the file that manages an object; "" if none does.
func (m *Marks) Of(ctx context.Context, kind Kind, id string) (source string, err error) {
	found, err := store.List(ctx, m.db, "look for mark", scan,
		`SELECT `+columns+` FROM declared WHERE kind = $1 AND id = $2`, string(kind), id)
	if len(found) > 0 {
		source = found[0].Source
	}
	return source, err
}

// Sources returns the names of the files that manage objects of a kind, by ID. Objects that no file manages are not in
// it. It is for a page of a list: each ID is looked up by index.
func (m *Marks) Sources(ctx context.Context, kind Kind, ids ...string) (map[string]string, error) {
	sources := map[string]string{}
	if len(ids) == 0 {
		return sources, nil
	}
	args, places := []any{string(kind)}, make([]string, len(ids))
	for i, id := range ids {
		args = append(args, id)
		places[i] = fmt.Sprintf("$%d", i+2)
	}
	found, err := store.List(ctx, m.db, "look for marks", scan,
		`SELECT `+columns+` FROM declared WHERE kind = $1 AND id IN (`+strings.Join(places, ", ")+`)`, args...)
	for _, mark := range found {
		sources[mark.ID] = mark.Source
	}
	return sources, err
}

// Replace makes these the only marks of a file. idp.ErrConflict if another file manages one of the objects.
func (m *Marks) Replace(ctx context.Context, source string, marks []Mark) error {
	var b store.Batch
	b.Do(`DELETE FROM declared WHERE source = $1`, source)
	for _, mark := range marks {
		b.Do(`INSERT INTO declared (`+columns+`) VALUES ($1, $2, $3, $4, $5)`,
			string(mark.Kind), mark.ID, source, mark.Digest, store.Millis(mark.At))
	}
	return m.db.RunBatch(ctx, "replace marks", &b)
}
