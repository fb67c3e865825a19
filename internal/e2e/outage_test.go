package e2e

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
)

func TestAStoppedStoreIsSaidPlainlyAndNothingIsLost(t *testing.T) {
	t.Parallel()
	settings, postgres, redis := wired(t)
	s := newSite(t, 1, settings)
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")

	plain := func(what, text string) {
		t.Helper()
		for _, leak := range []string{"dial tcp", "127.0.0.1:", "redis:", "pgx", "SQLSTATE", "connection", "EOF", "idp.", "store"} {
			if strings.Contains(text, leak) {
				t.Errorf("%s: an answer says %q:\n%s", what, leak, text)
			}
		}
	}
	var burnt, twice int
	defer func() { t.Logf("counted: of 2 codes that an outage met, %d burnt and %d spent twice", burnt, twice) }()
	for name, store := range map[string]*wire{"Postgres": postgres, "Redis": redis} {
		verifier := oauth2.GenerateVerifier()
		at := p.open(s.app.AuthCodeURL("af0ifjsldkj", oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "login")))
		store.cut()
		next, answer := p.tryCeremony(at)
		if next != "" || answer["status"] != http.StatusServiceUnavailable || answer["request_id"] == "" {
			t.Errorf("%s: finish answered %v", name, answer)
		}
		message, _ := answer["message"].(string)
		plain(name, message)
		if resp, err := http.Get(s.issuer + "/healthz"); err != nil || resp.StatusCode != http.StatusOK {
			t.Errorf("%s: /healthz %v %v", name, resp, err)
		}
		if name == "Redis" {
			sick := p.open(at.url.String())
			if sick.status != http.StatusServiceUnavailable || sick.name != "error" {
				t.Errorf("the page: %v", sick)
			}
			plain("page", sick.body)
		}
		store.mend()
		at = p.open(at.url.String()) // the person reloads and goes on where they were
		back := p.through(at)
		store.cut()
		_, err := s.app.Exchange(t.Context(), back.Get("code"), oauth2.VerifierOption(verifier))
		var refused *oauth2.RetrieveError
		if err == nil {
			t.Errorf("%s: a code was exchanged without the store", name)
		} else if ok := errors.As(err, &refused); !ok || refused.Response.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s: exchange answered %v", name, err)
		} else {
			plain(name, string(refused.Body))
		}
		store.mend()
		won, again := s.exchanged(back.Get("code"), verifier)
		if !won {
			burnt++
			t.Errorf("%s: a code that an outage met cannot be exchanged", name)
		}
		if again {
			twice++
			t.Errorf("%s: a code that an outage met was exchanged twice", name)
		}
	}
	if _, c := s.tokens(p); c.ACR != "phr" {
		t.Errorf("afterwards: %+v", c)
	}
}

// reply is an answer of the provider.
type reply struct {
	*http.Response
	body string
}

func ask(t *testing.T, r *http.Request) reply {
	t.Helper()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp, string(body)}
}

