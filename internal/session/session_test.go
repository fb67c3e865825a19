package session_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

// A browser keeps cookies like a real one, as far as we need.
type browser map[string]string

func (b browser) request() *http.Request {
	r := httptest.NewRequest("GET", "/", nil)
	for name, value := range b {
		r.AddCookie(&http.Cookie{Name: name, Value: value})
	}
	return r
}

func (b browser) receive(w *httptest.ResponseRecorder) {
	for _, c := range w.Result().Cookies() {
		b[c.Name] = c.Value
		if c.MaxAge < 0 {
			delete(b, c.Name)
		}
	}
}

const cookieName = "__Host-stepward"

// asStored ignores what a session remembers of its own record.
var asStored = cmpopts.IgnoreFields(idp.Session{}, "Stored")

func authentication(user string) idp.Authentication {
	return idp.Authentication{ID: idp.NewID(), UserID: user, PasskeyID: "k", At: time.Now().UTC(), Purpose: idp.PurposeSignIn, UserVerified: true}
}

// start signs the user in.
func (b browser) start(t *testing.T, s *session.Sessions, user string) *idp.Session {
	t.Helper()
	w := httptest.NewRecorder()
	sess, err := s.Start(context.Background(), w, b.request(), authentication(user), nil)
	if err != nil {
		t.Fatal(err)
	}
	b.receive(w)
	return sess
}

// current returns the browser's session, or nil.
func (b browser) current(t *testing.T, s *session.Sessions) *idp.Session {
	t.Helper()
	sess, err := s.Current(context.Background(), b.request())
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		t.Fatal(err)
	}
	return sess
}

func (b browser) elevate(t *testing.T, s *session.Sessions, sess *idp.Session) *idp.Session {
	t.Helper()
	w := httptest.NewRecorder()
	sess, err := s.Elevate(context.Background(), w, b.request(), sess, authentication(sess.UserID))
	if err != nil {
		t.Fatal(err)
	}
	b.receive(w)
	return sess
}

func list(t *testing.T, s *session.Sessions, user string) []string {
	t.Helper()
	sessions, err := s.List(context.Background(), user)
	if err != nil {
		t.Fatal(err)
	}
	var sids []string
	for _, sess := range sessions {
		sids = append(sids, sess.ID)
	}
	return sids
}

// stored returns the record in the store, or nil.
func stored(t *testing.T, store ephemeral.Store, sid string) []byte {
	t.Helper()
	op := &ephemeral.Op{Verb: ephemeral.Get, Key: "session:" + sid}
	if err := store.Do(context.Background(), op); err != nil {
		t.Fatal(err)
	}
	return op.Result
}

// inBubble runs a test in a bubble, where hours pass at once.
func inBubble(t *testing.T, f func(t *testing.T, store ephemeral.Store, s *session.Sessions)) {
	synctest.Test(t, func(t *testing.T) {
		store := ephemeraltest.Open(t)
		f(t, store, session.New(session.Config{Store: store}))
	})
}

func TestAStartedSessionIsCurrentOnlyInItsBrowser(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, _ *session.Sessions) {
		s := session.New(session.Config{
			Store:   store,
			Agent:   func(ua string) string { return "agent of " + ua },
			Address: func(r *http.Request) string { return "address of " + r.URL.Path },
		})
		b := browser{}
		if b.current(t, s) != nil || store.RoundTrips() != 0 {
			t.Error("a browser without a cookie has a session, or asking for it cost a round trip")
		}
		r, w, a := b.request(), httptest.NewRecorder(), authentication("u")
		r.Header.Set("User-Agent", "x")
		started, err := s.Start(t.Context(), w, r, a, nil)
		if err != nil {
			t.Fatal(err)
		}
		b.receive(w)
		if n := store.RoundTrips(); n != 1 {
			t.Errorf("starting took %d round trips", n)
		}
		want := &idp.Session{
			ID: started.ID, SecretHash: started.SecretHash, UserID: "u", Agent: "agent of x", Address: "address of /",
			CreatedAt: time.Now().UTC(), SeenAt: time.Now().UTC(), ExpiresAt: time.Now().UTC().Add(12 * time.Hour),
			Authentications: []idp.HeldAuthentication{{Authentication: a}},
		}
		if diff := cmp.Diff(want, started, asStored); diff != "" {
			t.Errorf("started (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(want, b.current(t, s), asStored); diff != "" {
			t.Errorf("current (-want +got):\n%s", diff)
		}
		if n := store.RoundTrips(); n != 2 {
			t.Errorf("asking for the session took %d round trips", n-1)
		}
		if (browser{}).current(t, s) != nil {
			t.Error("another browser is in the session")
		}
	})
}

