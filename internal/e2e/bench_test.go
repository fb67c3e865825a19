package e2e

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/server"

	mathrand "math/rand/v2"

	_ "net/http/pprof"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/dpop/dpoptest"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store/storetest"
)

// benchServer, set in the environment, makes the test binary a server: a process of its own, so that what is measured is
// the server's work and not that of the clients who drive it.
const benchServer = "STEPWARD_TEST_SERVER"

// benchFloor, set beside it, makes it the bare server of package floor.
const benchFloor = "STEPWARD_TEST_FLOOR"

func TestMain(m *testing.M) {
	if os.Getenv(benchServer) != "" {
		run := runBenchServer
		if os.Getenv(benchFloor) != "" {
			run = runFloor
		}
		if err := run(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	status := m.Run()
	stopSharedOP()
	os.Exit(status)
}

const benchSecret = "bench-client-secret-of-no-value-to-anybody"

// stats is what a server says of itself at /stats of its second listener.
type stats struct {
	CPU        time.Duration
	Allocs     uint64
	AllocBytes uint64
	SQL        int64
	Ephemeral  int64
	SQLPing    time.Duration // one round trip, median
	RedisPing  time.Duration
	Goroutines int
}

func runBenchServer() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	cfg, err := config.Load(config.Sources{Environ: os.Environ()})
	if err != nil {
		return err
	}
	cfg.SignUp, cfg.Policy = true, server.DemoPolicy(cfg.Policy)
	cfg.Policy.Scopes["reports"] = idp.Scope{Name: "reports", Description: "Read reports"}
	s, err := server.New(ctx, cfg, slog.New(slog.NewTextHandler(io.Discard, nil)), &mail.Mailbox{})
	if err != nil {
		return err
	}
	defer s.Close()
	now := time.Now()
	if err := s.DB.PutClient(ctx, idp.Client{
		ID: "bench", Name: "Bench", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, FirstParty: true, ResourceServer: true,
		Secrets:      []idp.ClientSecret{{ID: "1", Hash: idp.Secret(benchSecret).Hash(), CreatedAt: now}},
		RedirectURIs: []string{appCallback}, GrantTypes: []string{idp.GrantAuthorizationCode, idp.GrantRefreshToken, idp.GrantClientCredentials},
		Scopes: []string{"openid", "profile", "email", "offline_access", "reports", "payouts"}, CreatedAt: now, UpdatedAt: now,
	}); err != nil {
		return err
	}
	err = serveStats(func(out *stats) {
		out.SQL, out.Ephemeral = s.DB.RoundTrips(), s.Ephemeral.RoundTrips()
	}, func(out *stats) {
		out.SQLPing = medianOf(200, func() { _ = s.DB.Ping(ctx) })
		out.RedisPing = medianOf(200, func() { _ = s.Ephemeral.Ping(ctx) })
	})
	if err != nil {
		return err
	}
	listener, err := s.Listen()
	if err != nil {
		return err
	}
	return s.Serve(ctx, listener)
}

// serveStats serves /stats, beside net/http/pprof. Pings are measured when they are asked for.
func serveStats(count, ping func(*stats)) error {
	listener, err := net.Listen("tcp", os.Getenv(benchServer))
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		var usage syscall.Rusage
		_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
		var mem runtime.MemStats
		runtime.ReadMemStats(&mem)
		out := stats{
			CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
			Allocs: mem.Mallocs, AllocBytes: mem.TotalAlloc, Goroutines: runtime.NumGoroutine(),
		}
		count(&out)
		if r.URL.Path == "/ping" {
			ping(&out)
		}
		_ = json.NewEncoder(w).Encode(out)
	})
	go func() { _ = http.Serve(listener, nil) }()
	return nil
}

func medianOf(n int, f func()) time.Duration {
	times := make([]time.Duration, n)
	for i := range times {
		begin := time.Now()
		f()
		times[i] = time.Since(begin)
	}
	slices.Sort(times)
	return times[n/2]
}