// Replicas share their stores: if each of them called itself not ready, the balancer would take all of them out, and
// people and applications would get its bare 503.
func TestWithoutAStoreTheReplicasStayAndDoWhatTheyCan(t *testing.T) {
	t.Parallel()
	settings, postgres, redis := wired(t)
	s := newSite(t, 2, settings)
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	held, _ := s.tokens(p)
	if held.RefreshToken == "" {
		t.Fatal("no refresh token")
	}
	get := func(path, accept string) reply {
		t.Helper()
		r, err := http.NewRequest(http.MethodGet, s.issuer+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", accept)
		return ask(t, r)
	}
	post := func(path string, form url.Values) reply {
		t.Helper()
		r, err := http.NewRequest(http.MethodPost, s.issuer+path, strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(s.app.ClientID, s.app.ClientSecret)
		return ask(t, r)
	}
	for _, name := range []string{"database", "ephemeral"} {
		store := map[string]*wire{"database": postgres, "ephemeral": redis}[name]
		store.cut()
		time.Sleep(1100 * time.Millisecond) // what was seen a second ago holds
		out := 0
		for range 10 {
			if get("/readyz", "*/*").StatusCode != 200 {
				out++
			}
		}
		t.Logf("counted: %d of 10 health checks of 2 replicas say not ready while the %s store is away", out, name)
		lenient, strict := get("/readyz", "*/*"), get("/readyz?stores=required", "*/*")
		if lenient.StatusCode != 200 || !strings.Contains(lenient.body, `"degraded"`) || !strings.Contains(lenient.body, `"`+name+`":"down: `) {
			t.Errorf("%s: /readyz %d %s", name, lenient.StatusCode, lenient.body)
		}
		if strict.StatusCode != 503 || strict.Header.Get("Retry-After") == "" {
			t.Errorf("%s: /readyz?stores=required %d %v", name, strict.StatusCode, strict.Header)
		}
		if r := get("/.well-known/openid-configuration", "*/*"); r.StatusCode != 200 {
			t.Errorf("%s: discovery %d", name, r.StatusCode)
		}
		page := get(strings.TrimPrefix(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier())), s.issuer), "text/html")
		if name == "ephemeral" && page.StatusCode != 503 || page.StatusCode == 503 &&
			(page.Header.Get("Retry-After") == "" || !strings.Contains(page.body, "One moment, please")) {
			t.Errorf("%s: page %d %v", name, page.StatusCode, page.Header)
		}
		exchange := post("/oauth2/token", url.Values{"grant_type": {"authorization_code"}, "code": {"none"}, "redirect_uri": {appCallback}})
		if exchange.StatusCode != 503 || exchange.Header.Get("Retry-After") == "" || !strings.Contains(exchange.body, "temporarily_unavailable") {
			t.Errorf("%s: exchange %d %v %s", name, exchange.StatusCode, exchange.Header, exchange.body)
		}
		refreshed := post("/oauth2/token", url.Values{"grant_type": {"refresh_token"}, "refresh_token": {held.RefreshToken}})
		if name == "ephemeral" { // needs no Redis
			if refreshed.StatusCode != 200 {
				t.Errorf("refresh without Redis: %d %s", refreshed.StatusCode, refreshed.body)
			}
			if r := post("/oauth2/introspect", url.Values{"token": {held.AccessToken}}); r.StatusCode != 200 || !strings.Contains(r.body, `"active":true`) {
				t.Errorf("introspection without Redis: %d %s", r.StatusCode, r.body)
			}
			if r := get("/oauth2/jwks", "*/*"); r.StatusCode != 200 {
				t.Errorf("keys without Redis: %d", r.StatusCode)
			}
		} else if refreshed.StatusCode != 503 || refreshed.Header.Get("Retry-After") == "" {
			t.Errorf("refresh without Postgres: %d %v", refreshed.StatusCode, refreshed.Header)
		}
		store.mend()
		for deadline := time.Now().Add(time.Minute); get("/readyz?stores=required", "*/*").StatusCode != 200; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("%s is back, and the replicas are not", name)
			}
		}
	}
}

