package store

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/rows"
)

// An OpaqueToken is an access token that is looked up instead of verified. It expires no later than its family.
type OpaqueToken struct {
	Hash         string // idp.Secret.Hash
	FamilyID     string
	Scopes       []string
	Audience     []string
	Details      idp.Details
	Confirmation idp.Confirmation
	IssuedAt     time.Time
	ExpiresAt    time.Time
}

// A FamilyKey finds the family of a refresh token.
type FamilyKey = rows.FamilyKey

// held is a family with its user.
type held struct {
	family idp.Family
	user   idp.User
}

func scanHeld(row pgx.CollectableRow) (*held, error) {
	h := &held{}
	return h, row.Scan(slices.Concat(rows.FamilyDest(&h.family), memberDest(&h.user))...)
}

// heldQuery reads live families of enabled users, with their membership; $1 is now.
const heldQuery = `SELECT ` + rows.FamilyColumns + `, ` + memberColumns + ` FROM families f ` + rows.FamilyJoins + live

const live = ` WHERE f.revoked_at = 0 AND f.expires_at > $1 AND u.disabled_at = 0`

func scanBasis(row pgx.CollectableRow) (*held, error) {
	h := &held{}
	return h, row.Scan(append(rows.BasisDest(&h.family), memberDest(&h.user)...)...)
}

func nowMS() int64 { return ms(time.Now()) }

// CreateFamily stores a new family with its events and, if there is one, its first opaque access token. If WatchFrom is
// set, it also records that the client wants to hear of the end of the session. It returns the family as it reads from
// now on, with its user: in one batch, because a window of its authentication may have been closed in the meantime.
//
// It stores nothing and returns idp.ErrNotFound if the user or client is gone or disabled, the session has ended, the
// passkey was removed or suspended, the grant of a Granted family is gone, the user is in none of the groups of
// OnlyFor, or SpendFamily came before; idp.ErrConflict if a family with this ID exists. A concurrent call that ends one
// of these either comes before and is seen here, or finds the family.
func (db *DB) CreateFamily(
	ctx context.Context, f idp.Family, opaque *OpaqueToken, ev ...idp.Event,
) (idp.Family, idp.User, error) {
	var b batch
	var u idp.User
	var found bool
	f.Assurance.ActionClasses = slices.Clone(f.Assurance.ActionClasses)
	names := []string{"user:" + f.UserID, "client:" + f.ClientID, "session:" + f.SessionID, "family:" + f.ID}
	if !db.compact.Load() {
		names = append(names, grantName(f.UserID, f.ClientID)) // an older program takes this name to remove a grant
	}
	b.Share(names...)
	if f.Assurance.PasskeyID == "" { // an older program issued the code
		b.Demand(idp.ErrNotFound, `NOT EXISTS (SELECT 1 FROM authentications a
			LEFT JOIN ended e ON e.id = a.passkey_id LEFT JOIN passkeys k ON k.id = a.passkey_id
			WHERE a.id = $1 AND (e.id IS NOT NULL OR k.suspended_at > 0))`, f.Assurance.AuthenticationID)
	}
	b.admits(f.UserID, f.OnlyFor)
	b.family(f, db.compact.Load())
	if opaque != nil {
		b.opaque(*opaque)
	}
	if !f.WatchFrom.IsZero() && f.SessionID != "" {
		b.watch(f)
	}
	b.events(ev)
	b.Read(engine.Into(&u, &found, func(row pgx.CollectableRow) (u idp.User, err error) {
		err = row.Scan(append([]any{&rows.Closed{Of: &f.Assurance}}, memberDest(&u)...)...)
		return u, err
	}), `SELECT COALESCE(w.classes, ''), `+memberColumns+` FROM members u
		LEFT JOIN closed_windows w ON w.authentication_id = $1 AND w.user_id = u.id WHERE u.id = $2`,
		f.Assurance.AuthenticationID, f.UserID)
	err := db.run(ctx, "create family", &b)
	return f, u, err
}

// family inserts a family. If anything it needs is gone, the user's ID is NULL and the batch fails with
// idp.ErrNotFound. This costs less than a demand for each.
func (b *batch) family(f idp.Family, compact bool) {
	b.Do(`INSERT INTO families (id, client_id, session_id, user_id, scopes, audience, resources, details,
			authentication_id, passkey_id, acr, amr, auth_time, classes, assurance, claims, confirmation, offline,
			handle_hash, current_hash, previous_hash, rotated_at, created_at, expires_at, revoked_at)
		VALUES ($1, $2, $3, (SELECT u.id FROM users u WHERE u.id = $4 AND u.disabled_at = 0
			AND EXISTS (SELECT 1 FROM clients c WHERE c.id = $2 AND c.disabled_at = 0)
			AND NOT EXISTS (SELECT 1 FROM ended e WHERE e.id IN ($1, $3, $5))
			AND NOT EXISTS (SELECT 1 FROM passkeys k WHERE k.id = $5 AND k.suspended_at > 0)
			AND (NOT $6 OR EXISTS (SELECT 1 FROM grants g WHERE g.user_id = $4 AND g.client_id = $2))),
			$7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, $24, $25, $26, $27)`,
		rows.Family(f, compact)...)
}

// FamilyWithUser returns the basis of an access token: a family that is neither revoked nor expired, with its enabled
// user, in one round trip; idp.ErrNotFound. Of the family it has only the client, user, session, assurance and
// requested claims.
func (db *DB) FamilyWithUser(ctx context.Context, familyID string) (idp.Family, idp.User, error) {
	h, err := one(ctx, db, "load family", scanBasis, `SELECT `+rows.BasisColumns+`, `+memberColumns+`
		FROM families f `+rows.FamilyJoins+live+` AND f.id = $2`, nowMS(), familyID)
	if err != nil {
		return idp.Family{}, idp.User{}, err
	}
	return h.family, h.user, nil
}

