package server

import (
	"context"
	"errors"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

const (
	roomEvery       = 5 * time.Second
	embeddedCeiling = 1 << 30 // bytes of ephemeral.db, unless the operator says otherwise
)

// watchRoom follows how full the ephemeral store is, until ctx ends. Requests only look at the result.
func (s *Server) watchRoom(ctx context.Context) {
	tick := time.NewTicker(roomEvery)
	defer tick.Stop()
	blind := false
	for {
		err := s.measureRoom(ctx)
		if err != nil && !errors.Is(err, idp.ErrUnavailable) && !blind {
			blind = true
			s.log.Warn("cannot see how full the ephemeral store is: strangers meet no ceiling", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// measureRoom asks the ephemeral store how full it is.
func (s *Server) measureRoom(ctx context.Context) error {
	used, most, err := s.Ephemeral.Used(ctx)
	if err != nil {
		return err
	}
	ceiling := most / 10 * 9
	switch {
	case s.Config.EphemeralCeiling > 0:
		ceiling = s.Config.EphemeralCeiling << 20
	case s.Config.Embedded():
		ceiling = embeddedCeiling
	}
	switch changed := s.room.Update(used, ceiling); {
	case changed && s.room.Short():
		s.log.Warn("the ephemeral store is half full: requests of strangers meet lower limits", "used", used,
			"ceiling", ceiling)
	case changed:
		s.log.Info("the ephemeral store has space again", "used", used, "ceiling", ceiling)
	}
	return nil
}
