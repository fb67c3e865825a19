package admin

import (
	"context"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/lint"
)

// usesAtOnce is how many clients one look-up asks about.
const usesAtOnce = 200

// Uses returns what clients did last, as package lint reads it.
func (s *Clients) Uses(ctx context.Context, by Actor, clients []idp.Client) (map[string]lint.Use, error) {
	uses := map[string]lint.Use{}
	for some := range slices.Chunk(clients, usesAtOnce) {
		ids := make([]string, len(some))
		for i, c := range some {
			ids[i] = c.ID
		}
		found, err := s.Usage(ctx, by, ids...)
		if err != nil {
			return nil, err
		}
		for id, u := range found {
			uses[id] = lint.Use{TokensAt: u.TokensAt, ErrorAt: u.ErrorAt}
		}
	}
	return uses, nil
}