// threadCPU is the processor time of this thread.
func threadCPU() time.Duration {
	var usage syscall.Rusage
	_ = syscall.Getrusage(1 /* RUSAGE_THREAD */, &usage)
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// measurePair is the cost of one ES256 signature and its verification: the unit that holds on any machine.
func measurePair() time.Duration {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	key, _ := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	digest := sha256.Sum256([]byte("pair"))
	const n = 1000
	begin := threadCPU()
	for range n {
		r, s, err := ecdsa.Sign(rand.Reader, key, digest[:])
		if err != nil || !ecdsa.Verify(&key.PublicKey, digest[:], r, s) {
			panic("the pair does not verify")
		}
	}
	return (threadCPU() - begin) / n
}

// A bench drives one server process.
type bench struct {
	b      testing.TB
	issuer string
	stats  string
	key    *person   // has the account and its passkey
	others []*person // sign in: a user has fifty sessions at most
	app    oauth2.Config
	stores []string // folders in which the store processes run
	cmd    *exec.Cmd
}

// BenchmarkServer is make bench: what each operation costs, in microseconds and in pairs, beside a bare server that does
// only what cannot be avoided (package floor). Run it with -benchtime 1x; it sets its own counts.
func BenchmarkServer(b *testing.B) {
	fmt.Printf("\n%s, %d processors\n", runtime.Version(), runtime.NumCPU())
	b.Run("embedded", func(b *testing.B) {
		x := startBench(b, nil, "STEPWARD_DATA_DIR="+b.TempDir())
		benchProfile(x, nil, "embedded (SQLite)", "", "")
	})
	b.Run("production", func(b *testing.B) {
		database, redis := storetest.PostgresURL(b), ephemeraltest.RedisURL(b)
		stores := storeFolders(b, database, redis)
		x := startBench(b, stores,
			"STEPWARD_DATABASE_URL="+database, "STEPWARD_REDIS_URL="+redis, "STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
		floor := startBench(b, stores, "STEPWARD_DATABASE_URL="+storetest.PostgresURL(b), "STEPWARD_REDIS_URL="+redis, benchFloor+"=1")
		benchProfile(x, floor, "production (Postgres + Redis)", database, redis)
	})
	b.Run("program", benchProgram)
}

// startBench starts a server process and makes it a bench, without users.
func startBench(b *testing.B, stores []string, settings ...string) *bench {
	listen, statsAddress := freeAddress(b), freeAddress(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	x := newBench(b, "http://"+listen, "http://"+statsAddress, stores)
	x.cmd = exec.Command(self)
	x.cmd.Env = append(append(os.Environ(), settings...), benchServer+"="+statsAddress, "STEPWARD_LISTEN="+listen,
		"STEPWARD_RATE_NETWORK=1000000", "STEPWARD_RATE_CLIENT=1000000", "STEPWARD_TRUSTED_PROXIES=127.0.0.0/8", "STEPWARD_ISSUER="+x.issuer)
	x.cmd.Stderr = os.Stderr
	if err := x.cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = x.cmd.Process.Signal(syscall.SIGTERM); _ = x.cmd.Wait() })
	waitReady(b, x.issuer)
	return x
}

func newBench(tb testing.TB, issuer, stats string, stores []string) *bench {
	x := &bench{b: tb, issuer: issuer, stats: stats, stores: stores}
	x.app = oauth2.Config{
		ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "email", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: x.issuer + "/oauth2/authorize", TokenURL: x.issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
	x.key = newPerson(tb, x.issuer, appCallback)
	x.key.http.Transport = transport
	return x
}

const benchUsers = 24

// signUp makes the users.
func (x *bench) signUp() {
	x.key.signUp(x.key.open(x.authURL(oauth2.GenerateVerifier())), "bench@example.com")
	x.key.through(x.key.open(x.authURL(oauth2.GenerateVerifier())))
	for i := range benchUsers {
		p := newPerson(x.b, x.issuer, appCallback)
		p.http.Transport = elsewhere{}
		p.signUp(p.open(x.authURL(oauth2.GenerateVerifier())), fmt.Sprintf("bench%d@example.com", i))
		p.through(p.open(x.authURL(oauth2.GenerateVerifier())))
		x.others = append(x.others, p)
	}
}

// operations are the rows of the table.
var operations = []struct {
	name   string
	budget float64 // in pairs; 0: none
	n      int
	op     func(x *bench, n int) func(i int)
	// ours: the bare server has no such operation.
	ours bool
}{
	{"sign-in flow", 13, 400, func(x *bench, _ int) func(int) { return x.signIn }, false},
	{"silent flow", 4.5, 1000, func(x *bench, _ int) func(int) { return x.silent }, false},
	{"code exchange", 3, 1500, func(x *bench, n int) func(int) { return x.codes(n).exchange }, false},
	// The exchange with the verification of one proof, and a push, which is as dear as introspection.
	{"PAR + DPoP exchange", 5.5, 1500, func(x *bench, n int) func(int) { return x.codes(n).bound(dpoptest.New("ES256")) }, true},
	{"refresh", 4, 1500, func(x *bench, _ int) func(int) { return x.refresher() }, false},
	{"userinfo", 1.8, 3000, func(x *bench, _ int) func(int) {
		access := x.token().AccessToken
		return func(int) { x.post(x.issuer+"/oauth2/userinfo", nil, "Bearer "+access) }
	}, false},
	{"introspection", 1.5, 3000, func(x *bench, _ int) func(int) {
		access := x.token().AccessToken
		return func(int) { x.post(x.issuer+"/oauth2/introspect", url.Values{"token": {access}}, "") }
	}, false},
	{"client_credentials", 0, 3000, func(x *bench, _ int) func(int) {
		return func(int) { x.post(x.issuer+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "") }
	}, false},
	{"discovery", 0, 3000, func(x *bench, _ int) func(int) {
		return func(int) { x.get(x.issuer + "/.well-known/openid-configuration") }
	}, false},
}

// benchProfile measures each operation of ours, right after the same of the bare server if there is one, and prints both.
// What a sign-in leaves in the stores is measured if they are Postgres and Redis.
func benchProfile(x, floor *bench, title, database, redis string) {
	x.signUp()
	if floor != nil {
		floor.registerFloor()
	}
	ping := x.read("/ping")
	fmt.Printf("\n%s: one pair (ES256 sign + verify) %v, one SQL round trip %v, one ephemeral round trip %v\n",
		title, measurePair().Round(100*time.Nanosecond), ping.SQLPing, ping.RedisPing)
	fmt.Printf("%-20s | %-26s | %-23s | %7s %7s %8s %6s %6s %12s\n", "", "server: pairs, floor, ratio", "all: µs, floor, ratio",
		"op/s", "p50 ms", "p99 ms", "allocs", "kB", "SQL+eph RT")
	only := os.Getenv("STEPWARD_TEST_BENCH_ONLY")
	for _, o := range operations {
		if only != "" && !slices.Contains(strings.Split(only, ","), o.name) {
			continue
		}
		if only == o.name && !strings.HasSuffix(o.name, "exchange") { // whose codes are made beforehand
			o.n *= 4
		}
		var least cost
		if floor != nil && !o.ours {
			least = floor.measure(o.n, o.op(floor, o.n), strings.HasSuffix(o.name, "exchange"))
		}
		op := o.op(x, o.n)
		kept := func() (bytes, entries float64) { return 0, 0 }
		if o.name == "sign-in flow" && database != "" {
			kept = keptIn(x.b, database, o.n+warmUp)
		}
		profiled := func() {}
		if only == o.name {
			profiled = x.profile()
		}
		c := x.measure(o.n, op, strings.HasSuffix(o.name, "exchange"))
		profiled()
		c.print(o.name, least, o.budget)
		if bytes, entries := kept(); entries > 0 {
			fmt.Printf("%-20s | a sign-in leaves %.0f bytes and %.1f index entries in Postgres\n", "", bytes, entries)
			fmt.Printf("%-20s | a passkey takes %.0f bytes (goal 300)\n", "", passkeyIn(x.b, database))
			abandoned, session := memoryOf(x.b, redis, func() func() {
				p := newPerson(x.b, x.issuer, appCallback)
				p.key = x.key.key
				at := p.open(x.authURL(oauth2.GenerateVerifier()))
				return func() { p.through(at) }
			})
			fmt.Printf("%-20s | an abandoned sign-in takes %d bytes in Redis, a session %d\n", "", abandoned, session)
		}
	}
	fmt.Printf("resident memory under load: %s\n", residentMemory(x.cmd.Process.Pid))
}

// profile writes profiles of the server for the time until the function that it returns is called, at most five seconds
// of its processor. Allocations are those between two files: go tool pprof -sample_index=alloc_space -base first second.
// GODEBUG=memprofilerate=1 makes them exact.
func (x *bench) profile() (end func()) {
	save := func(name, path string) {
		resp, err := http.Get(x.stats + "/debug/pprof/" + path)
		if err != nil {
			return
		}
		defer resp.Body.Close()
		file, err := os.Create(filepath.Join(os.TempDir(), "stepward-bench."+name+".prof"))
		if err != nil {
			return
		}
		defer file.Close()
		_, _ = io.Copy(file, resp.Body)
		fmt.Println("profile:", file.Name())
	}
	save("allocs-first", "heap?gc=1")
	var cpu sync.WaitGroup
	cpu.Go(func() { save("cpu", "profile?seconds=5") })
	return func() {
		save("allocs-second", "heap?gc=1")
		cpu.Wait()
	}
}

// transport is shared by all clients, so that connections are reused as an application would.
var transport = &http.Transport{MaxIdleConnsPerHost: 32}

var httpClient = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// elsewhere is a client of its own address each time, as a trusted proxy tells it: tries are limited by address.
type elsewhere struct{}

func (elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256)))
	return transport.RoundTrip(r)
}

