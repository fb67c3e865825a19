package admin

import "context"

// Owners returns how many enabled owners there are.
func (s *Users) Owners(ctx context.Context, by Actor) (int, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return 0, err
	}
	return s.roster.CountOwners(ctx)
}
