package manage

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/store/leases"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/server"
)

const (
	firstAdminTTL = 24 * time.Hour
	// firstAdminTurn is how long one replica may take to make the link while the others wait.
	firstAdminTurn = 10 * time.Second
	// firstAdminKey is where the link's token is kept, sealed, for the other replicas.
	firstAdminKey = "first-admin:token"
)

// FirstAdmin invites an admin while there is none who could sign in, and says until when the link works; "" once
// there is one. Replicas that start together, and those that start again, return the same link as long as it works.
func FirstAdmin(ctx context.Context, s *server.Server) (link idp.Secret, until time.Time, err error) {
	has, err := s.DB.HasOwner(ctx)
	if err != nil || has {
		return "", time.Time{}, err
	}
	known, err := operatorkey.Load(ctx, s.Config)
	if err != nil {
		return "", time.Time{}, err
	}
	wrapper, err := keys.NewWrapper(known[0], known[1:]...)
	if err != nil {
		return "", time.Time{}, err
	}
	done, err := turn(ctx, s)
	if err != nil {
		return "", time.Time{}, err
	}
	defer done()
	stored := &ephemeral.Op{Verb: ephemeral.Get, Key: firstAdminKey}
	if err := s.Ephemeral.Do(ctx, stored); err != nil {
		return "", time.Time{}, err
	}
	if token, err := wrapper.Open(stored.Result, firstAdminKey); err == nil {
		until, err := enrol.InvitationExpiry(ctx, s.DB, idp.Secret(token))
		if err == nil {
			return enrol.InvitationLink(s.Config.Issuer.String(), idp.Secret(token)), until, nil
		}
		if !errors.Is(err, idp.ErrNotFound) {
			return "", time.Time{}, err
		}
	}
	ops, err := Operations(s.Config, s.DB)
	if err != nil {
		return "", time.Time{}, err
	}
	invitation, err := ops.Users.Invite(ctx, Operator, admin.NewUser{
		Email: "admin@localhost", Name: "Administrator", Role: directory.RoleOwner,
	}, firstAdminTTL, false)
	if err != nil {
		return "", time.Time{}, Told("invite the first owner", err)
	}
	link = invitation.Link
	_, token, _ := strings.Cut(link.Reveal(), "#")
	store := &ephemeral.Op{
		Verb: ephemeral.Put, Key: firstAdminKey, Value: wrapper.Seal([]byte(token), firstAdminKey), TTL: firstAdminTTL,
	}
	if err := s.Ephemeral.Do(ctx, store); err != nil {
		return "", time.Time{}, err
	}
	return link, time.Now().Add(firstAdminTTL), nil
}

// turn waits until no other replica makes the link, and returns the func that lets the next one do so. A replica that
// dies meanwhile holds the others up for firstAdminTurn.
func turn(ctx context.Context, s *server.Server) (done func(), err error) {
	holder := idp.NewID()
	lease := func(ttl time.Duration) (bool, error) {
		now, err := s.DB.Now(ctx)
		if err != nil {
			return false, err
		}
		return leases.Take(ctx, s.DB, "first-admin", holder, ttl, now)
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		got, err := lease(firstAdminTurn)
		if err != nil {
			return nil, fmt.Errorf("wait for the other replicas: %w", err)
		}
		if got {
			return func() { _, _ = lease(0) }, nil // or it runs out by itself
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-tick.C:
		}
	}
}