// A cost is what one operation costs on average.
type cost struct {
	pair                 time.Duration // measured beside it
	server, stores       time.Duration
	rate                 float64 // per second
	p50, p99             time.Duration
	allocs, kB, sql, eph float64
}

const warmUp = 16 // operations before the measured ones: connections, prepared statements, caches

// measure performs an operation n times from eight clients. Operations that use something up are not warmed up.
func (x *bench) measure(n int, op func(i int), usesUp bool) cost {
	for i := range warmUp {
		if !usesUp {
			op(-1 - i)
		}
	}
	const workers = 8
	times := make([]time.Duration, n)
	c := cost{pair: measurePair()}
	before, storesBefore, begin := x.read("/"), storeCPU(x.stores), time.Now()
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				start := time.Now()
				op(i)
				times[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	after, storesAfter := x.read("/"), storeCPU(x.stores)
	slices.Sort(times)
	per := func(v float64) float64 { return v / float64(n) }
	c.server, c.stores = (after.CPU-before.CPU)/time.Duration(n), (storesAfter-storesBefore)/time.Duration(n)
	c.rate, c.p50, c.p99 = float64(n)/took.Seconds(), times[n/2], times[n*99/100]
	c.allocs, c.kB = per(float64(after.Allocs-before.Allocs)), per(float64(after.AllocBytes-before.AllocBytes))/1e3
	c.sql, c.eph = per(float64(after.SQL-before.SQL)), per(float64(after.Ephemeral-before.Ephemeral))
	return c
}

func (c cost) pairs() float64 { return float64(c.server) / float64(c.pair) }

func (c cost) all() float64 { return float64(c.server+c.stores) / 1e3 }

// print writes a row; least is the cost of the bare server, zero if there is none.
func (c cost) print(name string, least cost, budget float64) {
	server, all := fmt.Sprintf("%6.2f", c.pairs()), fmt.Sprintf("%6.0f", c.all())
	if least.pair > 0 {
		server += fmt.Sprintf(" %6.2f %5.1fx", least.pairs(), c.pairs()/least.pairs())
		all += fmt.Sprintf(" %6.0f %5.1fx", least.all(), c.all()/least.all())
	}
	if budget > 0 && c.pairs() > budget {
		server += " over"
	}
	fmt.Printf("%-20s | %-26s | %-23s | %7.0f %7.2f %8.2f %6.0f %6.1f %12s\n", name, server, all, c.rate, ms(c.p50), ms(c.p99), c.allocs, c.kB,
		fmt.Sprintf("%.1f + %.1f", c.sql, c.eph))
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

func (x *bench) read(path string) (s stats) {
	resp, err := http.Get(x.stats + path)
	if err != nil {
		x.b.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&s); err != nil {
		x.b.Fatal(err)
	}
	return s
}

func (x *bench) authURL(verifier string, options ...oauth2.AuthCodeOption) string {
	return x.app.AuthCodeURL("state", append(options, oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("nonce", "nonce"))...)
}

// signIn is the whole flow in a new browser: authorize, page, ceremony, code, tokens.
func (x *bench) signIn(i int) {
	p := newPerson(x.b, x.issuer, appCallback)
	p.http.Transport, p.key = elsewhere{}, x.others[(i+len(x.others))%len(x.others)].key
	verifier := oauth2.GenerateVerifier()
	back := p.through(p.open(x.authURL(verifier)))
	x.exchange(back.Get("code"), verifier)
}

// silent is single sign-on in a browser that has a session. The application does not know that it has.
func (x *bench) silent(int) {
	code, verifier := x.code()
	x.exchange(code, verifier)
}

func (x *bench) code() (code, verifier string) {
	verifier = oauth2.GenerateVerifier()
	at := x.key.open(x.authURL(verifier))
	if code = at.url.Query().Get("code"); code == "" {
		x.b.Fatalf("silent flow: %v", at)
	}
	return code, verifier
}

type issuedCodes struct {
	x    *bench
	list [][2]string
}

func (x *bench) codes(n int) *issuedCodes {
	c := &issuedCodes{x: x}
	for range n {
		code, verifier := x.code()
		c.list = append(c.list, [2]string{code, verifier})
	}
	return c
}

func (c *issuedCodes) exchange(i int) { c.x.exchange(c.list[i][0], c.list[i][1]) }

// bound pushes a request and exchanges a code, with a proof.
func (c *issuedCodes) bound(key dpoptest.Key) func(int) {
	return func(i int) {
		code, verifier := c.list[i][0], c.list[i][1]
		long, err := url.Parse(c.x.authURL(verifier))
		if err != nil {
			c.x.b.Fatal(err)
		}
		c.x.post(c.x.issuer+"/oauth2/par", long.Query(), "")
		body := c.x.post(c.x.app.Endpoint.TokenURL, exchanging(code, verifier), "", key.Proof("POST", c.x.app.Endpoint.TokenURL))
		if !bytes.Contains(body, []byte(`"DPoP"`)) {
			c.x.b.Fatalf("not bound: %s", body)
		}
	}
}

func (x *bench) exchange(code, verifier string) []byte {
	return x.post(x.app.Endpoint.TokenURL, exchanging(code, verifier), "")
}

func exchanging(code, verifier string) url.Values {
	return url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {appCallback}, "code_verifier": {verifier}}
}

func (x *bench) token() (t oauth2.Token) {
	code, verifier := x.code()
	if err := json.Unmarshal(x.exchange(code, verifier), &t); err != nil {
		x.b.Fatal(err)
	}
	return t
}

// refresher refreshes one family per client, so that clients do not rotate each other's tokens.
func (x *bench) refresher() func(int) {
	current := sync.Map{}
	return func(i int) {
		worker := ((i % 8) + 8) % 8
		held, ok := current.Load(worker)
		if !ok {
			held = x.token().RefreshToken
		}
		var t oauth2.Token
		body := x.post(x.app.Endpoint.TokenURL, url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held.(string)}}, "")
		if err := json.Unmarshal(body, &t); err != nil {
			x.b.Fatal(err)
		}
		current.Store(worker, t.RefreshToken)
	}
}

