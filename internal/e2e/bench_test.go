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

func TestMain(m *testing.M) {
	if os.Getenv(benchServer) != "" {
		if err := runBenchServer(); err != nil {
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
		Scopes: []string{"openid", "profile", "email", "offline_access", "reports"}, CreatedAt: now, UpdatedAt: now,
	}); err != nil {
		return err
	}
	statsListener, err := net.Listen("tcp", os.Getenv(benchServer))
	if err != nil {
		return err
	}
	go func() {
		http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { // beside net/http/pprof
			var usage syscall.Rusage
			_ = syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
			var mem runtime.MemStats
			runtime.ReadMemStats(&mem)
			out := stats{
				CPU:    time.Duration(usage.Utime.Nano() + usage.Stime.Nano()),
				Allocs: mem.Mallocs, SQL: s.DB.RoundTrips(), Ephemeral: s.Ephemeral.RoundTrips(), Goroutines: runtime.NumGoroutine(),
			}
			if r.URL.Path == "/ping" {
				out.SQLPing = medianOf(200, func() { _ = s.DB.Ping(ctx) })
				out.RedisPing = medianOf(200, func() { _ = s.Ephemeral.Ping(ctx) })
			}
			_ = json.NewEncoder(w).Encode(out)
		})
		_ = http.Serve(statsListener, nil)
	}()
	listener, err := s.Listen()
	if err != nil {
		return err
	}
	return s.Serve(ctx, listener)
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
	const n = 2000
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
	b      *testing.B
	issuer string
	stats  string
	key    *person   // has the account and its passkey
	others []*person // sign in: a user has fifty sessions at most
	app    oauth2.Config
	stores []string // names of the store processes
}

// BenchmarkServer is make bench: what each operation costs the server's processor, in microseconds and in pairs. Run it
// with -benchtime 1x; it sets its own counts.
func BenchmarkServer(b *testing.B) {
	fmt.Printf("\n%s, %d processors\n", runtime.Version(), runtime.NumCPU())
	b.Run("embedded", func(b *testing.B) {
		benchProfile(b, "embedded (SQLite)", []string{"STEPWARD_DATA_DIR=" + b.TempDir()}, nil)
	})
	b.Run("production", func(b *testing.B) {
		benchProfile(b, "production (Postgres + Redis)", []string{
			"STEPWARD_DATABASE_URL=" + storetest.PostgresURL(b), "STEPWARD_REDIS_URL=" + ephemeraltest.RedisURL(b),
			"STEPWARD_KEY=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
		}, []string{"postgres", "redis-server"})
	})
	b.Run("program", benchProgram)
}

func benchProfile(b *testing.B, title string, settings, stores []string) {
	listen, statsAddress := freeAddress(b), freeAddress(b)
	self, err := os.Executable()
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(append(os.Environ(), settings...), benchServer+"="+statsAddress, "STEPWARD_LISTEN="+listen, "STEPWARD_TRUSTED_PROXIES=127.0.0.0/8", "STEPWARD_ISSUER=http://"+listen)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })
	x := &bench{b: b, issuer: "http://" + listen, stats: "http://" + statsAddress, stores: stores}
	waitReady(b, x.issuer)
	x.app = oauth2.Config{
		ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "email", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: x.issuer + "/oauth2/authorize", TokenURL: x.issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
	}
	x.key = newPerson(b, x.issuer, appCallback)
	x.key.http.Transport = transport
	x.key.signUp(x.key.open(x.authURL(oauth2.GenerateVerifier())), "bench@example.com")
	x.key.through(x.key.open(x.authURL(oauth2.GenerateVerifier())))
	for i := range 24 {
		p := newPerson(b, x.issuer, appCallback)
		p.http.Transport = elsewhere{}
		p.signUp(p.open(x.authURL(oauth2.GenerateVerifier())), fmt.Sprintf("bench%d@example.com", i))
		p.through(p.open(x.authURL(oauth2.GenerateVerifier())))
		x.others = append(x.others, p)
	}

	ping := x.read("/ping")
	pair := measurePair()
	fmt.Printf("\n%s: one pair (ES256 sign + verify) %v, one SQL round trip %v, one ephemeral round trip %v\n", title, pair.Round(100*time.Nanosecond), ping.SQLPing, ping.RedisPing)
	fmt.Printf("%-22s %9s %7s %7s %10s %9s %9s %9s %8s %12s\n", "", "CPU µs", "pairs", "budget", "stores µs", "op/s", "p50 ms", "p99 ms", "allocs", "SQL+eph RT")

	x.run("sign-in flow", 13, 300, pair, x.signIn)
	x.run("silent flow", 4.5, 1000, pair, x.silent)
	codes := x.codes(1500)
	x.run("code exchange", 3, len(codes.list), pair, codes.exchange)
	// The exchange with the verification of one proof, and a push, which is as dear as introspection.
	codes = x.codes(1500)
	x.run("PAR + DPoP exchange", 5.5, len(codes.list), pair, codes.bound(dpoptest.New("ES256")))
	x.run("refresh", 4, 1000, pair, x.refresher())
	access := x.token().AccessToken
	x.run("userinfo", 1.8, 3000, pair, func(int) { x.post(x.issuer+"/oauth2/userinfo", nil, "Bearer "+access) })
	x.run("introspection", 1.5, 3000, pair, func(int) { x.post(x.issuer+"/oauth2/introspect", url.Values{"token": {access}}, "") })
	x.run("client_credentials", 0, 3000, pair, func(int) { x.post(x.issuer+"/oauth2/token", url.Values{"grant_type": {"client_credentials"}}, "") })
	x.run("discovery", 0, 3000, pair, func(int) { x.get(x.issuer + "/.well-known/openid-configuration") })
	fmt.Printf("resident memory under load: %s\n", residentMemory(cmd.Process.Pid))
}

