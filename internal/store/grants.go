package store

import (
	"context"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

// A grant is read as one row a scope; collectGrants joins the rows.
const grantQuery = `SELECT g.user_id, g.client_id, g.created_at, g.updated_at, s.scope
	FROM grants g JOIN grant_scopes s ON s.grant_id = g.id WHERE g.user_id = $1`

type grantRow struct {
	grant idp.Grant
	scope string
}

func scanGrantRow(row pgx.CollectableRow) (r grantRow, err error) {
	err = row.Scan(&r.grant.UserID, &r.grant.ClientID, (*instant)(&r.grant.CreatedAt), (*instant)(&r.grant.UpdatedAt),
		&r.scope)
	return r, err
}

func collectGrants(rows []grantRow) []idp.Grant {
	var grants []idp.Grant
	for _, r := range rows {
		if n := len(grants); n == 0 || grants[n-1].ClientID != r.grant.ClientID {
			grants = append(grants, r.grant)
		}
		last := &grants[len(grants)-1]
		last.Scopes = append(last.Scopes, r.scope)
	}
	return grants
}

// Grant returns the scopes that a user allowed a client, in alphabetical order; idp.ErrNotFound.
func (db *DB) Grant(ctx context.Context, userID, clientID string) (idp.Grant, error) {
	rows, err := list(ctx, db, "load grant", scanGrantRow, grantQuery+` AND g.client_id = $2 ORDER BY s.scope`, userID,
		clientID)
	if err == nil && len(rows) == 0 {
		err = stepErr("load grant", idp.ErrNotFound)
	}
	if err != nil {
		return idp.Grant{}, err
	}
	return collectGrants(rows)[0], nil
}

// GrantsOf returns a user's grants, by client.
func (db *DB) GrantsOf(ctx context.Context, userID string) ([]idp.Grant, error) {
	rows, err := list(ctx, db, "list grants", scanGrantRow, grantQuery+` ORDER BY g.client_id, s.scope`, userID)
	return collectGrants(rows), err
}

// PutGrant adds scopes to those that the user allowed the client before; two consents at once add up. Without scopes it
// stores nothing. idp.ErrNotFound if there is no such user.
func (db *DB) PutGrant(ctx context.Context, g idp.Grant, ev ...idp.Event) error {
	var b batch
	if len(g.Scopes) > 0 {
		b.Do(`INSERT INTO grants (id, user_id, client_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (user_id, client_id) DO UPDATE SET updated_at = excluded.updated_at`,
			idp.NewID(), g.UserID, g.ClientID, ms(g.CreatedAt), ms(g.UpdatedAt))
	}
	for _, scope := range g.Scopes {
		b.Do(`INSERT INTO grant_scopes (grant_id, scope)
			VALUES ((SELECT id FROM grants WHERE user_id = $1 AND client_id = $2), $3)
			ON CONFLICT (grant_id, scope) DO NOTHING`, g.UserID, g.ClientID, scope)
	}
	b.events(ev)
	return db.run(ctx, "store grant", &b)
}

// RemoveGrant removes a user's grant to a client and revokes every family that the client holds for the user;
// idp.ErrNotFound if there is neither a grant nor a live family.
func (db *DB) RemoveGrant(ctx context.Context, userID, clientID string, ev ...idp.Event) error {
	var b batch
	b.Exclusive(grantName(userID, clientID)) // an older program shares this name instead
	b.Exclusive("user:" + userID)
	b.Demand(idp.ErrNotFound, `EXISTS (SELECT 1 FROM grants WHERE user_id = $1 AND client_id = $2)
		OR EXISTS (SELECT 1 FROM families WHERE user_id = $1 AND client_id = $2 AND revoked_at = 0 AND expires_at > $3)`,
		userID, clientID, nowMS())
	b.Do(`DELETE FROM grants WHERE user_id = $1 AND client_id = $2`, userID, clientID)
	b.Do(`UPDATE families SET revoked_at = $3 WHERE user_id = $1 AND client_id = $2 AND revoked_at = 0`, userID, clientID,
		nowMS())
	b.events(ev)
	return db.run(ctx, "remove grant", &b)
}

func grantName(userID, clientID string) string { return "grant:" + userID + " " + clientID }
