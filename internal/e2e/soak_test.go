package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/redis/go-redis/v9"
	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/store/storetest"
)

// soakSettings make what expires live for minutes, so that its number settles soon.
var soakSettings = []string{
	"STEPWARD_SESSION_IDLE=2m", "STEPWARD_SESSION_ABSOLUTE=5m", "STEPWARD_ACCESS_TOKEN_TTL=1m",
	"STEPWARD_REFRESH_TOKEN_TTL=2m", "STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
}

// soakSettles is when the number of what expires no longer grows: an ended session is remembered for an hour, sign-ins
// that were begun and left live for half an hour.
const soakSettles = 65 * time.Minute

// BenchmarkSoak is make soak: a server on Postgres and Redis in slow use, for STEPWARD_TEST_SOAK (an hour, once all is
// settled, so two in all). It fails if memory, goroutines, files, connections, keys or rows that expire grow from the
// first half of the time to the second.
func BenchmarkSoak(b *testing.B) {
	long := time.Hour
	if d, err := time.ParseDuration(os.Getenv("STEPWARD_TEST_SOAK")); err == nil {
		long = d
	}
	database, redisURL := storetest.PostgresURL(b), ephemeraltest.RedisURL(b)
	x := startBench(b, storeFolders(b, database, redisURL),
		append(soakSettings, "STEPWARD_DATABASE_URL="+database, "STEPWARD_REDIS_URL="+redisURL)...)
	x.signUp()
	s := newSoaked(x, database, redisURL)
	defer s.close()

	ctx, stop := context.WithCancel(b.Context())
	var use sync.WaitGroup
	use.Go(func() { s.use(ctx) })
	fmt.Printf("\n%8s %9s %10s %6s %12s %6s %9s %8s %8s %7s\n", "minutes", "memory MB", "goroutines", "files", "connections", "keys",
		"Redis MB", "families", "ended", "used")
	var settled []soakSample
	for begin := time.Now(); time.Since(begin) < soakSettles+long; {
		<-time.After(time.Minute)
		now := s.sample()
		fmt.Printf("%8.0f %9.1f %10.0f %6.0f %12.0f %6.0f %9.1f %8.0f %8.0f %7d\n", time.Since(begin).Minutes(), now[0], now[1], now[2],
			now[3], now[4], now[5], now[6], now[7], s.used)
		if time.Since(begin) > soakSettles {
			settled = append(settled, now)
		}
	}
	stop()
	use.Wait()
	first, second := mean(settled[:len(settled)/2]), mean(settled[len(settled)/2:])
	for i, what := range soakMeasures {
		fmt.Printf("%-40s %8.1f, then %8.1f\n", what.name, first[i], second[i])
		if second[i] > first[i]*1.1+what.noise {
			b.Errorf("%s grew from %.1f to %.1f", what.name, first[i], second[i])
		}
	}
}

// soakMeasures are the columns of a sample, and what they may differ by without a cause.
var soakMeasures = [8]struct {
	name  string
	noise float64
}{
	{"memory in MB", 5},
	{"goroutines", 10},
	{"open files", 10},
	{"connections to Postgres", 4},
	{"keys in Redis", 50},
	{"MB in Redis", 1},
	{"rows of refresh token families", 20},
	{"rows of ended sessions and opaque tokens", 20},
}

type soakSample [len(soakMeasures)]float64

func mean(of []soakSample) (m soakSample) {
	for i := range m {
		for _, s := range of {
			m[i] += s[i] / float64(len(of))
		}
	}
	return m
}

// soaked is a server in use, and what is looked at.
type soaked struct {
	*bench
	conn  *pgx.Conn
	redis *redis.Client
	used  int
}

func newSoaked(x *bench, database, redisURL string) *soaked {
	conn, err := pgx.Connect(x.b.Context(), database)
	if err != nil {
		x.b.Fatal(err)
	}
	opt, err := redis.ParseURL(redisURL)
	if err != nil {
		x.b.Fatal(err)
	}
	return &soaked{bench: x, conn: conn, redis: redis.NewClient(opt)}
}

func (s *soaked) close() {
	_ = s.conn.Close(context.Background())
	_ = s.redis.Close()
}

// use does five times a second what people and applications do: each fifth person leaves before the passkey, the others
// sign in, their application uses the tokens, and each third signs out.
func (s *soaked) use(ctx context.Context) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for ; ; s.used++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		p := newPerson(s.b, s.issuer, appCallback)
		p.http.Transport, p.key = elsewhere{}, s.others[s.used%len(s.others)].key
		verifier := oauth2.GenerateVerifier()
		at := p.open(s.authURL(verifier))
		if s.used%5 == 0 {
			continue // left
		}
		var t struct {
			AccessToken  string `json:"access_token"`
			RefreshToken string `json:"refresh_token"`
			IDToken      string `json:"id_token"`
		}
		if err := json.Unmarshal(s.exchange(p.through(at).Get("code"), verifier), &t); err != nil {
			s.b.Error(err)
			return
		}
		s.post(s.issuer+"/oauth2/userinfo", nil, "Bearer "+t.AccessToken)
		s.post(s.issuer+"/oauth2/introspect", url.Values{"token": {t.AccessToken}}, "")
		s.post(s.app.Endpoint.TokenURL, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {t.RefreshToken}}, "")
		s.post(s.app.Endpoint.TokenURL, url.Values{"grant_type": {"client_credentials"}}, "")
		if s.used%3 == 0 {
			p.submit(p.open("/oauth2/logout?id_token_hint="+t.IDToken), "logout-confirm", nil)
		}
	}
}

func (s *soaked) sample() (m soakSample) {
	pid := s.cmd.Process.Pid
	_, _ = fmt.Sscanf(residentMemory(pid), "%f MB", &m[0])
	m[1] = float64(s.read("/").Goroutines)
	files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
	m[2] = float64(len(files))
	m[4] = float64(s.redis.DBSize(context.Background()).Val())
	_, _ = fmt.Sscan(s.redis.InfoMap(context.Background(), "memory").Item("Memory", "used_memory"), &m[5])
	m[5] /= 1e6
	err := s.conn.QueryRow(context.Background(), `SELECT
		(SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()), (SELECT count(*) FROM families),
		(SELECT count(*) FROM ended) + (SELECT count(*) FROM opaque_tokens)`).Scan(&m[3], &m[6], &m[7])
	if err != nil {
		s.b.Fatal(err)
	}
	return m
}