// Postgres does what it is asked and its answers are lost, so that every family is rotated unheard.
func TestASilentPostgresCostsNoFamily(t *testing.T) {
	t.Parallel()
	settings, postgres, _ := wired(t)
	s := newSite(t, 1, append(settings, "STEPWARD_POSTGRES_STATEMENT_TIMEOUT=3s"))
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	held := make([]string, 8)
	for i := range held {
		token, _ := s.tokens(p)
		held[i] = token.RefreshToken
	}
	refresh := func(token string) (string, int) {
		fresh, err := s.app.TokenSource(t.Context(), &oauth2.Token{RefreshToken: token}).Token()
		if bad, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
			return "", bad.Response.StatusCode
		}
		if err != nil {
			t.Error(err)
			return "", 0
		}
		return fresh.RefreshToken, http.StatusOK
	}
	all := func() (answers map[int]int) {
		var wg sync.WaitGroup
		var mu sync.Mutex
		answers = map[int]int{}
		for i, token := range held {
			wg.Go(func() {
				next, status := refresh(token)
				mu.Lock()
				defer mu.Unlock()
				answers[status]++
				if next != "" {
					held[i] = next
				}
			})
		}
		wg.Wait()
		return answers
	}
	for range 3 { // each connection knows the statements, so that none waits for the answer to a preparation
		if got := all(); got[http.StatusOK] != len(held) {
			t.Fatalf("before: %v", got)
		}
	}
	postgres.hush(true)
	if got := all(); got[http.StatusServiceUnavailable] != len(held) {
		t.Errorf("in the silence: %v", got)
	}
	postgres.hush(false)
	s.waitForHealth(`"status":"ready"`)
	retried, later := all(), all()
	t.Logf("counted: %d of %d families lost after a refresh whose answer Postgres swallowed", len(held)-later[http.StatusOK], len(held))
	if retried[http.StatusOK] != len(held) || later[http.StatusOK] != len(held) {
		t.Errorf("the same tokens again: %v, their successors: %v", retried, later)
	}
}

func TestASilentRequestInAnOutageIsAnsweredToItsClient(t *testing.T) {
	t.Parallel()
	settings, postgres, redis := wired(t)
	s := newSite(t, 1, settings)
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	s.tokens(p)
	silent := func(options ...oauth2.AuthCodeOption) *http.Request {
		t.Helper()
		options = append([]oauth2.AuthCodeOption{oauth2.S256ChallengeOption(oauth2.GenerateVerifier()), oauth2.SetAuthURLParam("prompt", "none")}, options...)
		r, err := http.NewRequest(http.MethodGet, s.app.AuthCodeURL("af0ifjsldkj", options...), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Accept", "text/html")
		for _, c := range p.http.Jar.Cookies(r.URL) {
			r.AddCookie(c)
		}
		return r
	}
	if r := ask(t, silent()); !strings.Contains(r.Header.Get("Location"), "code=") {
		t.Fatalf("before: %d %v", r.StatusCode, r.Header)
	}
	asked, pages := 0, 0
	defer func() { t.Logf("counted: %d of %d silent requests ended at a page", pages, asked) }()
	redirected := func(name string, r reply) {
		t.Helper()
		asked++
		to, err := url.Parse(r.Header.Get("Location"))
		q := to.Query()
		if err != nil || !strings.HasPrefix(to.String(), appCallback+"?") || q.Get("error") != "temporarily_unavailable" ||
			q.Get("state") != "af0ifjsldkj" || q.Get("iss") != s.issuer {
			pages++
			t.Errorf("%s: %d %v", name, r.StatusCode, r.Header)
		}
	}
	shown := func(name string, r reply) {
		t.Helper()
		if r.StatusCode < 400 || r.Header.Get("Location") != "" {
			t.Errorf("%s: %d %v", name, r.StatusCode, r.Header)
		}
	}
	foreign := oauth2.SetAuthURLParam("redirect_uri", "https://evil.example/cb")
	redis.cut()
	redirected("without Redis", ask(t, silent()))
	shown("without Redis, to another client", ask(t, silent(foreign)))
	redis.mend()
	postgres.cut()
	redirected("without Postgres", ask(t, silent()))
	time.Sleep(4100 * time.Millisecond) // the client is not in the cache any more
	redirected("without Postgres, later", ask(t, silent()))
	shown("without Postgres, to another client", ask(t, silent(foreign)))
	shown("without Postgres, for a client not seen before", ask(t, silent(oauth2.SetAuthURLParam("client_id", "somebody"))))
	shown("without Postgres, pushed", ask(t, silent(oauth2.SetAuthURLParam("request_uri", "urn:ietf:params:oauth:request_uri:x"))))
	postgres.mend()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(ask(t, silent()).Header.Get("Location"), "code="); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the stores are back, and silent requests are not")
		}
	}
}

