package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/oauth2"
)

// A ledger is what applications and browsers saw.
type ledger struct {
	mu       sync.Mutex
	tokens   map[string]int             // how often a code gave tokens
	next     map[string]map[string]bool // the successors that a refresh token got
	issued   map[string]int             // first tokens that a subject's applications got
	done     map[string]int             // requests and flows that succeeded, by what they were
	missed   map[string]int             // and that did not
	why      map[string][]string        // the first of those
	lost     []string                   // families that no answer explains the end of
	repeated int                        // families that ended after a request whose answer never came
	blunders []string                   // answers 500, an outage that nobody thought of, or 503 without Retry-After
}

func newLedger() *ledger {
	return &ledger{
		tokens: map[string]int{}, next: map[string]map[string]bool{}, issued: map[string]int{},
		done: map[string]int{}, missed: map[string]int{}, why: map[string][]string{},
	}
}

func (l *ledger) note(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f()
}

// twice returns how many codes gave tokens more than once.
func (l *ledger) twice() (n int) {
	for _, times := range l.tokens {
		if times > 1 {
			n++
		}
	}
	return n
}

// split returns how many refresh tokens got two different successors.
func (l *ledger) split() (n int) {
	for _, successors := range l.next {
		if len(successors) > 1 {
			n++
		}
	}
	return n
}

// An attempt is a test of steps that may fail in an outage: it ends the steps instead of the test.
type attempt struct{ testing.TB }

type gaveUp string

func (attempt) Helper()                           {}
func (attempt) Fatal(args ...any)                 { panic(gaveUp(fmt.Sprint(args...))) }
func (attempt) Fatalf(format string, args ...any) { panic(gaveUp(fmt.Sprintf(format, args...))) }

// try runs steps of an attempt and reports why they ended early.
func try(steps func()) (err error) {
	defer func() {
		if why := recover(); why != nil {
			text, ok := why.(gaveUp)
			if !ok {
				panic(why)
			}
			err = fmt.Errorf("%.300s", string(text))
		}
	}()
	steps()
	return nil
}

// A visitor is a person with the applications that act for them. They repeat what failed, as people and libraries do,
// sometimes before the answer is there, and sometimes they do everything twice at once.
type visitor struct {
	book     *ledger
	app      oauth2.Config
	rng      *rand.Rand
	home     *person // the present browser
	sub      string
	proven   int // ceremonies that were answered with success
	families []*held
}

// held is a family as an application knows it.
type held struct {
	refresh, access string
	vague           bool // a request's answer never came, so that the request may be handled later
}

func newVisitor(t testing.TB, book *ledger, app oauth2.Config, seed uint64) *visitor {
	v := &visitor{book: book, app: app, rng: rand.New(rand.NewPCG(seed, seed))}
	v.home = newPerson(attempt{t}, strings.TrimSuffix(app.Endpoint.TokenURL, "/oauth2/token"), appCallback)
	v.home.http.Transport, v.home.http.Timeout = v, 8*time.Second
	return v
}

// RoundTrip counts the ceremonies that succeed, and the answers 500.
func (v *visitor) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := elsewhere{}.RoundTrip(r)
	if err == nil && (resp.StatusCode == http.StatusInternalServerError ||
		resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") == "") {
		v.book.note(func() { v.book.blunders = append(v.book.blunders, resp.Status+" "+r.URL.Path) })
	}
	if err == nil && resp.StatusCode == http.StatusOK && r.URL.Path == "/login/passkey/finish" {
		v.proven++
	}
	return resp, err
}

// fresh gives the visitor a browser without cookies.
func (v *visitor) fresh() {
	key, transport := v.home.key, v.home.http
	v.home = newPerson(v.home.t, v.home.issuer, appCallback)
	v.home.key, v.home.http.Transport, v.home.http.Timeout = key, transport.Transport, transport.Timeout
}

// stay uses the provider until ctx ends.
func (v *visitor) stay(ctx context.Context) {
	for ctx.Err() == nil {
		v.use()
		time.Sleep(time.Duration(v.rng.IntN(30)) * time.Millisecond)
	}
}

// use does one of the things that a visitor does.
func (v *visitor) use() {
	switch n := v.rng.IntN(10); {
	case n < 3 || len(v.families) == 0:
		v.fresh()
		v.enter("sign-in")
	case n < 5:
		v.enter("step-up", oauth2.SetAuthURLParam("scope", "openid offline_access payouts"), oauth2.SetAuthURLParam("max_age", "0"))
	default:
		v.renew(v.rng.IntN(len(v.families)))
	}
}

// enter goes through the pages and exchanges the code. It reports if that gave tokens.
func (v *visitor) enter(what string, options ...oauth2.AuthCodeOption) bool {
	verifier := oauth2.GenerateVerifier()
	var back url.Values
	err := try(func() {
		back = v.home.through(v.home.open(v.app.AuthCodeURL("state", append(options, oauth2.S256ChallengeOption(verifier))...)))
	})
	code := back.Get("code")
	if err == nil && code == "" {
		err = fmt.Errorf("the application got %v", back)
	}
	v.count(what, err)
	if err != nil {
		return false
	}
	return v.exchange(code, exchanging(code, verifier))
}

