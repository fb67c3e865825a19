package provider

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/logout"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store/outbox"
)

// A listener is the back-channel logout endpoint of a client. status may change its responses.
type listener struct {
	uri    string
	status func(r *http.Request) int
	mu     sync.Mutex
	heard  []url.Values
}

func listen(t testing.TB) *listener {
	l := &listener{status: func(*http.Request) int { return http.StatusOK }}
	l.uri = elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		form, err := url.ParseQuery(string(body))
		if err != nil || r.Method != "POST" || r.URL.RawQuery != "" || r.Header.Get("Content-Type") != "application/x-www-form-urlencoded" {
			t.Errorf("%s %s with %q: %v", r.Method, r.URL, body, err)
		}
		l.mu.Lock()
		l.heard = append(l.heard, form)
		l.mu.Unlock()
		w.WriteHeader(l.status(r))
	}) + "/logout"
	return l
}

// tokens returns the claims of the received logout tokens.
func (l *listener) tokens(t testing.TB) (all []map[string]any) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, form := range l.heard {
		_, c := claims(t, form.Get("logout_token"))
		all = append(all, c)
	}
	return all
}

// listening adds a client that receives logouts.
func (h *house) listening(at *listener, change ...func(*idp.Client)) idp.Client {
	return h.addClient(func(c *idp.Client) {
		c.BackchannelLogoutURI = at.uri
		for _, f := range change {
			f(c)
		}
	})
}

// tell delivers what is due for a client now.
func (h *house) tell(c idp.Client) {
	h.t.Helper()
	check(h.t, h.provider.logouts.Tell(context.Background(), c.ID))
}

func TestLocalApplicationsGetLogoutsInDevelopment(t *testing.T) {
	heard := 0
	app := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { heard++ }))
	t.Cleanup(app.Close)
	h := open(t, full, func(c *Config) {
		c.Policy.Development, c.Outbound = true, outbound.New(outbound.Config{Development: true})
	})
	c := h.addClient(func(c *idp.Client) { c.BackchannelLogoutURI = app.URL + "/out" })
	if faults := c.Faults(h.config.Policy); len(faults) > 0 {
		t.Error(faults)
	}
	_, tok := h.signIn(c, h.addUser())
	h.endSession("id_token_hint", tok["id_token"].(string))
	if h.tell(c); heard != 1 {
		t.Errorf("heard %d times", heard)
	}
}

func TestALogoutTokenFollowsTheSpecification(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for name, change := range map[string]func(*idp.Client){
		"ES256":    func(*idp.Client) {},
		"RS256":    func(c *idp.Client) { c.IDTokenAlg = keys.RS256 },
		"PS256":    func(c *idp.Client) { c.IDTokenAlg = keys.PS256 },
		"EdDSA":    func(c *idp.Client) { c.IDTokenAlg = keys.EdDSA },
		"pairwise": func(c *idp.Client) { c.SubjectType = idp.SubjectPairwise },
	} {
		t.Run(name, func(t *testing.T) {
			at := listen(t)
			c := h.listening(at, change)
			_, tok := h.signIn(c, u)
			idHeader, id := claims(t, tok["id_token"])
			before := time.Now().Unix()
			h.endSession("id_token_hint", tok["id_token"].(string))
			h.tell(c)
			h.tell(c) // there is no more
			if len(at.heard) != 1 {
				t.Fatalf("heard %d times", len(at.heard))
			}
			if got := slices.Collect(maps.Keys(at.heard[0])); len(got) != 1 || len(at.heard[0]["logout_token"]) != 1 {
				t.Errorf("parameters %v", got)
			}
			token := at.heard[0].Get("logout_token")
			header, got := claims(t, token)
			if d := cmp.Diff(map[string]any{"alg": idHeader["alg"], "kid": idHeader["kid"], "typ": "logout+jwt"}, header); d != "" {
				t.Errorf("header (-want +got):\n%s", d)
			}
			issued := int64(got["iat"].(float64))
			if issued < before || issued > time.Now().Unix() || got["exp"].(float64) != float64(issued+120) || len(got["jti"].(string)) < 22 {
				t.Errorf("iat %v, exp %v, jti %v", got["iat"], got["exp"], got["jti"])
			}
			want := map[string]any{
				"iss": h.url, "aud": c.ID, "sub": id["sub"], "sid": id["sid"], "iat": got["iat"], "exp": got["exp"], "jti": got["jti"],
				"events": map[string]any{"http://schemas.openid.net/event/backchannel-logout": map[string]any{}},
			}
			if d := cmp.Diff(want, got); d != "" { // no nonce among them
				t.Errorf("claims (-want +got):\n%s", d)
			}
			jws, err := jose.ParseSignedCompact(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS256, jose.PS256, jose.EdDSA})
			check(t, err)
			var set jose.JSONWebKeySet
			check(t, json.Unmarshal([]byte(h.get(oauth.PathJWKS).body), &set))
			if _, err := jws.Verify(set.Key(header["kid"].(string))[0]); err != nil {
				t.Errorf("not verified with the published key: %v", err)
			}
		})
	}
}

