package store

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/idp"
)

const clientColumns = `metadata, secrets, id, created_at, updated_at, disabled_at, registration_hash, used_at`

func scanClient(row pgx.CollectableRow) (c idp.Client, err error) {
	err = row.Scan(document(&c), document(&c.Secrets), &c.ID, (*instant)(&c.CreatedAt), (*instant)(&c.UpdatedAt),
		(*instant)(&c.DisabledAt),
		&c.RegistrationHash, (*instant)(&c.UsedAt))
	return c, err
}

const insertClient = `INSERT INTO clients (` + clientColumns + `) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`

func clientValues(c idp.Client) []any {
	return []any{
		text(c), text(c.Secrets), c.ID, ms(c.CreatedAt), ms(c.UpdatedAt), ms(c.DisabledAt), c.RegistrationHash,
		ms(c.UsedAt),
	}
}

// PutClient adds or replaces a client. The time of its creation stays, and a client that DisableClient has disabled
// stays disabled, even if c was loaded before. This process sees the change at once, other replicas within 4 seconds.
func (db *DB) PutClient(ctx context.Context, c idp.Client, ev ...idp.Event) error {
	var b batch
	b.put(c)
	b.events(ev)
	defer db.clients.Forget(c.ID) // also after an error: the write may have happened
	return db.run(ctx, "store client", &b)
}

func (b *batch) put(c idp.Client) {
	b.Do(insertClient+`
		ON CONFLICT (id) DO UPDATE SET metadata = excluded.metadata, secrets = excluded.secrets,
			updated_at = excluded.updated_at, registration_hash = excluded.registration_hash, used_at = excluded.used_at`,
		clientValues(c)...)
}

// Client returns an enabled client; idp.ErrNotFound. It answers from a cache of 4 seconds, unknown IDs included.
// Callers share the cached client: do not change its slices. To edit a client, load it with StoredClient.
func (db *DB) Client(ctx context.Context, id string) (idp.Client, error) {
	c, known, generation := db.clients.Get(id, time.Now())
	if !known {
		list, err := list(ctx, db, "load client", scanClient,
			`SELECT `+clientColumns+` FROM clients WHERE id = $1 AND disabled_at = 0`, id)
		if err != nil {
			return idp.Client{}, err
		}
		if len(list) > 0 {
			c = &list[0]
		}
		db.clients.Put(id, c, generation, time.Now())
	}
	if c == nil {
		return idp.Client{}, stepErr("load client", idp.ErrNotFound)
	}
	return *c, nil
}

// lastSeen bounds how old the client is that LastClient returns.
const lastSeen = 10 * time.Minute

// LastClient returns an enabled client as this process saw it within the last ten minutes, without asking the store:
// for reporting an outage to the client's own redirect URI. It may have been changed or disabled since: issue nothing
// to it.
func (db *DB) LastClient(id string) (idp.Client, bool) {
	c, ok := db.clients.Last(id, lastSeen, time.Now())
	if !ok {
		return idp.Client{}, false
	}
	return *c, true
}

// StoredClient returns a client as it is stored now, disabled or not, for editing; idp.ErrNotFound.
func (db *DB) StoredClient(ctx context.Context, id string) (idp.Client, error) {
	return one(ctx, db, "load stored client", scanClient, `SELECT `+clientColumns+` FROM clients WHERE id = $1`, id)
}

// Clients returns all clients as they are stored now, disabled ones too, by ID.
func (db *DB) Clients(ctx context.Context) ([]idp.Client, error) {
	return list(ctx, db, "list clients", scanClient, `SELECT `+clientColumns+` FROM clients ORDER BY id`)
}

// RemoveClient removes a client with all its grants and families; idp.ErrNotFound.
func (db *DB) RemoveClient(ctx context.Context, id string, ev ...idp.Event) error {
	var b batch
	b.Exclusive("client:" + id)
	b.Hold(idp.ErrNotFound, "clients", "id = $1", id)
	b.Do(`DELETE FROM families WHERE client_id = $1`, id) // reads all families: no index is kept for a command
	b.removeClient(id)
	b.events(ev)
	defer db.clients.Forget(id)
	return db.run(ctx, "remove client", &b)
}

func (b *batch) removeClient(id string) {
	b.Do(`DELETE FROM clients WHERE id = $1`, id)
	b.Do(`DELETE FROM grants WHERE client_id = $1`, id)
	b.Do(`DELETE FROM session_clients WHERE client_id = $1`, id)
	b.Do(`DELETE FROM logout_outbox WHERE client_id = $1`, id)
}
