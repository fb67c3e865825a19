package e2e

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// The rows of a sign-in are kept for a year and more, so their size decides how large the database becomes. This measures
// real rows, after VACUUM FULL and in tables that are large enough that the last page of each does not count.
func TestASignInLeavesFewBytesAndIndexEntries(t *testing.T) {
	settings := production(t)
	s := newSite(t, 1, settings)
	const people, rounds = 2, 4
	for i := range people {
		p := newPerson(t, s.issuer, appCallback)
		start := s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))
		p.signUp(p.open(start), fmt.Sprintf("p%d@example.com", i))
		for range rounds {
			q := newPerson(t, s.issuer, appCallback)
			q.key = p.key
			s.tokens(q)
		}
	}
	conn, err := pgx.Connect(t.Context(), strings.TrimPrefix(settings[0], "STEPWARD_DATABASE_URL="))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	do := func(sql string) {
		t.Helper()
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	number := func(sql string) (n float64) {
		t.Helper()
		if err := conn.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		return n
	}

	// Copies, each of another user, in place of ten thousand more sign-ins.
	do(`DELETE FROM journal WHERE kind NOT IN ('session.signed_in', 'tokens.issued')`)
	for _, table := range []string{"families", "passkeys"} {
		do(`ALTER TABLE ` + table + ` DROP CONSTRAINT ` + table + `_user_id_fkey`)
	}
	do(`DELETE FROM passkeys`)
	usualPasskey(t, strings.TrimPrefix(settings[0], "STEPWARD_DATABASE_URL="))
	copies := map[string]string{
		"families": `id = left(repeat(md5(random()::text), 2), 43), user_id = gen_random_uuid()`,
		"passkeys": `id = gen_random_uuid(), user_id = gen_random_uuid(),
			credential_id = decode(md5(random()::text) || md5(random()::text), 'hex')`,
		"journal": `id = uuid_send(gen_random_uuid()), user_id = uuid_send(gen_random_uuid())`,
	}
	for table, change := range copies {
		do(`CREATE TABLE one_of AS SELECT * FROM ` + table)
		for number(`SELECT count(*) FROM `+table) < 5000 {
			do(`UPDATE one_of SET ` + change)
			do(`INSERT INTO ` + table + ` SELECT * FROM one_of`)
		}
		do(`DROP TABLE one_of`)
	}
	do(`VACUUM FULL ANALYZE`)

	heap := func(table string) float64 {
		return number(`SELECT pg_relation_size('` + table + `')::float8 / (SELECT count(*) FROM ` + table + `)`)
	}
	indexes := func(table string) float64 {
		return number(`SELECT pg_indexes_size('` + table + `')::float8 / (SELECT count(*) FROM ` + table + `)`)
	}
	entries := func(table string) float64 {
		return number(`SELECT COALESCE(sum(c.reltuples), 0)::float8 / (SELECT count(*) FROM ` + table + `)
			FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = '` + table + `'::regclass`)
	}
	for _, other := range []string{"events", "authentications", "opaque_tokens", "session_clients"} {
		if n := number(`SELECT count(*) FROM ` + other); n > 0 {
			t.Errorf("%v rows in %s", n, other)
		}
	}
	for _, row := range []struct {
		what     string
		is, most float64
	}{
		{"bytes of a passkey", heap("passkeys"), 300},
		{"bytes of its index entries", indexes("passkeys"), 210},
		{"bytes of a family", heap("families"), 400},
		{"bytes of an event", heap("journal"), 190},
		{"bytes a sign-in", heap("families") + 2*heap("journal") + indexes("families") + 2*indexes("journal"), 1100},
		{"index entries a sign-in", entries("families") + 2*entries("journal"), 7},
	} {
		t.Logf("%-24s %6.0f", row.what, row.is)
		if row.is > row.most {
			t.Errorf("%s: %.0f, more than %.0f", row.what, row.is, row.most)
		}
	}
}

