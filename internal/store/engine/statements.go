package engine

import (
	"context"
	"database/sql"
	"sync"
)

// maxStatements is how many statements one pool keeps. Texts that are put together for one call may be different each
// time; beyond this number, statements are compiled each time.
const maxStatements = 256

// statements are the prepared statements of a pool, by their text. SQLite takes several times as long to compile a
// statement as to run it. It compiles a kept one again by itself when the schema has changed.
type statements struct {
	pool *sql.DB
	mu   sync.RWMutex
	kept map[string]*sql.Stmt
}

func newStatements(pool *sql.DB) *statements {
	return &statements{pool: pool, kept: map[string]*sql.Stmt{}}
}

// find returns a kept statement; nil if there is none.
func (s *statements) find(text string) *sql.Stmt {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.kept[text]
}

// prepare returns a statement that is kept from now on; nil if that is impossible, and running the text tells why. It
// needs a connection of the pool, so a caller must hold none of the writer's.
func (s *statements) prepare(ctx context.Context, text string) *sql.Stmt {
	if kept := s.find(text); kept != nil {
		return kept
	}
	s.mu.RLock()
	full := len(s.kept) >= maxStatements
	s.mu.RUnlock()
	if full {
		return nil
	}
	made, err := s.pool.PrepareContext(ctx, text)
	if err != nil {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if other := s.kept[text]; other != nil { // of a concurrent call
		_ = made.Close()
		return other
	}
	s.kept[text] = made
	return made
}
