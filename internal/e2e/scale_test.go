package e2e

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// A scale is how much is in the database: what a user has, cloned from one who signed up.
type scale struct{ users, clients int }

const (
	passkeysEach = 3
	eventsEach   = 50
)

// BenchmarkScale is make bench-scale: the same operations and the console's lists with few users and with many, on one
// Postgres and Redis, and the ratio of the two. STEPWARD_TEST_SCALE is the number of users (1,000,000).
func BenchmarkScale(b *testing.B) {
	most := 1_000_000
	if n, err := strconv.Atoi(os.Getenv("STEPWARD_TEST_SCALE")); err == nil {
		most = n
	}
	few := scale{min(10_000, most/10), min(100, most/1000)}
	many := scale{most, min(10_000, most/100)}
	database, redis := storetest.PostgresURL(b), ephemeraltest.RedisURL(b)
	x := startBench(b, storeFolders(b, database, redis), "STEPWARD_DATABASE_URL="+database, "STEPWARD_REDIS_URL="+redis,
		"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	x.signUp()
	conn, err := pgx.Connect(b.Context(), database)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close(context.Background())
	f := filler{b, conn}
	f.fill(scale{}, few)
	small := x.atScale(f, few)
	f.fill(few, many)
	large := x.atScale(f, many)

	fmt.Printf("\n%d users beside %d\n%-24s | %8s %8s %8s %10s\n", many.users, few.users, "", "server", "Postgres", "p99", "p50 ms")
	for i, row := range small.rows {
		l := large.rows[i]
		ratio := func(a, b time.Duration) string { return fmt.Sprintf("%.2fx", float64(b)/float64(max(a, 1))) }
		fmt.Printf("%-24s | %8s %8s %8s %4.1f, %4.1f\n", row.name, ratio(row.cost.server, l.cost.server),
			ratio(row.cost.stores, l.cost.stores), ratio(row.cost.p99, l.cost.p99), ms(row.cost.p50), ms(l.cost.p50))
	}
	fmt.Printf("resident memory: %s, %s\n", small.memory, large.memory)
	fmt.Printf("Postgres: %.2f GB for %d users: %s\n", float64(large.bytes)/1e9, many.users, strings.Join(large.tables, ", "))
}

// filled is what was measured at one scale.
type filled struct {
	rows   []scaled
	memory string
	bytes  int64
	tables []string
}

type scaled struct {
	name string
	cost cost
}

// atScale measures the operations that look something up, and the pages that list.
func (x *bench) atScale(f filler, s scale) (out filled) {
	fmt.Printf("\n%d users, %d passkeys, %d clients, %d events\n", s.users, s.users*passkeysEach, s.clients, s.users*eventsEach)
	for _, o := range operations {
		if slices.Contains([]string{"sign-in flow", "silent flow", "code exchange", "refresh", "introspection"}, o.name) {
			c := x.measure(o.n, o.op(x, o.n), strings.HasSuffix(o.name, "exchange"))
			out.rows = append(out.rows, scaled{o.name, c})
		}
	}
	f.exec(`UPDATE users SET role = 'owner' WHERE email = 'bench@example.com'`)
	x.key.through(x.key.open(x.authURL("verifier-that-nobody-uses-to-get-a-token-here")))
	for _, list := range []struct{ name, path string }{
		{"list of people", "/admin/users"},
		{"search for a person", "/admin/users?q=scale77"},
		{"search that finds none", "/admin/users?q=zz-nobody"},
		{"list of clients", "/admin/clients"},
		{"search for a client", "/admin/clients?q=scale7"},
		{"list of events", "/admin/events"},
		{"events of a kind", "/admin/events?topic=recovery"},
		{"home", "/admin"},
	} {
		out.rows = append(out.rows, scaled{list.name, x.oneByOne(30, func() {
			if p := x.key.open(list.path); p.status != 200 {
				x.b.Fatalf("%s: %d %.500s", list.path, p.status, p.body)
			}
		})})
	}
	out.memory = residentMemory(x.cmd.Process.Pid)
	out.bytes, out.tables = f.size()
	return out
}

// oneByOne measures an operation n times from one client, as a person works.
func (x *bench) oneByOne(n int, op func()) (c cost) {
	before, storesBefore := x.read("/"), storeCPU(x.stores)
	var times []time.Duration
	for range n {
		begin := time.Now()
		op()
		times = append(times, time.Since(begin))
	}
	after, storesAfter := x.read("/"), storeCPU(x.stores)
	slices.Sort(times)
	c.server, c.stores = (after.CPU-before.CPU)/time.Duration(n), (storesAfter-storesBefore)/time.Duration(n)
	c.p50, c.p99 = times[n/2], times[n*99/100]
	return c
}

// A filler clones rows of the first user, so that they look as the program writes them.
type filler struct {
	b    testing.TB
	conn *pgx.Conn
}

func (f filler) exec(sql string, args ...any) {
	if _, err := f.conn.Exec(context.Background(), sql, args...); err != nil {
		f.b.Fatalf("%s: %v", sql, err)
	}
}

// fill adds what is between two scales, and says how far it is.
func (f filler) fill(from, to scale) {
	const step = 10_000
	begin := time.Now()
	f.clone("clients", "id = 'bench'", from.clients, to.clients, map[string]string{
		"id":       "'scale' || i",
		"metadata": `replace(metadata, '"Bench"', '"scale' || i || '"')`,
	})
	for n := from.users; n < to.users; n += step {
		end := min(n+step, to.users)
		f.clone("users", "email = 'bench@example.com'", n, end, map[string]string{
			"id": userID("i"), "handle": "decode(md5('handle' || i) || md5(i || 'handle') || md5('h' || i) || md5(i || 'h'), 'hex')",
			"email": "'scale' || i || '@example.com'", "name": "'Scale ' || i", "role": "''",
		})
		f.clone("passkeys", "user_id = (SELECT id FROM users WHERE email = 'bench@example.com')", n*passkeysEach, end*passkeysEach,
			map[string]string{
				"id": "'scale-' || i", "user_id": userID(fmt.Sprintf("(i / %d)", passkeysEach)),
				"credential_id": "decode(md5('credential' || i) || md5(i || 'credential'), 'hex')",
			})
		f.clone("journal", "id = (SELECT id FROM journal WHERE kind = 'session.signed_in' LIMIT 1)", n*eventsEach, end*eventsEach,
			map[string]string{
				"id": "decode(md5('event' || i), 'hex')", "user_id": fmt.Sprintf("decode(md5('user' || (i / %d)), 'hex')", eventsEach),
				"at": "at - (i::bigint * 7919 % 31536000) * 1000",
			})
		fmt.Printf("\r%d users after %.0f s ", end, time.Since(begin).Seconds())
	}
	f.exec(`VACUUM ANALYZE`)
	fmt.Println()
}

// userID is the ID of the i-th user, a UUID.
func userID(i string) string { return fmt.Sprintf("md5('user' || %s)::uuid::text", i) }

// clone inserts copies of one row, numbered i from from+1 to to, with some columns as other expressions.
func (f filler) clone(table, sample string, from, to int, changed map[string]string) {
	var columns, values []string
	rows, err := f.conn.Query(context.Background(),
		`SELECT column_name FROM information_schema.columns WHERE table_name = $1 AND table_schema = 'public'`, table)
	if err != nil {
		f.b.Fatal(err)
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		f.b.Fatal(err)
	}
	for _, name := range names {
		value := name
		if other, ok := changed[name]; ok {
			value = other
		}
		columns, values = append(columns, name), append(values, value)
	}
	tag, err := f.conn.Exec(context.Background(),
		fmt.Sprintf(`INSERT INTO %s (%s) SELECT %s FROM (SELECT * FROM %s WHERE %s LIMIT 1) s, generate_series(%d, %d) i`,
			table, strings.Join(columns, ", "), strings.Join(values, ", "), table, sample, from, to-1))
	if err != nil || tag.RowsAffected() != int64(to-from) {
		f.b.Fatalf("%s: %v, %v", table, tag, err)
	}
}

// size returns the bytes of the database, and of its largest tables with their indexes.
func (f filler) size() (total int64, tables []string) {
	ctx := context.Background()
	if err := f.conn.QueryRow(ctx, `SELECT pg_database_size(current_database())`).Scan(&total); err != nil {
		f.b.Fatal(err)
	}
	rows, err := f.conn.Query(ctx, `SELECT relname || ' ' || pg_total_relation_size(oid) / greatest(reltuples, 1)::bigint || ' bytes a row'
		FROM pg_class WHERE relkind = 'r' AND relname IN ('users', 'passkeys', 'journal', 'clients') ORDER BY relname`)
	if err != nil {
		f.b.Fatal(err)
	}
	if tables, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
		f.b.Fatal(err)
	}
	return total, tables
}