func TestASelfRegisteredClientGetsLogouts(t *testing.T) {
	h := open(t, full)
	at := listen(t)
	says := map[string]any{
		"backchannel_logout_uri": at.uri, "backchannel_logout_session_required": true,
		"frontchannel_logout_uri": "https://app.example/out", "frontchannel_logout_session_required": true,
	}
	body := map[string]any{"redirect_uris": []string{"https://app.example/cb"}, "client_name": "App", "token_endpoint_auth_method": "none"}
	maps.Copy(body, says)
	text, err := json.Marshal(body)
	check(t, err)
	told := h.registered(string(text))
	for name, value := range says {
		if told[name] != value {
			t.Errorf("%s: told %v, said %v", name, told[name], value)
		}
	}
	c, err := h.db.Client(t.Context(), told["client_id"].(string))
	check(t, err)
	sess, tok := h.signIn(c, h.addUser())
	h.endSession("id_token_hint", tok["id_token"].(string))
	h.tell(c)
	if heard := at.tokens(t); len(heard) != 1 || heard[0]["sid"] != sess.ID {
		t.Errorf("heard %v", heard)
	}
}

func TestALogoutTokenPassesForNothingElse(t *testing.T) {
	h := open(t)
	at := listen(t)
	c, u := h.listening(at), h.addUser()
	_, tok := h.signIn(c, u)
	h.endSession("id_token_hint", tok["id_token"].(string))
	h.tell(c)
	token := at.heard[0].Get("logout_token")
	if _, err := h.provider.tokens.VerifyHint(t.Context(), token); !errors.Is(err, keys.ErrToken) {
		t.Errorf("as a hint: %v", err)
	}
	wantError(t, h.userinfo(token), 401, "invalid_token")
	if got := h.introspect(c, token); got["active"] != false {
		t.Errorf("introspected: %v", got)
	}
}

func TestClientsAreNotifiedHoweverASessionEnds(t *testing.T) {
	h := open(t)
	at := listen(t)
	c, u := h.listening(at), h.addUser()
	quiet := h.addClient(nil)
	for name, end := range map[string]func(*idp.Session, map[string]any){
		"the client signs out": func(_ *idp.Session, tok map[string]any) { h.endSession("id_token_hint", tok["id_token"].(string)) },
		"the person signs out": func(*idp.Session, map[string]any) { h.confirm(h.endSession()) },
		"a page of the account ends it": func(s *idp.Session, _ map[string]any) {
			_, err := h.db.EndSession(t.Context(), s.UserID, s.ID, time.Now())
			check(t, err)
		},
		"it is gone from the ephemeral store": func(s *idp.Session, _ map[string]any) {
			check(t, h.sessions.Revoke(t.Context(), u.ID, s.ID))
			check(t, outbox.SettleSessions(t.Context(), h.db, map[string]time.Time{s.ID: time.Now()}, nil, time.Now())) // its turn has come
			check(t, h.provider.SettleLogouts(t.Context()))
		},
		"the account is closed": func(*idp.Session, map[string]any) {
			check(t, h.db.DisableUser(t.Context(), u.ID, time.Now()))
			check(t, h.db.EnableUser(t.Context(), u.ID, time.Now()))
		},
	} {
		t.Run(name, func(t *testing.T) {
			at.heard = nil
			h.signIn(quiet, u)
			sess, tok := h.signIn(c, u)
			_, again := claims(t, h.tokens(c, u)["id_token"]) // of another session, which goes on
			end(sess, tok)
			h.tell(c)
			h.tell(quiet)
			var sids []any
			for _, token := range at.tokens(t) {
				sids = append(sids, token["sid"])
			}
			if !slices.Contains(sids, any(sess.ID)) || name != "the account is closed" && (len(sids) != 1 || slices.Contains(sids, again["sid"])) {
				t.Errorf("told of %v, want %s", sids, sess.ID)
			}
		})
	}
}