// exchanged exchanges a code, again as long as the answer is 503, and then once more.
func (s *site) exchanged(code, verifier string) (won, again bool) {
	s.t.Helper()
	exchange := func() (won, busy bool) {
		_, err := s.app.Exchange(s.t.Context(), code, oauth2.VerifierOption(verifier))
		bad, ok := errors.AsType[*oauth2.RetrieveError](err)
		return err == nil, ok && bad.Response.StatusCode == http.StatusServiceUnavailable
	}
	won, busy := exchange()
	for deadline := time.Now().Add(time.Minute); busy && time.Now().Before(deadline); won, busy = exchange() {
		time.Sleep(20 * time.Millisecond)
	}
	again, _ = exchange()
	return won, again
}

func TestADeviceCodeThatAnOutageMetIsNotUsedUp(t *testing.T) {
	t.Parallel()
	settings, postgres, _ := wired(t)
	s := newSite(t, 1, settings)
	p := newPerson(t, s.issuer, appCallback)
	p.signUp(p.open(s.app.AuthCodeURL("x", oauth2.S256ChallengeOption(oauth2.GenerateVerifier()))), "ada@example.com")
	s.asDevice()
	asked := s.asks()
	if _, end := p.connects(asked.UserCode); end.url.Path != "/device/connected" {
		t.Fatalf("at %v", end)
	}
	poll := func() reply {
		t.Helper()
		form := url.Values{"grant_type": {idp.GrantDeviceCode}, "device_code": {asked.DeviceCode}, "client_id": {s.app.ClientID}}
		r, err := http.NewRequest(http.MethodPost, s.issuer+"/oauth2/token", strings.NewReader(form.Encode()))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		return ask(t, r)
	}
	postgres.cut()
	if r := poll(); r.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("in the outage: %d %s", r.StatusCode, r.body)
	}
	postgres.mend()
	r := poll()
	for deadline := time.Now().Add(time.Minute); r.StatusCode == http.StatusServiceUnavailable && time.Now().Before(deadline); r = poll() {
		time.Sleep(20 * time.Millisecond)
	}
	if r.StatusCode != http.StatusOK || !strings.Contains(r.body, "access_token") {
		t.Errorf("afterwards: %d %s", r.StatusCode, r.body)
	}
	if r := poll(); r.StatusCode != http.StatusBadRequest {
		t.Errorf("it works twice: %d %s", r.StatusCode, r.body)
	}
}

// A balancer that asks each second gives up after one.
func TestASilentStoreDoesNotHoldUpTheHealthChecks(t *testing.T) {
	t.Parallel()
	settings, _, redis := wired(t)
	s := newSite(t, 1, settings)
	busy, err := net.Dial("unix", redis.target)
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	if _, err := io.WriteString(busy, "EVAL \"while true do end\" 0\r\n"); err != nil { // until the server is killed
		t.Fatal(err)
	}
	for path, want := range map[string]int{"/readyz": http.StatusOK, "/readyz?stores=required": http.StatusServiceUnavailable} {
		r, err := http.NewRequest(http.MethodGet, s.issuer+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		quickest := time.Hour // of some: others may have been held up by a neighbour
		for range 5 {
			time.Sleep(1100 * time.Millisecond) // what was seen a second ago holds
			begin := time.Now()
			answer := ask(t, r)
			quickest = min(quickest, time.Since(begin))
			if answer.StatusCode != want || !strings.Contains(answer.body, `"ephemeral":"down: `) {
				t.Errorf("%s: %d: %s", path, answer.StatusCode, answer.body)
			}
			if quickest <= time.Second {
				break
			}
		}
		if quickest > time.Second {
			t.Errorf("%s: answered after %v", path, quickest)
		}
	}
}