func TestTheStoreDoesNotHoldTheSecret(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		_, secret, _ := strings.Cut(b[cookieName], ".")
		hash, err := base64.RawURLEncoding.DecodeString(idp.Secret(secret).Hash())
		if err != nil {
			t.Fatal(err)
		}
		record := stored(t, store, sess.ID)
		if bytes.Contains(record, []byte(secret)) || !bytes.Contains(record, hash) {
			t.Errorf("the record is %q", record)
		}
	})
}

func TestCookiesAreHostBoundLaxAndOutOfReachOfScripts(t *testing.T) {
	store := ephemeraltest.Open(t)
	for _, insecure := range []bool{false, true} {
		s := session.New(session.Config{Store: store, Insecure: insecure})
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/", nil)
		if _, err := s.Start(t.Context(), w, r, authentication("u"), nil); err != nil {
			t.Fatal(err)
		}
		s.EnsureBrowser(w, r)
		s.ClearCookie(w)
		var got []string
		for _, line := range w.Header()["Set-Cookie"] {
			name, rest, _ := strings.Cut(line, "=")
			_, attributes, _ := strings.Cut(rest, ";")
			got = append(got, name+";"+attributes)
		}
		want := []string{
			"__Host-stepward; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-stepward-browser; Path=/; HttpOnly; Secure; SameSite=Lax",
			"__Host-stepward; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Lax",
		}
		if insecure {
			for i := range want {
				want[i] = strings.NewReplacer("__Host-", "", " Secure;", "").Replace(want[i])
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("insecure=%v (-want +got):\n%s", insecure, diff)
		}
	}
}

func TestAWrongSecretCannotReadEndOrExtendTheSession(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		sess := b.start(t, s, "u")
		before := stored(t, store, sess.ID)
		foreign := browser{cookieName: sess.ID + "." + idp.NewSecret().Reveal()}
		for range 5 {
			time.Sleep(11 * time.Minute)
			if foreign.current(t, s) != nil {
				t.Fatal("a wrong secret opens the session")
			}
			if err := s.End(t.Context(), httptest.NewRecorder(), foreign.request()); err != nil {
				t.Fatal(err)
			}
			(browser{cookieName: foreign[cookieName]}).start(t, s, "other")
			if diff := cmp.Diff(before, stored(t, store, sess.ID)); diff != "" {
				t.Fatalf("a wrong secret changed the record (-want +got):\n%s", diff)
			}
		}
		if diff := cmp.Diff([]string{sess.ID}, list(t, s, "u")); diff != "" {
			t.Errorf("sessions of the user (-want +got):\n%s", diff)
		}
		time.Sleep(5 * time.Minute)
		if b.current(t, s) != nil || stored(t, store, sess.ID) != nil {
			t.Error("requests with a wrong secret have kept the session alive")
		}
	})
}

