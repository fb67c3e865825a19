// Package session is the browser's signed-in state at the provider.
package session

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
)

// Config says how sessions live. The zero value of everything but Store is sound.
type Config struct {
	Store    ephemeral.Store
	Idle     time.Duration                // longest silence; 0: 1 hour
	Absolute time.Duration                // longest life; 0: 12 hours
	Insecure bool                         // http on localhost: plain cookie names, no Secure
	Agent    func(string) string          // names a User-Agent for people ("Firefox on macOS"); nil: sessions carry no name
	Address  func(r *http.Request) string // the client's address; nil: sessions carry none
}

// Sessions keeps the sessions of all browsers.
type Sessions struct{ cfg Config }

// ErrOtherUser says that an authentication belongs to another user than the session.
var ErrOtherUser = errors.New("authentication of another user")

var errSkeleton = errors.New("being written")

// New returns the sessions kept in cfg.Store.
func New(cfg Config) *Sessions { return &Sessions{cfg} }

func (s *Sessions) CurrentOp(r *http.Request) *ephemeral.Op { return nil }
func (s *Sessions) FromOp(ctx context.Context, r *http.Request, op *ephemeral.Op) (*idp.Session, error) {
	return nil, errSkeleton
}
func (s *Sessions) Current(ctx context.Context, r *http.Request) (*idp.Session, error) {
	return nil, errSkeleton
}
func (s *Sessions) Start(ctx context.Context, w http.ResponseWriter, r *http.Request, a idp.Authentication) (*idp.Session, error) {
	return nil, errSkeleton
}
func (s *Sessions) Elevate(ctx context.Context, w http.ResponseWriter, r *http.Request, sess *idp.Session, a idp.Authentication) (*idp.Session, error) {
	return nil, errSkeleton
}
func (s *Sessions) End(ctx context.Context, w http.ResponseWriter, r *http.Request) error {
	return errSkeleton
}
func (s *Sessions) ClearCookie(w http.ResponseWriter) {}
func (s *Sessions) List(ctx context.Context, userID string) ([]idp.Session, error) {
	return nil, errSkeleton
}
func (s *Sessions) Revoke(ctx context.Context, userID, sid string) error { return errSkeleton }
func (s *Sessions) RevokeAll(ctx context.Context, userID, except string) ([]string, error) {
	return nil, errSkeleton
}
func (s *Sessions) Browser(r *http.Request) idp.Secret                              { return "" }
func (s *Sessions) EnsureBrowser(w http.ResponseWriter, r *http.Request) idp.Secret { return "" }
