// Package arrivals moves in what another provider kept: groups, clients, claims, and people with their passkeys. All of
// it is one transaction, however many batches it takes.
//
//	Together ─▶ Look: who and what is here already? ─▶ AddGroup, AddClient, AddPeople: what is not, with its marks
//
// A mark is the hash of one thing that was moved in. It stays when the thing is removed, so moving in again adds only
// what is new there. A hash says nothing about a person who was erased since.
package arrivals

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
)

// A Mark stands for one thing of another provider.
type Mark [sha256.Size]byte

// NewMark returns the mark of a thing: the provider, its kind, and what identifies it there.
func NewMark(parts ...string) Mark { return sha256.Sum256([]byte(strings.Join(parts, "\x00"))) }

// Arrivals is a transaction in which things are moved in. It is for one goroutine.
type Arrivals struct {
	run func(*store.Batch) error
	now time.Time
}

// Together runs f in one transaction; if f returns an error, nothing changes. On the embedded store nobody else writes
// meanwhile. idp.ErrConflict if somebody else added the same user, group or client at the same time.
func Together(ctx context.Context, db *store.DB, now time.Time, f func(*Arrivals) error) error {
	return db.Together(ctx, func(run func(*store.Batch) error) error { return f(&Arrivals{run, now}) })
}

// ClaimRPID returns the host that passkeys here are made for, and makes it host if none is recorded.
func (a *Arrivals) ClaimRPID(host string) (recorded string, err error) {
	var b store.Batch
	b.Do(`INSERT INTO installation (name, value) SELECT 'rp_id', $1 WHERE NOT EXISTS (SELECT 1 FROM passkeys)
		ON CONFLICT (name) DO NOTHING`, host)
	b.Read(engine.Into(&recorded, new(bool), text), `SELECT value FROM installation WHERE name = 'rp_id'`)
	return recorded, a.run(&b)
}

func text(row store.Row) (s string, err error) {
	err = row.Scan(&s)
	return s, err
}

// A Question names what to look for.
type Question struct {
	Marks       []Mark
	UserIDs     []string
	Emails      []string // normalised
	Handles     [][]byte
	Credentials [][]byte
}

// A Resident is a user who is here already.
type Resident struct {
	ID        string
	Passkeys  int
	Recovered bool // the account was recovered at some time
}

// An Answer is what is here already.
type Answer struct {
	Marks       map[Mark]bool       // of earlier transactions
	Users       map[string]Resident // by ID
	Emails      map[string]bool     // taken, or reserved for somebody who may undo a change of address
	Handles     map[string]bool
	Credentials map[string]bool
	ClientIDs   map[string]bool // user IDs that are the ID of a client
}

