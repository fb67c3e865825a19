package limit_test

import (
	"testing"

	"github.com/stepward/stepward/internal/limit"
)

func TestStrangersGetWhatSpaceIsLeft(t *testing.T) {
	for _, c := range []struct{ used, ceiling, most int64 }{
		{0, 0, 1000},
		{1 << 40, 0, 1000}, // no ceiling
		{0, 1000, 1000},
		{500, 1000, 1000},
		{501, 1000, 998},
		{750, 1000, 500},
		{999, 1000, 2},
		{1000, 1000, 0},
		{9999, 1000, 0},
		{1, 1, 0},
		{1, 2, 1000},
		{2, 2, 0},
	} {
		var room limit.Room
		changed := room.Update(c.used, c.ceiling)
		got := room.Shrink(limit.Limit{Most: 1000}).Most
		if got != c.most || changed != (got < 1000) || room.Short() != changed {
			t.Errorf("%d of %d: limit %d, want %d; changed %v, short %v", c.used, c.ceiling, got, c.most, changed, room.Short())
		}
		if room.Update(c.used, c.ceiling) {
			t.Errorf("%d of %d: changed twice", c.used, c.ceiling)
		}
	}
	if (*limit.Room)(nil).Shrink(limit.Waiting) != limit.Waiting {
		t.Error("without a room the limit is another")
	}
}
