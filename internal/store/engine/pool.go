package engine

import (
	"database/sql"
	"time"
)

// A Pool is the state of a pool of connections.
type Pool struct {
	Name           string // postgres; reader, writer
	Max, Open, Use int
	// Waits is how often a caller had to wait for a connection since the start, and Waited for how long altogether.
	Waits  int64
	Waited time.Duration
}

// Pools implements Conn.
func (p *Postgres) Pools() []Pool {
	s := p.pool.Stat()
	return []Pool{{
		Name: "postgres", Max: int(s.MaxConns()), Open: int(s.TotalConns()), Use: int(s.AcquiredConns()),
		Waits: s.EmptyAcquireCount(), Waited: s.EmptyAcquireWaitTime(),
	}}
}

// Pools implements Conn.
func (e *SQLite) Pools() []Pool {
	pool := func(name string, db *sql.DB) Pool {
		s := db.Stats()
		return Pool{name, s.MaxOpenConnections, s.OpenConnections, s.InUse, s.WaitCount, s.WaitDuration}
	}
	return []Pool{pool("sqlite writer", e.writer), pool("sqlite reader", e.reader)}
}