// FamilyByOpaque is FamilyWithUser for a live opaque access token.
func (db *DB) FamilyByOpaque(ctx context.Context, hash string) (OpaqueToken, idp.Family, idp.User, error) {
	var t OpaqueToken
	h, err := one(ctx, db, "load opaque token", func(row pgx.CollectableRow) (*held, error) {
		h := &held{}
		return h, row.Scan(slices.Concat([]any{
			&t.Hash, &t.FamilyID, document(&t.Scopes), document(&t.Audience), document(&t.Details),
			document(&t.Confirmation), (*instant)(&t.IssuedAt), (*instant)(&t.ExpiresAt),
		}, rows.BasisDest(&h.family), memberDest(&h.user))...)
	}, `SELECT t.hash, t.family_id, t.scopes, t.audience, t.details, t.confirmation, t.issued_at, t.expires_at, `+
		rows.BasisColumns+`, `+memberColumns+` FROM opaque_tokens t JOIN families f ON f.id = t.family_id `+
		rows.FamilyJoins+live+` AND t.hash = $2 AND t.expires_at > $1`, nowMS(), hash)
	if err != nil {
		return OpaqueToken{}, idp.Family{}, idp.User{}, err
	}
	return t, h.family, h.user, nil
}

// The statements of RotateFamily, without the condition of the key.
const (
	rotateQuery = `UPDATE families AS f SET previous_hash = current_hash, current_hash = $5, rotated_at = $1
		WHERE f.client_id = $3 AND f.current_hash = $4 AND f.revoked_at = 0 AND f.expires_at > $1
			AND EXISTS (SELECT 1 FROM users u WHERE u.id = f.user_id AND u.disabled_at = 0)`
	replacedQuery = heldQuery + ` AND f.client_id = $3 AND f.previous_hash = $4`
)

// RotateFamily replaces the refresh token of a live family, in one round trip:
//
//   - presented is the current one: it becomes the previous one, next the current one;
//   - presented is the previous one, and less than grace has passed since it was replaced: nothing changes. The answer
//     to the first use was lost, or two requests came at once; the caller derives the same successor from it again;
//   - anything else is idp.ErrNotFound, including another client, an expired family and a disabled user.
//
// If several callers present the current token at once, it is rotated once.
func (db *DB) RotateFamily(
	ctx context.Context, key FamilyKey, presentedHash, nextHash, clientID string, now time.Time, grace time.Duration,
) (idp.Family, idp.User, error) {
	var b batch
	var h *held
	var rotated, found bool
	var id string
	rotate, read := rotateQuery+rows.ByID+` RETURNING id`, replacedQuery+rows.ByID
	_, argument := key.Condition()
	if key.ID == "" {
		rotate, read = rotateQuery+rows.ByHandle+` RETURNING id`, replacedQuery+rows.ByHandle
	}
	b.Read(engine.Into(&id, &rotated, pgx.RowTo[string]), rotate, ms(now), argument, clientID, presentedHash, nextHash)
	b.Read(engine.Into(&h, &found, scanHeld), read, ms(now), argument, clientID, presentedHash)
	if err := db.run(ctx, "rotate family", &b); err != nil {
		return idp.Family{}, idp.User{}, err
	}
	inGrace := found && now.Sub(h.family.RotatedAt) < grace
	if !found || !rotated && !inGrace {
		return idp.Family{}, idp.User{}, stepErr("rotate family", idp.ErrNotFound)
	}
	return h.family, h.user, nil
}

// FamilyByRefresh returns the live family of a refresh token that RotateFamily would accept now, and changes nothing;
// idp.ErrNotFound.
func (db *DB) FamilyByRefresh(
	ctx context.Context, key FamilyKey, presentedHash, clientID string, now time.Time, grace time.Duration,
) (idp.Family, error) {
	condition, argument := key.Condition()
	h, err := one(ctx, db, "load family of refresh token", scanHeld,
		heldQuery+condition+` AND f.client_id = $3
			AND (f.current_hash = $4 OR f.previous_hash = $4 AND f.rotated_at > $5)`,
		ms(now), argument, clientID, presentedHash, ms(now.Add(-grace)))
	if err != nil {
		return idp.Family{}, err
	}
	return h.family, nil
}

// UndoRotation takes back the rotation of a refused request, made at this time: the next token was never delivered. If
// the family has moved on, nothing changes.
func (db *DB) UndoRotation(ctx context.Context, familyID, presentedHash, nextHash string, at time.Time) error {
	var b batch
	b.Do(`UPDATE families SET current_hash = $2, previous_hash = '', rotated_at = 0
		WHERE id = $1 AND previous_hash = $2 AND current_hash = $3 AND rotated_at = $4`, familyID, presentedHash, nextHash,
		ms(at))
	return db.run(ctx, "undo rotation", &b)
}

// AddOpaque adds an access token to a family; idp.ErrNotFound if there is no such family.
func (db *DB) AddOpaque(ctx context.Context, t OpaqueToken) error {
	var b batch
	b.opaque(t)
	return db.run(ctx, "add opaque token", &b)
}

func (b *batch) opaque(t OpaqueToken) {
	b.Do(`INSERT INTO opaque_tokens (hash, family_id, scopes, audience, details, confirmation, issued_at, expires_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`,
		t.Hash, t.FamilyID, text(t.Scopes), text(t.Audience), text(t.Details), text(t.Confirmation), ms(t.IssuedAt),
		ms(t.ExpiresAt))
}
