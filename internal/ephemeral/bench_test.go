package ephemeral_test

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
)

func benchmarkStore(b *testing.B, s ephemeral.Store) {
	value := make([]byte, 600) // about an authorization code's record
	op := func(verb ephemeral.Verb, key string) *ephemeral.Op {
		return &ephemeral.Op{Verb: verb, Key: key, Value: value, Old: value, TTL: time.Minute}
	}
	if err := s.Do(b.Context(), op(ephemeral.Put, "x:stays")); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name string
		ops  []*ephemeral.Op
	}{
		{"get", []*ephemeral.Op{op(ephemeral.Get, "x:stays")}},
		{"put", []*ephemeral.Op{op(ephemeral.Put, "x:a")}},
		{"put+take", []*ephemeral.Op{op(ephemeral.Put, "x:a"), op(ephemeral.Take, "x:a")}},
		{"swap", []*ephemeral.Op{op(ephemeral.Swap, "x:stays")}},
		{"count", []*ephemeral.Op{op(ephemeral.Count, "x:n")}},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Do(b.Context(), c.ops...); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkRedis(b *testing.B) {
	s, err := ephemeral.OpenRedis(b.Context(), ephemeraltest.RedisURL(b), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	benchmarkStore(b, s)
}

func BenchmarkSQLite(b *testing.B) {
	s, err := ephemeral.OpenSQLite(b.Context(), filepath.Join(b.TempDir(), "ephemeral.db"), nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	benchmarkStore(b, s)
}
