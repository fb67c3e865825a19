package provision

import (
	"context"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/idp"
)

// A Preview says what would be sent now.
type Preview struct {
	Counts map[Action]int
	People []Planned // the first of them
	Looked int       // at so many users
	More   bool      // there are more users than that
}

// A Planned is a user, and what would happen to them.
type Planned struct {
	User   idp.User
	Action Action
}

const (
	previewPeople = 100
	previewLooks  = 10_000
)

// Preview returns what would be sent to an application now, without sending anything. It looks at 10,000 users at most;
// idp.ErrNotFound.
func (s *Service) Preview(ctx context.Context, by admin.Actor, clientID string) (Preview, error) {
	out := Preview{Counts: map[Action]int{}}
	if err := s.cfg.Operations.MayRead(ctx, by); err != nil {
		return out, err
	}
	t, err := s.records.Target(ctx, clientID)
	if err != nil {
		return out, err
	}
	c, err := s.cfg.Operations.DB().StoredClient(ctx, clientID)
	if err != nil {
		return out, err
	}
	d := &delivery{Service: s, target: t, client: c}
	for after := ""; ; {
		people, err := s.records.People(ctx, clientID, after, pageSize)
		if err != nil {
			return out, err
		}
		for _, p := range people {
			action := d.plan(p).action
			if action == Nothing {
				continue
			}
			out.Counts[action]++
			if len(out.People) < previewPeople {
				out.People = append(out.People, Planned{p.User, action})
			}
		}
		out.Looked += len(people)
		if len(people) < pageSize {
			return out, nil
		}
		if out.Looked >= previewLooks {
			out.More = true
			return out, nil
		}
		after = people[len(people)-1].User.ID
	}
}
