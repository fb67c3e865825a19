package store

import (
	"time"

	"github.com/stepward/stepward/internal/store/engine"
)

// A batch is an engine.Batch with methods for the statements that several changes share. Most are beside their table.
type batch struct{ engine.Batch }

// end records that a session or a family is over, so that nothing in progress can still add to it.
func (b *batch) end(id string, now time.Time) {
	b.Do(`INSERT INTO ended (id, at) VALUES ($1, $2) ON CONFLICT (id) DO NOTHING`, id, ms(now))
}