func TestClientsAreNotifiedOfExpiredSessionsWithinMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c, u := h.addClient(func(c *idp.Client) { c.BackchannelLogoutURI = "https://app.example/logout" }), h.addUser()
		queued := func() int {
			check(t, h.provider.SettleLogouts(t.Context()))
			n := 0
			for {
				l, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, time.Now(), time.Hour)
				if errors.Is(err, idp.ErrNotFound) {
					return n
				}
				check(t, err)
				check(t, outbox.FinishLogout(t.Context(), h.db, l))
				n++
			}
		}
		h.signIn(c, u)
		for range 3 { // a user who comes back every 50 minutes stays signed in
			time.Sleep(50 * time.Minute)
			if n := queued(); n != 0 {
				t.Fatalf("%d logouts of a session that lives", n)
			}
			if h.endSession().query().Get("l") == "" {
				t.Fatal("no session")
			}
		}
		time.Sleep(59 * time.Minute)
		if queued() != 0 {
			t.Error("told too early")
		}
		time.Sleep(2 * time.Minute)
		if queued() != 1 {
			t.Error("no client heard that the session's silence ended it")
		}
		trips := h.eph.RoundTrips()
		if queued(); h.eph.RoundTrips() != trips {
			t.Error("the ephemeral store is asked although no session is watched")
		}

		h.signIn(c, u)
		for range 25 {
			time.Sleep(28 * time.Minute)
			h.endSession()
			check(t, h.provider.SettleLogouts(t.Context()))
		}
		time.Sleep(21 * time.Minute) // 12 hours and 1 minute
		if queued() != 1 {
			t.Error("no client heard that the session's age ended it")
		}
	})
}

func TestNoLogoutIsSentDuringAnEphemeralOutage(t *testing.T) {
	h := open(t)
	c, u := h.addClient(func(c *idp.Client) { c.BackchannelLogoutURI = "https://app.example/logout" }), h.addUser()
	sess, _ := h.signIn(c, u)
	check(t, outbox.SettleSessions(t.Context(), h.db, map[string]time.Time{sess.ID: time.Now()}, nil, time.Now()))
	check(t, h.eph.Close())
	if err := h.provider.SettleLogouts(t.Context()); !errors.Is(err, idp.ErrUnavailable) {
		t.Errorf("%v", err)
	}
	if clients, err := outbox.ClientsToTell(t.Context(), h.db, time.Now()); err != nil || len(clients) != 0 {
		t.Errorf("%v %v", clients, err)
	}
}

func TestAClientsResponseToALogoutDecidesTheNextStep(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for name, row := range map[string]struct {
		status     int
		gone, rest bool // the one that was answered is done with; the others are tried in this turn
	}{
		"200":                    {200, true, true},
		"204":                    {204, true, true},
		"400 is about one token": {400, false, true},
		"302 is not followed":    {302, false, false},
		"404":                    {404, false, false},
		"429":                    {429, false, false},
		"503":                    {503, false, false},
		"no answer":              {0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			at := listen(t)
			at.status = func(*http.Request) int {
				if row.status == 0 {
					panic(http.ErrAbortHandler)
				}
				return row.status
			}
			c := h.listening(at)
			for i := range 3 {
				sess, _ := h.signIn(c, u)
				_, err := h.db.EndSession(t.Context(), sess.UserID, sess.ID, time.Now().Add(-time.Duration(i)*time.Millisecond))
				check(t, err)
			}
			h.tell(c)
			tried, want := len(at.heard), 1
			if row.rest {
				want = 3
			}
			if tried != want {
				t.Errorf("tried %d times, want %d", tried, want)
			}
			_, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, time.Now().Add(14*time.Second), time.Minute)
			if !errors.Is(err, idp.ErrNotFound) {
				t.Errorf("due too early: %v", err)
			}
			l, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, time.Now().Add(16*time.Second), time.Minute)
			if errors.Is(err, idp.ErrNotFound) != row.gone {
				t.Errorf("again after 15 seconds: %v", err)
			}
			if want := fmt.Sprint("answered ", row.status); !row.gone && row.status != 0 && l.LastError != want {
				t.Errorf("noted %q, want %q", l.LastError, want)
			}
		})
	}
}

func TestLogoutRetriesUseFreshTokensForADay(t *testing.T) {
	h := open(t)
	at := listen(t)
	at.status = func(*http.Request) int { return 500 }
	c, u := h.listening(at), h.addUser()
	sess, _ := h.signIn(c, u)
	start := time.Now()
	_, err := h.db.EndSession(t.Context(), sess.UserID, sess.ID, start)
	check(t, err)
	var waits []time.Duration
	now := start
	for range 7 {
		l, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, now.Add(time.Second), (30 * time.Second))
		check(t, err)
		_, err = h.provider.logouts.DeliverOne(t.Context(), l)
		check(t, err)
		real := time.Now() // DeliverOne counts from here
		wait := logout.Backoff[min(len(waits), len(logout.Backoff)-1)]
		if _, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, real.Add(wait-5*time.Second), (30 * time.Second)); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("due before %v: %v", wait, err)
		}
		waits, now = append(waits, wait), real.Add(wait)
	}
	jtis := map[any]bool{}
	for _, token := range at.tokens(t) {
		jtis[token["jti"]] = true
	}
	if len(jtis) != 7 {
		t.Errorf("%d different jti in 7 attempts", len(jtis))
	}
	if kinds(t, h, idp.EventLogoutGivenUp) != 0 {
		t.Error("given up too early")
	}
	other, _ := h.signIn(c, u)
	_, err = h.db.EndSession(t.Context(), other.UserID, other.ID, start.Add(-(24 * time.Hour)))
	check(t, err)
	check(t, h.provider.SettleLogouts(t.Context()))
	if kinds(t, h, idp.EventLogoutGivenUp) != 1 {
		t.Error("not given up after a day, or without an event")
	}
}