func (v *visitor) count(what string, err error) {
	v.book.note(func() {
		if err == nil {
			v.book.done[what]++
		} else {
			v.book.missed[what]++
			if len(v.book.why[what]) < 3 {
				v.book.why[what] = append(v.book.why[what], err.Error())
			}
		}
	})
}

// granted is an answer of the token endpoint.
type granted struct {
	status  int    // 0: none came
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	ID      string `json:"id_token"`
	Error   string `json:"error"`
}

// exchange spends a code, at times twice at once, which ends the family.
func (v *visitor) exchange(code string, form url.Values) bool {
	answers, vague := v.insist(form, 4)
	var won *granted
	for _, a := range answers {
		if a.status == http.StatusOK {
			v.book.note(func() { v.book.tokens[code]++ })
			won = a
		}
	}
	if won == nil {
		v.count("exchange", fmt.Errorf("%+v", answers[len(answers)-1]))
		return false
	}
	v.count("exchange", nil)
	v.sub = subjectOf(won.ID)
	v.book.note(func() { v.book.issued[v.sub]++ })
	if len(answers) == 1 {
		v.families = append(v.families, &held{refresh: won.Refresh, access: won.Access, vague: vague})
	}
	return true
}

// renew refreshes a family, at times twice at once, and uses the access token.
func (v *visitor) renew(n int) bool {
	f := v.families[n]
	answers, vague := v.insist(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {f.refresh}}, 6)
	f.vague = f.vague || vague
	presented, refused := f.refresh, (*granted)(nil)
	for _, a := range answers {
		switch {
		case a.status == http.StatusOK:
			v.book.note(func() {
				if v.book.next[presented] == nil {
					v.book.next[presented] = map[string]bool{}
				}
				v.book.next[presented][a.Refresh] = true
			})
			f.refresh, f.access = a.Refresh, a.Access
		case a.status == http.StatusBadRequest:
			refused = a
		}
	}
	if refused != nil {
		v.ended(n, fmt.Sprintf("refresh: %+v", *refused))
		return false
	}
	if f.refresh == presented {
		v.count("refresh", fmt.Errorf("%+v", answers[len(answers)-1]))
		return false
	}
	v.count("refresh", nil)
	me := v.ask("/oauth2/userinfo", nil, f.access)
	switch me.status {
	case http.StatusOK:
		v.count("userinfo", nil)
	case http.StatusUnauthorized:
		v.ended(n, fmt.Sprintf("userinfo: %+v", me))
		return false
	default:
		v.count("userinfo", fmt.Errorf("%+v", me))
	}
	return true
}

// ended forgets a family that the provider has ended.
func (v *visitor) ended(n int, why string) {
	vague := v.families[n].vague
	v.families = append(v.families[:n], v.families[n+1:]...)
	v.book.note(func() {
		if vague {
			v.book.repeated++
		} else {
			v.book.lost = append(v.book.lost, why)
		}
	})
}

// insist asks the token endpoint until there is an answer that says yes or no, or tries are used up. At times it asks
// twice at once. It reports if the answer to a request never came.
func (v *visitor) insist(form url.Values, tries int) (answers []*granted, vague bool) {
	if v.rng.IntN(6) == 0 {
		answers = []*granted{nil, nil}
		var both sync.WaitGroup
		for i := range answers {
			both.Go(func() { answers[i] = v.ask("/oauth2/token", form, "") })
		}
		both.Wait()
		return answers, answers[0].status == 0 || answers[1].status == 0
	}
	for range tries {
		a := v.ask("/oauth2/token", form, "")
		if answers = []*granted{a}; a.status == http.StatusOK || a.status == http.StatusBadRequest {
			break
		}
		vague = vague || a.status == 0 || a.status == http.StatusBadGateway
		time.Sleep(100 * time.Millisecond)
	}
	return answers, vague
}

func (v *visitor) ask(path string, form url.Values, bearer string) *granted {
	out := &granted{}
	r, err := http.NewRequest(http.MethodPost, v.home.issuer+path, strings.NewReader(form.Encode()))
	if err != nil {
		return out
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	if bearer != "" {
		r.Header.Set("Authorization", "Bearer "+bearer)
	} else {
		r.SetBasicAuth(v.app.ClientID, v.app.ClientSecret)
	}
	client := http.Client{Timeout: 8 * time.Second, Transport: v}
	resp, err := client.Do(r)
	if err != nil {
		return out
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); err == nil {
		out.status = resp.StatusCode
		_ = json.Unmarshal(body, out) // a balancer's own answer has none
	}
	return out
}

// subjectOf reads an ID token without verifying it.
func subjectOf(idToken string) string {
	var claims struct{ Sub string }
	if parts := strings.Split(idToken, "."); len(parts) == 3 {
		body, _ := base64.RawURLEncoding.DecodeString(parts[1])
		_ = json.Unmarshal(body, &claims)
	}
	return claims.Sub
}
