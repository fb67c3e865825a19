package store_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/storetest"
)

// The statements of the program whose newest migration was the fifth.
const (
	oldEvent = `INSERT INTO events (id, at, kind, user_id, actor_id, client_id, session_id, passkey_id, address, agent,
		request_id, detail) VALUES ($1, $2, $3, $4, '', 'app', 'sid', '', '192.0.2.1', 'Firefox', 'r', '{"purpose":"sign-in"}')`
	oldAuthentication = `INSERT INTO authentications (id, user_id, passkey_id, at, purpose, interaction, action_classes,
		user_verified, backup_eligible, backed_up, hardware_bound)
		VALUES ($1, $2, (SELECT id FROM passkeys WHERE id = $3 AND user_id = $2), $4, 'sign-in', 'i', 'null', $5, $6, $6, $6)`
	oldPasskey = `INSERT INTO passkeys (id, user_id, credential_id, public_key, flags, sign_count, uv_initialized,
		counter_regressed_at, aaguid, attestation_type, attestation_format, attestation, attestation_verified_at,
		key_protection, transports, attachment, extensions, name, created_at, created_agent, last_used_at, last_agent)
		VALUES ($1, $2, $3, $3, 29, 0, $4, 0, $3, 'basic_full', $5, '{"object":"o"}', 0, '', '["internal"]', 'platform', '',
		'Key', $6, 'Firefox', 0, '')`
	oldFamily = `INSERT INTO families (id, client_id, user_id, session_id, scopes, audience, resources, details, assurance,
		authentication_id, claims, confirmation, offline, handle_hash, current_hash, previous_hash, rotated_at, created_at,
		expires_at, revoked_at)
		VALUES ($1, 'app', $2, $3, '["openid"]', 'null', 'null', 'null', $4, $5, '', '{}', $6, $7, 'first', '', 0, $8, $9, 0)`
	oldUser = `INSERT INTO users (id, handle, email, email_verified, name, role, profile, created_at, updated_at, disabled_at)
		VALUES ($1, $2, $3, TRUE, 'Ada', '', '{}', 1, 1, 0)`
	oldRotation = `SELECT f.assurance FROM families f JOIN users u ON u.id = f.user_id
		WHERE f.handle_hash <> '' AND f.handle_hash = $1 AND f.current_hash = $2 AND f.revoked_at = 0`
	oldOfPasskey = `SELECT f.id FROM families f WHERE f.user_id = $1
		AND EXISTS (SELECT 1 FROM authentications a WHERE a.id = f.authentication_id AND a.passkey_id = $2)`
	oldEvents = `SELECT kind FROM events WHERE user_id <> '' AND user_id = $1 ORDER BY at DESC, id DESC`
)

func TestAnUpdateLosesNothingWhileOlderProgramsStillRun(t *testing.T) { eachEmpty(t, update) }

// eachEmpty runs f on both engines, with a database that has no tables yet.
func eachEmpty(t *testing.T, f func(*fixture)) {
	configs := map[string]func(t *testing.T) store.Config{
		"sqlite":   func(t *testing.T) store.Config { return store.Config{Dir: t.TempDir()} },
		"postgres": func(t *testing.T) store.Config { return store.Config{URL: storetest.PostgresURL(t)} },
	}
	for name, config := range configs {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), config(t))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = db.Close() })
			f(newFixture(t, db))
		})
	}
}

