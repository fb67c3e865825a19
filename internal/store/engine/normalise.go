package engine

import (
	"strings"
	"unicode/utf8"
)

// normalise makes both engines store the same values: a nil []byte becomes empty, not NULL, and NUL and invalid UTF-8
// in text, which Postgres refuses and SQLite would keep, become U+FFFD. So no such text ever equals a clean one.
func normalise(args []any) []any {
	for i, arg := range args {
		switch v := arg.(type) {
		case []byte:
			if v == nil {
				args[i] = []byte{}
			}
		case string:
			if !utf8.ValidString(v) || strings.IndexByte(v, 0) >= 0 {
				args[i] = strings.ReplaceAll(strings.ToValidUTF8(v, "\uFFFD"), "\x00", "\uFFFD")
			}
		}
	}
	return args
}