// profile writes three seconds of the server's processor profile, when STEPWARD_TEST_BENCH_ONLY names one operation.
func (x *bench) profile() {
	resp, err := http.Get(x.stats + "/debug/pprof/profile?seconds=3")
	if err != nil {
		return
	}
	defer resp.Body.Close()
	file, err := os.Create(filepath.Join(os.TempDir(), "stepward-bench.prof"))
	if err != nil {
		return
	}
	defer file.Close()
	_, _ = io.Copy(file, resp.Body)
	fmt.Println("profile:", file.Name())
}

// transport is shared by all clients, so that connections are reused as an application would.
var transport = &http.Transport{MaxIdleConnsPerHost: 16}

var httpClient = &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// elsewhere is a client of its own address each time, as a trusted proxy tells it: tries are limited by address.
type elsewhere struct{}

func (elsewhere) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("X-Forwarded-For", fmt.Sprintf("10.%d.%d.%d", mathrand.IntN(256), mathrand.IntN(256), mathrand.IntN(256)))
	return transport.RoundTrip(r)
}

// run performs an operation n times from four clients and prints what it cost.
func (x *bench) run(name string, budget float64, n int, pair time.Duration, op func(i int)) {
	if only := os.Getenv("STEPWARD_TEST_BENCH_ONLY"); only != "" && only != name {
		return
	} else if only != "" {
		if !strings.HasSuffix(name, "exchange") { // whose codes are made beforehand
			n *= 4
		}
		go x.profile()
	}
	for i := range 16 { // connections, prepared statements, caches
		if !strings.HasSuffix(name, "exchange") {
			op(-1 - i)
		}
	}
	const workers = 4
	times := make([]time.Duration, n)
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
	cpu := per(float64(after.CPU-before.CPU)) / 1e3
	limit := "–"
	if budget > 0 {
		limit = strconv.FormatFloat(budget, 'g', -1, 64)
	}
	fmt.Printf("%-22s %9.0f %7.2f %7s %10.0f %9.0f %9.2f %9.2f %8.0f %12s\n", name, cpu, cpu*1e3/float64(pair), limit,
		per(float64(storesAfter-storesBefore))/1e3, float64(n)/took.Seconds(), ms(times[n/2]), ms(times[n*99/100]),
		per(float64(after.Allocs-before.Allocs)), fmt.Sprintf("%.1f + %.1f", per(float64(after.SQL-before.SQL)), per(float64(after.Ephemeral-before.Ephemeral))))
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

// silent is single sign-on in a browser that has a session.
func (x *bench) silent(int) {
	code, verifier := x.code()
	x.exchange(code, verifier)
}

func (x *bench) code() (code, verifier string) {
	verifier = oauth2.GenerateVerifier()
	at := x.key.open(x.authURL(verifier, oauth2.SetAuthURLParam("prompt", "none")))
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
		worker := ((i % 4) + 4) % 4
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

// storeCPU is the processor time so far of all processes with these names (proc(5)).
func storeCPU(names []string) (total time.Duration) {
	files, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, file := range files {
		content, err := os.ReadFile(file)
		if err != nil {
			continue
		}
		line := string(content)
		open, end := strings.IndexByte(line, '('), strings.LastIndexByte(line, ')')
		if open < 0 || end < open || !slices.Contains(names, line[open+1:end]) {
			continue
		}
		fields := strings.Fields(line[end+1:])
		user, _ := strconv.ParseInt(fields[11], 10, 64)
		system, _ := strconv.ParseInt(fields[12], 10, 64)
		total += time.Duration(user+system) * 10 * time.Millisecond // USER_HZ is 100 on Linux
	}
	return total
}

func residentMemory(pid int) string {
	content, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return "unknown"
	}
	for line := range strings.Lines(string(content)) {
		if kib, ok := strings.CutPrefix(line, "VmRSS:"); ok {
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
	fmt.Printf("\nprogram: %.1f MB stripped (budget 40)\n", float64(info.Size())/1e6)
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
		fmt.Printf("%s: ready after %d ms (budget %d), idle with %s (budget 32)\n", start.name, ready.Milliseconds(), start.budget, residentMemory(cmd.Process.Pid))
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
}