func update(f *fixture) {
	ctx, db, now := f.ctx, f.DB, f.now.Truncate(time.Second)
	f.must(store.MigrateTo(ctx, db, 5))
	old := func(sql string, args ...any) { f.Helper(); f.must(store.Do(ctx, db, sql, args...)) }
	texts := func(sql string, args ...any) []string {
		f.Helper()
		found, err := store.Texts(ctx, db, sql, args...)
		f.must(err)
		return found
	}
	kinds := func(events []idp.Event, err error) (kinds []idp.EventKind) {
		f.Helper()
		f.must(err)
		for _, e := range events {
			kinds = append(kinds, e.Kind)
		}
		return kinds
	}

	// What an older program has stored, or stores while this one runs.
	u := idp.NewUser("ada@example.com", "Ada", now)
	old(oldUser, u.ID, u.Handle, u.Email)
	old(`INSERT INTO clients (id, metadata, secrets, created_at, updated_at, disabled_at, registration_hash, used_at)
		VALUES ('app', '{"id":"app"}', 'null', 1, 1, 0, '', 0)`)
	passkey := func(format string) string {
		id := idp.NewID()
		old(oldPasskey, id, u.ID, []byte(id), true, format, now.UnixMilli())
		return id
	}
	proven, plain := passkey("packed"), passkey("none")
	signIn := func(at time.Time, passkey string) (authentication string) {
		id := idp.NewIDAt(at)
		old(oldAuthentication, id, u.ID, passkey, at.UnixMilli(), true, false)
		old(oldEvent, idp.NewIDAt(at), at.UnixMilli(), string(idp.EventSignedIn), u.ID)
		return id
	}
	assurance := idp.Assurance{ACR: "phr", AMR: []string{"pop", "user", "mfa"}, AuthTime: now, ActionClasses: []string{"payments"}}
	family := func(id, sid, authentication string, offline bool) {
		a := assurance
		a.AuthenticationID = authentication
		text, err := json.Marshal(a)
		f.must(err)
		old(oldFamily, id, u.ID, sid, string(text), authentication, offline, "handle "+id, now.UnixMilli(), now.Add(48*time.Hour).UnixMilli())
	}
	signedIn := signIn(now.Add(-time.Hour), proven)
	family("before", "sid", signedIn, true)

	// This program finds it, and an older one what this one stores.
	f.must(db.Migrate(ctx))
	rotated, _, err := db.RotateFamily(ctx, store.FamilyKey{HandleHash: "handle before"}, "first", "second", "app", now, time.Minute)
	f.must(err)
	want := assurance
	want.AuthenticationID = signedIn
	f.same(rotated.Assurance, want)
	f.same(kinds(db.EventsOf(ctx, u.ID, 10)), []idp.EventKind{idp.EventSignedIn})
	statement, err := db.Attestation(ctx, proven)
	f.must(err)
	f.same(string(statement), `{"object":"o"}`)
	stepUp := func(at time.Time, passkey string) idp.Family {
		f.Helper()
		a := idp.Authentication{ID: idp.NewIDAt(at), UserID: u.ID, PasskeyID: passkey, At: at, Purpose: idp.PurposeStepUp}
		e := idp.NewEvent(idp.EventSteppedUp, u.ID, at)
		e.PasskeyID = passkey
		k := idp.Passkey{ID: passkey, UserID: u.ID, Flags: 29}
		_, err := db.RecordAuthentication(ctx, k, a, "", e)
		f.must(err)
		fam := idp.Family{
			ID: idp.NewID(), ClientID: "app", UserID: u.ID, SessionID: "sid", Assurance: assurance, Offline: true,
			CurrentHash: "first", FoundByID: true, CreatedAt: now, ExpiresAt: now.Add(48 * time.Hour),
		}
		fam.HandleHash = "handle " + fam.ID
		fam.Assurance.AuthenticationID, fam.Assurance.PasskeyID = a.ID, passkey
		stored, _, err := db.CreateFamily(ctx, fam, nil, idp.NewEvent(idp.EventTokensIssued, u.ID, at.Add(time.Millisecond)))
		f.must(err)
		f.same(stored.Assurance, fam.Assurance)
		return fam
	}
	during := stepUp(now, plain)
	f.same(len(texts(oldRotation, during.HandleHash, "first")), 1)
	f.same(texts(oldOfPasskey, u.ID, plain), []string{during.ID})
	f.same(texts(oldEvents, u.ID), []string{string(idp.EventTokensIssued), string(idp.EventSteppedUp), string(idp.EventSignedIn)})
	late := signIn(now.Add(time.Minute), proven) // by an older program
	family("beside", "other", late, false)
	read := func(id string) idp.Family {
		f.Helper()
		fam, _, err := db.FamilyWithUser(ctx, id)
		f.must(err)
		return fam
	}
	want.AuthenticationID = late
	f.same(read("beside").Assurance, want)
	for _, key := range []store.FamilyKey{{ID: during.ID}, {HandleHash: during.HandleHash}} {
		_, err := db.FamilyByRefresh(ctx, key, "first", "app", now, 0)
		f.must(err)
	}

	// A day later it contracts, and not before.
	rows := func() string { return texts(`SELECT value FROM installation WHERE name = 'rows'`)[0] }
	f.must(db.Migrate(ctx))
	from, err := strconv.ParseInt(rows(), 10, 64)
	if err != nil || time.Until(time.UnixMilli(from)) < 23*time.Hour {
		f.Fatalf("contracts at %q: %v", rows(), err)
	}
	f.must(store.Do(ctx, db, `UPDATE installation SET value = $1 WHERE name = 'rows'`, strconv.FormatInt(now.Add(-time.Minute).UnixMilli(), 10)))
	f.must(db.Migrate(ctx))
	f.same(rows(), "compact")
	for id, want := range map[string]string{proven: `{"object":"o"}`, plain: ""} {
		got, err := db.Attestation(ctx, id)
		f.must(err)
		f.same(string(got), want)
	}
	after := stepUp(now.Add(2*time.Minute), plain)
	f.same(len(texts(`SELECT id FROM events WHERE at > $1`, now.Add(90*time.Second).UnixMilli())), 0)
	f.same(kinds(db.EventsOf(ctx, u.ID, 4)), []idp.EventKind{idp.EventTokensIssued, idp.EventSteppedUp, idp.EventSignedIn, idp.EventTokensIssued})
	all := []idp.EventKind{
		idp.EventSignedIn, idp.EventSteppedUp, idp.EventTokensIssued, idp.EventSignedIn, idp.EventSteppedUp, idp.EventTokensIssued,
	}
	f.same(kinds(db.Events(ctx, "", 10)), all)
	for i, e := range must2(db.Events(ctx, "", 10))(f) { // page by page, across both tables
		f.same(kinds(db.Events(ctx, e.ID, 2)), all[i+1:min(i+3, len(all))])
	}
	for _, id := range []string{"before", "beside", during.ID, after.ID} {
		read(id)
	}
	_, _, err = db.RotateFamily(ctx, store.FamilyKey{ID: after.ID}, "first", "second", "app", now, 0)
	f.must(err)
	_, err = db.EndSession(ctx, u.ID, "other", now)
	f.must(err)
	f.must(db.RemovePasskey(ctx, u.ID, proven, true))
	gone := func(ids ...string) {
		f.Helper()
		for _, id := range []string{"before", "beside", during.ID, after.ID} {
			_, _, err := db.FamilyWithUser(ctx, id)
			if ended := errors.Is(err, idp.ErrNotFound); ended != slices.Contains(ids, id) {
				f.Fatalf("%s: %v", id, err)
			}
		}
	}
	gone("before", "beside")
	f.must(store.Do(ctx, db, oldPasskey, "third", u.ID, []byte("third"), true, "none", 0))
	f.must(db.RemovePasskey(ctx, u.ID, plain, true))
	gone("before", "beside", during.ID, after.ID)

	// The old rows expire like the new ones.
	_, err = db.Sweep(ctx, now.Add(time.Hour))
	f.must(err)
	f.same(len(must2(db.Events(ctx, "", 10))(f)), len(all))
}

