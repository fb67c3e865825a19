package provisioning

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/rows"
)

// A Task is a user who may have to be sent to an application.
type Task struct {
	ClientID, UserID string
	Version          int64
	Attempts         int
}

// Due returns the tasks of an application that are due, those that wait longest first.
func (r *Records) Due(ctx context.Context, clientID string, now time.Time, limit int) ([]Task, error) {
	return store.List(ctx, r.db, "list users to provision", func(row store.Row) (t Task, err error) {
		return t, row.Scan(&t.ClientID, &t.UserID, &t.Version, &t.Attempts)
	}, `SELECT client_id, user_id, version, attempts FROM provision_outbox WHERE client_id = $1 AND next_at <= $2
		ORDER BY next_at, user_id LIMIT $3`, clientID, store.Millis(now), limit)
}

// Finish ends a task, unless the user has changed since it was read. Postpone has it tried again at next.
func (r *Records) Finish(ctx context.Context, t Task) error {
	var b store.Batch
	b.Do(`DELETE FROM provision_outbox WHERE client_id = $1 AND user_id = $2 AND version = $3`, t.ClientID, t.UserID,
		t.Version)
	return r.db.RunBatch(ctx, "finish provisioning of a user", &b)
}

// Postpone is described at Finish.
func (r *Records) Postpone(ctx context.Context, t Task, failure string, next time.Time) error {
	var b store.Batch
	b.Do(`UPDATE provision_outbox SET attempts = attempts + 1, last_error = $4, next_at = $5
		WHERE client_id = $1 AND user_id = $2 AND version = $3`, t.ClientID, t.UserID, t.Version, failure, store.Millis(next))
	return r.db.RunBatch(ctx, "postpone provisioning of a user", &b)
}

// A Link is what an application has of a user.
type Link struct {
	RemoteID string // "": nothing
	Digest   string
	GoneAt   time.Time // when the account there was disabled; zero: it is not
	Groups   []string  // IDs of groups whose member they are there, of those that we send
}

// A Person is a user, and what the application has of them.
type Person struct {
	User    idp.User // with Membership
	Removed bool     // there is no such user any more: User has only the ID
	Link    Link
}

func scanPerson(row store.Row) (p Person, err error) {
	err = row.Scan(append(rows.UserDest(&p.User), &rows.Membership{To: &p.User.Membership})...)
	return p, err
}

const personColumns = store.UserColumns + `, ` + rows.MembershipColumn

// Person returns a user and their link.
func (r *Records) Person(ctx context.Context, clientID, userID string) (Person, error) {
	p, err := store.One(ctx, r.db, "load user to provision", scanPerson,
		`SELECT `+personColumns+` FROM members u WHERE u.id = $1`, userID)
	if errors.Is(err, idp.ErrNotFound) {
		p, err = Person{User: idp.User{ID: userID}, Removed: true}, nil
	}
	if err != nil {
		return p, err
	}
	list := []Person{p}
	err = r.link(ctx, clientID, list)
	return list[0], err
}

// People returns users by ID after that one, with their links.
func (r *Records) People(ctx context.Context, clientID, after string, limit int) ([]Person, error) {
	found, err := store.List(ctx, r.db, "list users to provision", scanPerson,
		`SELECT `+personColumns+` FROM members u WHERE u.id > $1 ORDER BY u.id LIMIT $2`, after, limit)
	if err != nil {
		return nil, err
	}
	return found, r.link(ctx, clientID, found)
}

// link reads the links of people.
func (r *Records) link(ctx context.Context, clientID string, people []Person) error {
	if len(people) == 0 {
		return nil
	}
	args, places, at := []any{clientID}, []string(nil), map[string]*Link{}
	for i, p := range people {
		args, at[p.User.ID] = append(args, p.User.ID), &people[i].Link
		places = append(places, fmt.Sprintf("$%d", len(args)))
	}
	in := ` WHERE client_id = $1 AND user_id IN (` + strings.Join(places, ", ") + `)`
	type row struct {
		userID string
		link   Link
	}
	links, err := store.List(ctx, r.db, "list provisioned users", func(found store.Row) (l row, err error) {
		return l, found.Scan(&l.userID, &l.link.RemoteID, &l.link.Digest, store.Instant(&l.link.GoneAt))
	}, `SELECT user_id, remote_id, digest, gone_at FROM provision_users`+in, args...)
	if err != nil {
		return err
	}
	for _, l := range links {
		*at[l.userID] = l.link
	}
	members, err := store.List(ctx, r.db, "list provisioned members", func(found store.Row) (l row, err error) {
		l.link.Groups = []string{""}
		return l, found.Scan(&l.userID, &l.link.Groups[0])
	}, `SELECT user_id, group_id FROM provision_members`+in+` ORDER BY group_id`, args...)
	for _, m := range members {
		at[m.userID].Groups = append(at[m.userID].Groups, m.link.Groups[0])
	}
	return err
}

