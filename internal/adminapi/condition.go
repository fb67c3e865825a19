package adminapi

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
)

// Conditional is the input of a change that may name the version of the object that the caller has read.
type Conditional struct {
	IfMatch string    `header:"If-Match" maxLength:"1000" doc:"The ETag of the object as you read it: the change fails if it has changed since. Missing or *: change whatever is there now."`
	version time.Time // that the change may be made of; zero: any
}

// matches reports whether If-Match allows a change of the object with this tag (RFC 9110 §13.1.1: weak tags never
// match).
func (c *Conditional) matches(tag string) bool {
	return slices.ContainsFunc(strings.Split(c.IfMatch, ","), func(sent string) bool {
		sent = strings.TrimSpace(sent)
		return sent == tag || sent == "*"
	})
}

// An OnUser, OnGroup or OnClient is the input of a change of one object, or of what belongs to it.
type (
	OnUser struct {
		OfID
		Conditional
	}
	OnGroup struct {
		OfID
		Conditional
	}
	OnClient struct {
		OfID
		Conditional
	}
)

// present returns the version of the object that a change is about.
func (in *OnUser) present(ctx context.Context, ops *admin.Operations) (time.Time, error) {
	u, err := ops.Users.Get(ctx, in.actor, in.ID)
	return u.UpdatedAt, err
}

func (in *OnGroup) present(ctx context.Context, ops *admin.Operations) (time.Time, error) {
	g, err := ops.Groups.Get(ctx, in.actor, in.ID)
	return g.UpdatedAt, err
}

func (in *OnClient) present(ctx context.Context, ops *admin.Operations) (time.Time, error) {
	c, err := ops.Clients.Get(ctx, in.actor, in.ID)
	return c.UpdatedAt, err
}

// A condition is an input that may be conditional.
type condition interface {
	conditional() bool
	matches(tag string) bool
	hold(version time.Time)
	present(ctx context.Context, ops *admin.Operations) (time.Time, error)
}

func (c *Conditional) conditional() bool      { return c.IfMatch != "" && c.IfMatch != "*" }
func (c *Conditional) hold(version time.Time) { c.version = version }

// allowed returns admin.ErrStale if a request is made of a version that is no longer the present one. Changes that
// could undo another one check the version once more with the write.
func (a *API) allowed(ctx context.Context, in any) error {
	c, ok := in.(condition)
	if !ok || !c.conditional() {
		return nil
	}
	version, err := c.present(ctx, a.cfg.Operations)
	if err == nil && !c.matches(etag(version)) {
		err = admin.ErrStale
	}
	c.hold(version)
	return err
}