func TestTheEventLogShowsPeopleWhatTheProgramReads(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		f := newFixture(t, db)
		ctx, now := f.ctx, f.now.Truncate(time.Second)
		u := idp.NewUser("ada@example.com", "Ada", now)
		k := idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte("c"), CreatedAt: now}
		e := idp.NewEvent(idp.EventSignedIn, u.ID, now)
		e.PasskeyID, e.ClientID, e.Detail = k.ID, "sixteen-letters!", map[string]string{"purpose": "sign-in"}
		record := func(ev ...idp.Event) error {
			a := idp.Authentication{ID: idp.NewIDAt(now), UserID: u.ID, At: now, Purpose: idp.PurposeSignIn}
			_, err := db.RecordAuthentication(ctx, k, a, "", ev...)
			return err
		}
		for _, err := range []error{
			db.EnrolUser(ctx, u, k),
			record(e),
			record(),
			store.Do(ctx, db, oldEvent, idp.NewIDAt(now.Add(time.Second)), now.Add(time.Second).UnixMilli(), "user.created", u.ID),
		} {
			f.must(err)
		}
		store.Expand(db) // or nobody looks for events of the old form here
		read := must2(db.Events(ctx, "", 10))(f)
		shown := must2(store.Texts(ctx, db, `SELECT id || ' ' || substr(CAST(at AS TEXT), 1, 4) || ' ' || kind || ' ' || user_id || ' ' || actor_id || ' ' ||
			client_id || ' ' || session_id || ' ' || passkey_id || ' ' || detail FROM event_log ORDER BY id`))(f)
		var want []string
		for _, e := range read {
			want = append(want, strings.Join([]string{
				e.ID, e.At.Format("2006"), string(e.Kind), e.UserID, e.ActorID, e.ClientID, e.SessionID, e.PasskeyID, `{"purpose":"sign-in"}`,
			}, " "))
		}
		if diff := cmp.Diff(want, shown); diff != "" || len(want) != 2 {
			t.Error(diff)
		}
	})
}

func TestANewInstallationWritesTheCompactForm(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.RecordEvents(t.Context(), idp.NewEvent(idp.EventSignedIn, "u", time.Now())); err != nil {
			t.Fatal(err)
		}
		old, err := store.Texts(t.Context(), db, `SELECT id FROM events`)
		if err != nil || len(old) > 0 {
			t.Error(old, err)
		}
	})
}