func (x *bench) post(target string, form url.Values, authorization string, proofs ...string) []byte {
	r, err := http.NewRequest(http.MethodPost, target, strings.NewReader(form.Encode()))
	if err != nil {
		x.b.Fatal(err)
	}
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	} else {
		r.SetBasicAuth(x.app.ClientID, x.app.ClientSecret)
	}
	if form != nil {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, proof := range proofs {
		r.Header.Add("DPoP", proof)
	}
	return x.send(r)
}

func (x *bench) get(target string) []byte {
	r, err := http.NewRequest(http.MethodGet, target, nil)
	if err != nil {
		x.b.Fatal(err)
	}
	return x.send(r)
}

func (x *bench) send(r *http.Request) []byte {
	resp, err := httpClient.Do(r)
	if err != nil {
		x.b.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusCreated {
		x.b.Fatalf("%s: %s %s %v", r.URL.Path, resp.Status, body, err)
	}
	return body
}

func residentMemory(pid int) string { return memory(pid, "VmRSS:") }

// ownMemory leaves out the pages of the program file, which the kernel drops when memory is short.
func ownMemory(pid int) string { return memory(pid, "RssAnon:") }

func memory(pid int, kind string) string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(content)) {
		if kib, ok := strings.CutPrefix(line, kind); ok {
			n, _ := strconv.Atoi(strings.Fields(kib)[0])
			return fmt.Sprintf("%.1f MB", float64(n)/1024)
		}
	}
	return "unknown"
}