// usualPasskey adds the passkey that most people have, as the program writes it, and uses it once: ES256, synced.
func usualPasskey(t *testing.T, url string) {
	t.Helper()
	db := must(store.Open(t.Context(), store.Config{URL: url}))
	defer db.Close()
	if err := db.CheckSchema(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, users := time.Now(), must(db.Users(t.Context(), "", 1))
	k := idp.Passkey{
		ID: idp.NewID(), UserID: users[0].ID, CredentialID: bytes.Repeat([]byte{7}, 32),
		PublicKey: slices.Concat([]byte("\xa5\x01\x02\x03\x26\x20\x01\x21\x58\x20"), bytes.Repeat([]byte{1}, 32), []byte("\x22\x58\x20"), bytes.Repeat([]byte{2}, 32)),
		Flags:     idp.FlagUserPresent | idp.FlagUserVerified | idp.FlagBackupEligible | idp.FlagBackedUp, UVInitialized: true,
		AAGUID: bytes.Repeat([]byte{3}, 16), AttestationType: "none", AttestationFormat: "none", Transports: []string{"hybrid", "internal"},
		Attachment: "platform", Extensions: []byte(`{"rk":true}`), Name: "iCloud Keychain", CreatedAt: now, CreatedAgent: "Safari on iPhone",
	}
	if err := db.AddPasskey(t.Context(), k); err != nil {
		t.Fatal(err)
	}
	k.LastUsedAt, k.LastAgent = now, "Safari on macOS"
	a := idp.Authentication{ID: idp.NewID(), UserID: k.UserID, PasskeyID: k.ID, At: now}
	must(db.RecordAuthentication(t.Context(), k, a, "", idp.NewEvent(idp.EventSignedIn, k.UserID, now)))
}

// Anybody can begin a sign-in, and everybody has a session, so their size decides how much memory Redis needs.
func TestASignInTakesLittleMemoryInRedis(t *testing.T) {
	settings := production(t)
	s := newSite(t, 1, settings)
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.usual()), "p@example.com")
	abandoned, session := memoryOf(t, strings.TrimPrefix(settings[1], "STEPWARD_REDIS_URL="), func() func() {
		q := newPerson(t, s.issuer, appCallback)
		q.key = p.key
		at := q.open(s.usual())
		return func() { q.through(at) }
	})
	t.Logf("an abandoned sign-in takes %d bytes, a session %d", abandoned, session)
	if abandoned > 700 || session > 400 {
		t.Error("more than 700 or 400")
	}
}

// usual returns the address of a request as applications usually send it.
func (s *site) usual() string {
	return s.app.AuthCodeURL("a-state-of-the-usual-size", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()),
		oauth2.SetAuthURLParam("nonce", "a-nonce-of-the-usual-size"))
}

// memoryOf returns how many bytes Redis needs for what begin leaves, and for the session that the func it returns begins.
func memoryOf(tb testing.TB, url string, begin func() (finish func())) (begun, session int64) {
	tb.Helper()
	opt, err := redis.ParseURL(url)
	if err != nil {
		tb.Fatal(err)
	}
	client, ctx := redis.NewClient(opt), context.Background()
	defer client.Close()
	taken := func() map[string]int64 {
		all := map[string]int64{}
		keys, err := client.Keys(ctx, "stepward:*").Result()
		if err != nil {
			tb.Fatal(err)
		}
		for _, key := range keys {
			if !strings.HasPrefix(key, "stepward:limit-") { // one for a whole network
				all[key] = client.MemoryUsage(ctx, key).Val()
			}
		}
		return all
	}
	before := taken()
	finish := begin()
	for key, size := range taken() {
		if before[key] == 0 {
			begun += size
		}
	}
	finish()
	for key, size := range taken() {
		if before[key] == 0 && strings.HasPrefix(key, "stepward:session:") {
			session += size
		}
	}
	return begun, session
}
