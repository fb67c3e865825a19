package store

import (
	"context"
	"errors"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

var errSkeleton = errors.New("store: being written")

func (db *DB) CreateUser(ctx context.Context, u idp.User, ev ...idp.Event) error { return errSkeleton }
func (db *DB) UserByID(ctx context.Context, id string) (idp.User, error) {
	return idp.User{}, errSkeleton
}
func (db *DB) UserByEmail(ctx context.Context, email string) (idp.User, error) {
	return idp.User{}, errSkeleton
}
func (db *DB) UpdateUser(ctx context.Context, u idp.User, ev ...idp.Event) error { return errSkeleton }
func (db *DB) Users(ctx context.Context, after string, limit int) ([]idp.User, error) {
	return nil, errSkeleton
}
func (db *DB) HasAdmin(ctx context.Context) (bool, error) { return false, errSkeleton }
func (db *DB) AddPasskey(ctx context.Context, k idp.Passkey, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) PasskeyByCredentialID(ctx context.Context, credentialID []byte) (idp.Passkey, idp.User, error) {
	return idp.Passkey{}, idp.User{}, errSkeleton
}
func (db *DB) PasskeysOf(ctx context.Context, userID string) ([]idp.Passkey, error) {
	return nil, errSkeleton
}
func (db *DB) PasskeysByEmail(ctx context.Context, email string) ([]idp.Passkey, error) {
	return nil, errSkeleton
}
func (db *DB) RenamePasskey(ctx context.Context, userID, id, name string, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RemovePasskey(ctx context.Context, userID, id string, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RecordAuthentication(ctx context.Context, k idp.Passkey, a idp.Authentication, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RegressPasskey(ctx context.Context, passkeyID string, at time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) Grant(ctx context.Context, userID, clientID string) (idp.Grant, error) {
	return idp.Grant{}, errSkeleton
}
func (db *DB) PutGrant(ctx context.Context, g idp.Grant, ev ...idp.Event) error { return errSkeleton }
func (db *DB) RemoveGrant(ctx context.Context, userID, clientID string, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) GrantsOf(ctx context.Context, userID string) ([]idp.Grant, error) {
	return nil, errSkeleton
}
func (db *DB) CreateFamily(ctx context.Context, f idp.Family, opaque *OpaqueToken, ev ...idp.Event) (idp.User, error) {
	return idp.User{}, errSkeleton
}
func (db *DB) FamilyWithUser(ctx context.Context, familyID string) (idp.Family, idp.User, error) {
	return idp.Family{}, idp.User{}, errSkeleton
}
func (db *DB) FamilyByOpaque(ctx context.Context, hash string) (OpaqueToken, idp.Family, idp.User, error) {
	return OpaqueToken{}, idp.Family{}, idp.User{}, errSkeleton
}
func (db *DB) RotateFamily(ctx context.Context, handleHash, presentedHash, nextHash, clientID string, now time.Time, grace time.Duration) (idp.Family, idp.User, error) {
	return idp.Family{}, idp.User{}, errSkeleton
}
func (db *DB) ReuseOfFamily(ctx context.Context, handleHash string, now time.Time, ev idp.Event) (familyID string, err error) {
	return "", errSkeleton
}
func (db *DB) AddOpaque(ctx context.Context, t OpaqueToken) error { return errSkeleton }
func (db *DB) RevokeFamily(ctx context.Context, familyID, clientID string, now time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RevokeFamilyByHandle(ctx context.Context, handleHash, clientID string, now time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RevokeOpaque(ctx context.Context, hash, clientID string, now time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RevokeSessionFamilies(ctx context.Context, sid string, now time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) RevokeUserFamilies(ctx context.Context, userID string, now time.Time, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) PutClient(ctx context.Context, c idp.Client, ev ...idp.Event) error { return errSkeleton }
func (db *DB) Client(ctx context.Context, id string) (idp.Client, error) {
	return idp.Client{}, errSkeleton
}
func (db *DB) Clients(ctx context.Context) ([]idp.Client, error)                  { return nil, errSkeleton }
func (db *DB) RemoveClient(ctx context.Context, id string, ev ...idp.Event) error { return errSkeleton }
func (db *DB) SigningKeys(ctx context.Context) ([]idp.SigningKey, error)          { return nil, errSkeleton }
func (db *DB) AddSigningKey(ctx context.Context, k idp.SigningKey, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) UpdateSigningKeys(ctx context.Context, keys []idp.SigningKey, ev ...idp.Event) error {
	return errSkeleton
}
func (db *DB) PutLink(ctx context.Context, l idp.Link, ev ...idp.Event) error { return errSkeleton }
func (db *DB) TakeLink(ctx context.Context, hash, kind string, now time.Time) (idp.Link, error) {
	return idp.Link{}, errSkeleton
}
func (db *DB) PeekLink(ctx context.Context, hash, kind string, now time.Time) (idp.Link, error) {
	return idp.Link{}, errSkeleton
}
func (db *DB) RecordEvents(ctx context.Context, ev ...idp.Event) error { return errSkeleton }
func (db *DB) EventsOf(ctx context.Context, userID string, limit int) ([]idp.Event, error) {
	return nil, errSkeleton
}
func (db *DB) Events(ctx context.Context, afterID string, limit int) ([]idp.Event, error) {
	return nil, errSkeleton
}
func (db *DB) EnqueueMail(ctx context.Context, m Mail) error { return errSkeleton }
func (db *DB) ClaimMail(ctx context.Context, now time.Time, lease time.Duration) (Mail, error) {
	return Mail{}, errSkeleton
}
func (db *DB) FinishMail(ctx context.Context, id, failure string, next time.Time) error {
	return errSkeleton
}
func (db *DB) Lease(ctx context.Context, name, holder string, ttl time.Duration, now time.Time) (bool, error) {
	return false, errSkeleton
}
func (db *DB) Sweep(ctx context.Context, now time.Time) (deleted int64, err error) {
	return 0, errSkeleton
}
func (db *DB) Migrate(ctx context.Context) error     { return errSkeleton }
func (db *DB) CheckSchema(ctx context.Context) error { return errSkeleton }
func (db *DB) Ping(ctx context.Context) error        { return errSkeleton }
func (db *DB) Close() error                          { return errSkeleton }
func (db *DB) RoundTrips() int64                     { return 0 }
func (db *DB) Backend() string                       { return "" }

// An OpaqueToken is an access token that is looked up instead of verified.
type OpaqueToken struct {
	Hash      string
	FamilyID  string
	Scopes    []string
	IssuedAt  time.Time
	ExpiresAt time.Time
}

// Mail is one message in the outbox.
type Mail struct {
	ID, To, Subject, Text, HTML string
	CreatedAt, NextAt           time.Time
	Attempts                    int
}