func waitReady(b *testing.B, origin string) {
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); {
		if resp, err := http.Get(origin + "/readyz"); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		<-time.After(time.Millisecond)
	}
	b.Fatal("the server did not become ready")
}

// benchProgram measures the real program: its size, its start, and its memory when idle.
func benchProgram(b *testing.B) {
	dir := b.TempDir()
	program := filepath.Join(dir, "stepward")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-s -w", "-o", program, "github.com/stepward/stepward/cmd/stepward")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	info, err := os.Stat(program)
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\nprogram: %.1f MB stripped (budget 52: docs/decisions/0032)\n", float64(info.Size())/1e6)
	for _, start := range []struct {
		name   string
		budget int
	}{{"first start, with migrations", 300}, {"next start", 100}} {
		listen := freeAddress(b)
		cmd := exec.Command(program, "serve", "--listen", listen, "--issuer", "http://"+listen, "--data-dir", filepath.Join(dir, "data"))
		begin := time.Now()
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		waitReady(b, "http://"+listen)
		ready := time.Since(begin)
		<-time.After(time.Second)
		fmt.Printf("%s: ready after %d ms (budget %d), idle with %s (budget 32), %s with the program file\n",
			start.name, ready.Milliseconds(), start.budget, ownMemory(cmd.Process.Pid), residentMemory(cmd.Process.Pid))
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}
