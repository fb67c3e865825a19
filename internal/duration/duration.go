// Package duration reads and writes durations as settings, forms and the command line have them: 90s, 15m, 1h30m.
package duration

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Parse reads a duration. Its error says what was given, and what would be right.
func Parse(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err == nil {
		return d, nil
	}
	return 0, errors.New(notADuration(v))
}

func notADuration(v string) string {
	if m := wordedDuration.FindStringSubmatch(strings.ToLower(v)); m != nil {
		n, err := strconv.ParseInt(m[1], 10, 32)
		switch unit := m[2]; {
		case err != nil:
		case unit == "":
			return fmt.Sprintf("%q is a duration without a unit; write %ds, %dm or %dh", v, n, n, n)
		case hours[unit] > 0:
			return fmt.Sprintf("%q is not a duration; the longest unit is an hour: write %dh", v, n*hours[unit])
		default:
			return fmt.Sprintf("%q is not a duration; write %d%s", v, n, unit[:1])
		}
	}
	return fmt.Sprintf("%q is not a duration, such as 90s, 15m or 12h", v)
}

var wordedDuration = regexp.MustCompile(
	`^\s*([0-9]+)\s*(|s|secs?|seconds?|m|mins?|minutes?|h|hrs?|hours?|d|days?|w|weeks?|y|years?)\s*$`)

// hours are what the units that are longer than one are worth.
var hours = map[string]int64{
	"d": 24, "day": 24, "days": 24, "w": 168, "week": 168, "weeks": 168, "y": 8760, "year": 8760, "years": 8760,
}

// Short writes a duration without the zeros that Go gives it: 1h and not 1h0m0s.
func Short(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}
