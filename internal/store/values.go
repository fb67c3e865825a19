package store

import (
	"time"

	"github.com/stepward/stepward/internal/store/rows"
)

func ms(t time.Time) int64 { return rows.Millis(t) }
func text(v any) string    { return rows.Text(v) }

func document(to any) any { return &rows.Document{To: to} }

type instant = rows.Instant
