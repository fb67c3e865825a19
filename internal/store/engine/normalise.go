package engine

import (
	"strings"
	"unicode/utf8"
)

// normalise makes both engines store the same: a nil slice of bytes is an empty one, not NULL, and text holds neither
// NUL nor invalid UTF-8, which Postgres refuses and SQLite would keep. Both become U+FFFD, so no such text ever equals
// a clean one.
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