// Look returns what of the question is here already.
func (a *Arrivals) Look(q Question) (Answer, error) {
	found := Answer{
		map[Mark]bool{}, map[string]Resident{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{},
	}
	marks := make([][]byte, len(q.Marks))
	for i := range q.Marks {
		marks[i] = q.Marks[i][:]
	}
	var b store.Batch
	// What has a mark of this very transaction is in the other provider's data twice.
	earlier := ` AND at <> ` + fmt.Sprint(store.Millis(a.now))
	among(&b, marks, `SELECT what FROM moved_in WHERE what IN (%s)`+earlier, func(row store.Row) error {
		var what []byte
		err := row.Scan(&what)
		if len(what) == sha256.Size {
			found.Marks[Mark(what)] = true
		}
		return err
	})
	among(&b, q.UserIDs, `SELECT u.id, (SELECT count(*) FROM passkeys k WHERE k.user_id = u.id), u.recovered_at
		FROM users u WHERE u.id IN (%s)`, func(row store.Row) error {
		var r Resident
		var passkeys, recovered int64
		err := row.Scan(&r.ID, &passkeys, &recovered)
		r.Passkeys, r.Recovered = int(passkeys), recovered > 0
		found.Users[r.ID] = r
		return err
	})
	among(&b, q.UserIDs, `SELECT id FROM clients WHERE id IN (%s)`, into(found.ClientIDs))
	reserved := store.Millis(a.now.Add(-directory.AddressUndo))
	among(&b, q.Emails, `SELECT email FROM users WHERE email IN (%[1]s) UNION SELECT email FROM addresses
		WHERE email IN (%[1]s) UNION SELECT email FROM address_changes WHERE email IN (%[1]s) AND undone_at = 0
		AND changed_at > `+fmt.Sprint(reserved), into(found.Emails))
	among(&b, q.Handles, `SELECT handle FROM users WHERE handle IN (%s)`, bytesInto(found.Handles))
	among(&b, q.Credentials, `SELECT credential_id FROM passkeys WHERE credential_id IN (%s)`,
		bytesInto(found.Credentials))
	return found, a.run(&b)
}

// among adds a statement with a list of values to look for, unless that is empty.
func among[T any](b *store.Batch, values []T, sql string, row func(store.Row) error) {
	if len(values) == 0 {
		return
	}
	args, places := make([]any, len(values)), make([]string, len(values))
	for i, v := range values {
		args[i], places[i] = v, fmt.Sprintf("$%d", i+1)
	}
	var none []struct{}
	b.Read(engine.Collect(&none, func(r store.Row) (struct{}, error) { return struct{}{}, row(r) }),
		fmt.Sprintf(sql, strings.Join(places, ", ")), args...)
}

func into(set map[string]bool) func(store.Row) error {
	return func(row store.Row) error {
		s, err := text(row)
		set[s] = true
		return err
	}
}

func bytesInto(set map[string]bool) func(store.Row) error {
	return func(row store.Row) error {
		var value []byte
		err := row.Scan(&value)
		set[string(value)] = true
		return err
	}
}

func (a *Arrivals) mark(b *store.Batch, marks ...Mark) {
	for _, m := range marks {
		b.Do(`INSERT INTO moved_in (what, at) VALUES ($1, $2) ON CONFLICT (what) DO NOTHING`, m[:], store.Millis(a.now))
	}
}

// A Person is somebody who moves in, or what else arrives for a user who is here already.
type Person struct {
	User     idp.User // with New unset, only the ID counts
	New      bool
	GroupIDs []string
	Passkeys []idp.Passkey
	Grants   []idp.Grant
	Values   []directory.Value
	Marks    []Mark
	Events   []idp.Event
}

// AddPeople adds people. What refers to a group or claim that is gone by now is idp.ErrNotFound.
func (a *Arrivals) AddPeople(people ...Person) error {
	var b store.Batch
	for _, p := range people {
		if p.New {
			b.InsertUser(p.User)
		}
		for _, k := range p.Passkeys {
			b.InsertPasskey(k)
		}
		for _, id := range p.GroupIDs {
			b.Do(`INSERT INTO group_members (user_id, group_id, added_at) VALUES ($1, $2, $3)
				ON CONFLICT (user_id, group_id) DO NOTHING`, p.User.ID, id, store.Millis(a.now))
		}
		for _, g := range p.Grants {
			a.grant(&b, g)
		}
		for _, v := range p.Values {
			b.Do(`INSERT INTO user_claims (user_id, name, value) VALUES ($1, $2, $3) ON CONFLICT (user_id, name) DO NOTHING`,
				p.User.ID, v.Claim, v.JSON)
		}
		a.mark(&b, p.Marks...)
		b.Events(p.Events)
	}
	return a.run(&b)
}

// grant adds what a user allowed a client, unless there is a grant between the two.
func (a *Arrivals) grant(b *store.Batch, g idp.Grant) {
	id := idp.NewID()
	b.Do(`INSERT INTO grants (id, user_id, client_id, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
		ON CONFLICT (user_id, client_id) DO NOTHING`, id, g.UserID, g.ClientID, store.Millis(g.CreatedAt),
		store.Millis(g.UpdatedAt))
	for _, scope := range g.Scopes {
		b.Do(`INSERT INTO grant_scopes (grant_id, scope) SELECT g.id, $2 FROM grants g WHERE g.id = $1`, id, scope)
	}
}

// Record writes events of the move as a whole.
func (a *Arrivals) Record(ev ...idp.Event) error {
	var b store.Batch
	b.Events(ev)
	return a.run(&b)
}