func TestASlowClientDoesNotDelayOthers(t *testing.T) {
	h := open(t)
	slow, quick := listen(t), listen(t)
	waiting, release, heard := make(chan bool, 1), make(chan bool), make(chan bool, 8)
	slow.status = func(r *http.Request) int {
		waiting <- true
		select {
		case <-release:
		case <-r.Context().Done():
		}
		return 200
	}
	quick.status = func(*http.Request) int {
		heard <- true
		return 200
	}
	u := h.addUser()
	one, other := h.listening(slow), h.listening(quick)
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for range 2 { // replicas
		wg.Go(func() { h.provider.DeliverLogouts(ctx) })
	}
	end := func(c idp.Client) {
		sess, _ := h.signIn(c, u)
		_, err := h.db.EndSession(t.Context(), sess.UserID, sess.ID, time.Now())
		check(t, err)
	}
	end(one)
	<-waiting
	for range 5 {
		end(other)
		<-heard // only this one is waited for
	}
	close(release)
	stop()
	wg.Wait()
	if n := len(quick.tokens(t)); n != 5 {
		t.Errorf("five logouts were told %d times", n)
	}
}

func TestRemovedOrDisabledClientsGetNoLogouts(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for name, change := range map[string]func(idp.Client){
		"removed":  func(c idp.Client) { check(t, h.db.RemoveClient(t.Context(), c.ID)) },
		"disabled": func(c idp.Client) { check(t, h.db.DisableClient(t.Context(), c.ID, time.Now())) },
		"without an address": func(c idp.Client) {
			c.BackchannelLogoutURI = ""
			check(t, h.db.PutClient(t.Context(), c))
		},
	} {
		at := listen(t)
		c := h.listening(at)
		sess, _ := h.signIn(c, u)
		_, err := h.db.EndSession(t.Context(), sess.UserID, sess.ID, time.Now())
		check(t, err)
		change(c)
		h.tell(c)
		if _, err := outbox.ClaimLogout(t.Context(), h.db, c.ID, time.Now().Add(time.Hour), time.Minute); len(at.heard) != 0 || !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("%s: heard %d times, then %v", name, len(at.heard), err)
		}
	}
}

func TestAKeyThatCannotBeReadLosesNoLogout(t *testing.T) {
	h := open(t)
	at := listen(t)
	c, u := h.listening(at, func(c *idp.Client) { c.IDTokenAlg = "HS256" }), h.addUser() // no such key
	check(t, outbox.SettleSessions(t.Context(), h.db, nil, nil, time.Now()))
	sess := idp.NewID()
	_, _, err := h.db.CreateFamily(t.Context(), idp.Family{ID: "f", ClientID: c.ID, UserID: u.ID, SessionID: sess, WatchFrom: time.Now(), ExpiresAt: time.Now().Add(time.Hour)}, nil)
	check(t, err)
	_, err = h.db.EndSession(t.Context(), u.ID, sess, time.Now())
	check(t, err)
	if err := h.provider.logouts.Tell(t.Context(), c.ID); err == nil {
		t.Error("no error")
	}
	var l outbox.Logout
	l, err = outbox.ClaimLogout(t.Context(), h.db, c.ID, time.Now().Add((30 * time.Second)), time.Minute)
	if err != nil || l.SessionID != sess || len(at.heard) != 0 {
		t.Errorf("%+v %v", l, err)
	}
}

func TestNoLogoutTokenIsInTheLog(t *testing.T) {
	h := open(t)
	at := listen(t)
	at.status = func(*http.Request) int { return 500 }
	c, u := h.listening(at), h.addUser()
	_, tok := h.signIn(c, u)
	h.endSession("id_token_hint", tok["id_token"].(string))
	h.tell(c)
	if strings.Contains(h.log.String(), "logout_token") || strings.Contains(h.log.String(), "eyJ") {
		t.Error("a token is in the log")
	}
}