// PutLink stores what an application has of a user, without groups; an empty RemoteID: nothing any more.
func (r *Records) PutLink(ctx context.Context, clientID, userID string, l Link) error {
	var b store.Batch
	if l.RemoteID == "" {
		b.Do(`DELETE FROM provision_members WHERE client_id = $1 AND user_id = $2`, clientID, userID)
		b.Do(`DELETE FROM provision_users WHERE client_id = $1 AND user_id = $2`, clientID, userID)
		return r.db.RunBatch(ctx, "forget provisioned user", &b)
	}
	b.Do(`INSERT INTO provision_users (client_id, user_id, remote_id, digest, gone_at)
		SELECT client_id, $2, $3, $4, $5 FROM provision_targets WHERE client_id = $1
		ON CONFLICT (client_id, user_id) DO UPDATE SET remote_id = excluded.remote_id, digest = excluded.digest,
			gone_at = excluded.gone_at`, clientID, userID, l.RemoteID, l.Digest, store.Millis(l.GoneAt))
	return r.db.RunBatch(ctx, "store provisioned user", &b)
}

// PutMember stores whether a user is a member of a group at an application.
func (r *Records) PutMember(ctx context.Context, l Membership, in bool) error {
	var b store.Batch
	if in {
		b.Do(`INSERT INTO provision_members (client_id, user_id, group_id)
			SELECT client_id, $2, group_id FROM provision_groups WHERE client_id = $1 AND group_id = $3
			ON CONFLICT (client_id, user_id, group_id) DO NOTHING`, l.ClientID, l.UserID, l.GroupID)
	} else {
		b.Do(`DELETE FROM provision_members WHERE client_id = $1 AND user_id = $2 AND group_id = $3`, l.ClientID, l.UserID,
			l.GroupID)
	}
	return r.db.RunBatch(ctx, "store provisioned member", &b)
}

// A Membership names a user and a group at an application.
type Membership struct{ ClientID, UserID, GroupID string }

// A Group is what an application has of a group, and what we call it now.
type Group struct {
	ID       string
	RemoteID string // "": it is not there
	Sent     string // the name there, as we sent it
	Name     string // now; "": there is no such group any more
}

// Groups returns the groups that an application has.
func (r *Records) Groups(ctx context.Context, clientID string) ([]Group, error) {
	return store.List(ctx, r.db, "list provisioned groups", func(row store.Row) (g Group, err error) {
		return g, row.Scan(&g.ID, &g.RemoteID, &g.Sent, &g.Name)
	}, `SELECT p.group_id, p.remote_id, p.name, COALESCE(g.name, '') FROM provision_groups p
		LEFT JOIN user_groups g ON g.id = p.group_id WHERE p.client_id = $1 ORDER BY p.group_id`, clientID)
}

// PutGroup stores what an application has of a group; an empty RemoteID: nothing any more.
func (r *Records) PutGroup(ctx context.Context, clientID string, g Group) error {
	var b store.Batch
	if g.RemoteID == "" {
		b.Do(`DELETE FROM provision_groups WHERE client_id = $1 AND group_id = $2`, clientID, g.ID)
		return r.db.RunBatch(ctx, "forget provisioned group", &b)
	}
	b.Do(`INSERT INTO provision_groups (client_id, group_id, remote_id, name)
		SELECT client_id, $2, $3, $4 FROM provision_targets WHERE client_id = $1
		ON CONFLICT (client_id, group_id) DO UPDATE SET remote_id = excluded.remote_id, name = excluded.name`,
		clientID, g.ID, g.RemoteID, g.Sent)
	return r.db.RunBatch(ctx, "store provisioned group", &b)
}

// Enqueue has users sent; those who wait already keep their place.
func (r *Records) Enqueue(ctx context.Context, clientID string, userIDs []string, now time.Time) error {
	var b store.Batch
	for _, id := range userIDs {
		b.Do(`INSERT INTO provision_outbox (client_id, user_id, created_at, next_at, version, attempts, last_error)
			SELECT client_id, $2, $3, $3, 1, 0, '' FROM provision_targets WHERE client_id = $1
			ON CONFLICT (client_id, user_id) DO NOTHING`, clientID, id, store.Millis(now))
	}
	return r.db.RunBatch(ctx, "enqueue users to provision", &b)
}

// Swept ends a look at everybody that began when wanted was this, and enqueues the users whom an application has and
// who are no longer here.
func (r *Records) Swept(ctx context.Context, clientID string, wanted int64, now time.Time) error {
	var b store.Batch
	b.Do(`INSERT INTO provision_outbox (client_id, user_id, created_at, next_at, version, attempts, last_error)
		SELECT p.client_id, p.user_id, $2, $2, 1, 0, '' FROM provision_users p
		WHERE p.client_id = $1 AND NOT EXISTS (SELECT 1 FROM users u WHERE u.id = p.user_id)
		ON CONFLICT (client_id, user_id) DO NOTHING`, clientID, store.Millis(now))
	b.Do(`UPDATE provision_targets SET swept = $2, swept_at = $3 WHERE client_id = $1`, clientID, wanted,
		store.Millis(now))
	return r.db.RunBatch(ctx, "finish look at everybody", &b)
}