func TestMalformedOrDuplicateCookiesAreNoSession(t *testing.T) {
	store := ephemeraltest.Open(t)
	s := session.New(session.Config{Store: store})
	b := browser{}
	b.start(t, s, "u")
	good := b[cookieName]
	sid, secret, _ := strings.Cut(good, ".")
	trips := store.RoundTrips()
	for name, cookies := range map[string][]string{
		"none":             {},
		"twice":            {good, good},
		"twice, one empty": {good, ""},
		"empty":            {""},
		"no secret":        {sid + "."},
		"no sid":           {"." + secret},
		"no dot":           {sid + secret},
		"short secret":     {good[:len(good)-1]},
		"long secret":      {good + strings.Repeat("A", 40)},
		"oversized":        {good + strings.Repeat("A", 1<<20)},
		"long sid":         {"a" + good},
		"upper case sid":   {strings.ToUpper(sid) + "." + secret},
		"lower case secret": {
			sid + "." + strings.ToLower(secret),
		},
		"another key":    {strings.Repeat("a", 30) + ":aaaaa." + secret},
		"another dot":    {sid + "." + secret[:25] + ".A"},
		"control bytes":  {sid[:35] + "\x00." + secret},
		"trailing blank": {good + " x"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		for _, value := range cookies {
			r.Header.Add("Cookie", cookieName+"="+value)
		}
		if op := s.CurrentOp(r); op != nil {
			t.Errorf("%s: would ask for %q", name, op.Key)
		}
		if _, err := s.Current(t.Context(), r); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
		if err := s.End(t.Context(), httptest.NewRecorder(), r); err != nil {
			t.Errorf("%s: end: %v", name, err)
		}
	}
	if n := store.RoundTrips() - trips; n != 0 {
		t.Errorf("malformed cookies cost %d round trips", n)
	}
	if b.current(t, s) == nil {
		t.Error("the good cookie does not work, so this test proves nothing")
	}
}

func TestStartingOverASessionEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b := browser{}
		first := b.start(t, s, "u")
		old := browser{cookieName: b[cookieName]}
		second := b.start(t, s, "other")
		if first.ID == second.ID || old.current(t, s) != nil || stored(t, store, first.ID) != nil {
			t.Error("the session before lives on")
		}
		if got := list(t, s, "u"); got != nil {
			t.Errorf("its user still has %v", got)
		}
		if sess := b.current(t, s); sess == nil || sess.UserID != "other" {
			t.Errorf("the browser is in %+v", sess)
		}
	})
}

func TestEndEndsThisBrowsersSession(t *testing.T) {
	inBubble(t, func(t *testing.T, store ephemeral.Store, s *session.Sessions) {
		b, other := browser{}, browser{}
		b.start(t, s, "u")
		kept := other.start(t, s, "u")
		stolen := browser{cookieName: b[cookieName]}
		w := httptest.NewRecorder()
		if err := s.End(t.Context(), w, b.request()); err != nil {
			t.Fatal(err)
		}
		b.receive(w)
		if len(b) != 0 {
			t.Error("the cookie stays")
		}
		if stolen.current(t, s) != nil {
			t.Error("the session stays")
		}
		if diff := cmp.Diff([]string{kept.ID}, list(t, s, "u")); diff != "" {
			t.Errorf("sessions left (-want +got):\n%s", diff)
		}
	})
}

func TestAnOutageIsNotReportedAsSignedOut(t *testing.T) {
	store := ephemeraltest.Open(t)
	s := session.New(session.Config{Store: store})
	b := browser{}
	sess := b.start(t, s, "u")
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	_, current := s.Current(t.Context(), b.request())
	_, start := s.Start(t.Context(), w, b.request(), authentication("u"), nil)
	_, elevate := s.Elevate(t.Context(), w, b.request(), sess, authentication("u"))
	_, all := s.RevokeAll(t.Context(), "u", "")
	_, listed := s.List(t.Context(), "u")
	for name, err := range map[string]error{
		"current": current, "start": start, "elevate": elevate, "list": listed,
		"revoke": s.Revoke(t.Context(), "u", sess.ID), "revoke all": all,
	} {
		if !errors.Is(err, idp.ErrUnavailable) || errors.Is(err, idp.ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if len(w.Result().Cookies()) != 0 {
		t.Error("a cookie was set for a session that is not stored")
	}
	w = httptest.NewRecorder()
	err := s.End(t.Context(), w, b.request())
	b.receive(w)
	if !errors.Is(err, idp.ErrUnavailable) || len(b) != 0 {
		t.Errorf("end: %v, the browser keeps %d cookies", err, len(b))
	}
}

func TestSessionsWorkOnRedis(t *testing.T) {
	store, err := ephemeral.OpenRedis(t.Context(), ephemeraltest.RedisURL(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	s := session.New(session.Config{Store: store})
	b, other := browser{}, browser{}
	sess, kept := b.start(t, s, "u"), other.start(t, s, "u")
	b.elevate(t, s, sess)
	if got := b.current(t, s); got == nil || len(got.Authentications) != 2 {
		t.Errorf("elevated session is %+v", got)
	}
	if ended, err := s.RevokeAll(t.Context(), "u", kept.ID); err != nil || len(ended) != 1 || ended[0] != sess.ID {
		t.Errorf("ended %v, %v", ended, err)
	}
	if b.current(t, s) != nil || other.current(t, s) == nil {
		t.Error("the wrong session was revoked")
	}
}
