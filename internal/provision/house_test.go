package provision_test

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/pem"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/operatorkey"
	"github.com/stepward/stepward/internal/provision"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/subject"
)

// house is a whole server that sends to one application, "app".
type house struct {
	*testing.T
	*server.Server
	ops   *admin.Operations
	sends *provision.Service
	log   *bytes.Buffer
	cfg   provision.Config // of sends
}

// open starts a server that trusts the certificate of app; without networks it reaches the public internet alone.
func open(t *testing.T, app *httptest.Server, settings ...string) *house {
	t.Helper()
	if app != nil {
		file := filepath.Join(t.TempDir(), "ca.pem")
		block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: app.Certificate().Raw})
		if err := os.WriteFile(file, block, 0o600); err != nil {
			t.Fatal(err)
		}
		settings = append(settings, "STEPWARD_OUTBOUND_CA_PATH="+file)
	}
	cfg, err := config.Load(config.Sources{Environ: append(settings, "STEPWARD_DATA_DIR="+t.TempDir())})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s, err := server.New(t.Context(), cfg, slog.New(slog.NewTextHandler(&log, nil)), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	h := &house{T: t, Server: s, log: &log}
	h.ops = admin.New(admin.Config{
		DB: s.DB, Ephemeral: s.Ephemeral, Policy: cfg.Policy, Settings: cfg, Issuer: cfg.Issuer.String(),
	})
	operatorKeys, err := operatorkey.Load(t.Context(), cfg)
	h.must(err)
	secrets, err := keys.LoadSecrets(t.Context(), s.DB, operatorKeys)
	h.must(err)
	out, err := server.OutboundOf(cfg)
	h.must(err)
	names, err := subject.NewNames(secrets.Key("subject"))
	h.must(err)
	h.cfg = provision.Config{
		Operations: h.ops, Outbound: out, Key: secrets.Key("provisioning"), Names: names, Logger: slog.New(slog.NewTextHandler(&log, nil)),
	}
	h.sends, err = provision.New(h.cfg)
	h.must(err)
	now := time.Now().Truncate(time.Millisecond)
	h.must(h.ops.Clients.Add(h.Context(), operator, idp.Client{
		ID: "app", Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, CreatedAt: now, UpdatedAt: now,
		GrantTypes: []string{idp.GrantAuthorizationCode}, RedirectURIs: []string{"https://app.example.com/cb"}, Scopes: []string{"openid"},
	}))
	return h
}

// impatient returns a Service with short turns.
func (h *house) impatient(turn time.Duration) *provision.Service {
	h.Helper()
	h.cfg.Turn = turn
	s, err := provision.New(h.cfg)
	h.must(err)
	return s
}

// near are the settings of a server that may reach this machine.
const near = "STEPWARD_OUTBOUND_ALLOW=127.0.0.0/8"

var operator = admin.Operator()

func (h *house) Context() context.Context { return h.T.Context() }

func (h *house) must(err error) {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
}

// set makes the application one that people are sent to.
func (h *house) set(in provision.Input) provision.View {
	h.Helper()
	if in.Token == "" {
		in.Token = token
	}
	v, err := h.sends.Set(h.Context(), operator, "app", in, time.Time{})
	h.must(err)
	return v
}

const token = idp.Secret("a-token-that-must-stay-secret")

// send sends what is due now.
func (h *house) send() {
	h.Helper()
	h.must(h.sends.Round(h.Context(), "this replica"))
}

func (h *house) view() provision.View {
	h.Helper()
	v, err := h.sends.Get(h.Context(), operator, "app")
	h.must(err)
	return v
}

func (h *house) user(email string) idp.User {
	h.Helper()
	u, err := h.ops.Users.Create(h.Context(), operator, admin.NewUser{Email: email, Name: strings.ToUpper(email[:1])})
	h.must(err)
	return u
}

func (h *house) group(name string, members ...idp.User) directory.Group {
	h.Helper()
	g, err := h.ops.Groups.Create(h.Context(), operator, admin.GroupInput{Name: name})
	h.must(err)
	for _, u := range members {
		h.must(h.ops.Groups.AddMembers(h.Context(), operator, g.ID, u.ID))
	}
	return g
}

// records are the rows of provisioning.
func (h *house) records() *provisioning.Records { return provisioning.New(h.DB) }

type object = map[string]any

// A receiver is a small, strict SCIM server that is not ours: what it does not know is an error.
type receiver struct {
	*testing.T
	*httptest.Server
	mu       sync.Mutex
	users    map[string]object
	groups   map[string]map[string]bool // members
	names    map[string]string          // of groups
	requests []string
	next     int
	fault    func(w http.ResponseWriter, r *http.Request) bool // true: answered
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{
		T: t, users: map[string]object{}, groups: map[string]map[string]bool{}, names: map[string]string{},
	}
	r.Server = httptest.NewTLSServer(r)
	t.Cleanup(r.Close)
	return r
}

func (s *receiver) base() string { return s.URL + "/scim" }

// asked returns the requests since the last call.
func (s *receiver) asked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.requests
	s.requests = nil
	return list
}

func (s *receiver) named(userName string) object {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.users {
		if u["userName"] == userName {
			return u
		}
	}
	return nil
}

func (s *receiver) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.requests = append(s.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/scim"))
	if r.Header.Get("Authorization") != "Bearer "+token.Reveal() {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	if s.fault != nil && s.fault(w, r) {
		return
	}
	var doc object
	if text, _ := io.ReadAll(r.Body); len(text) > 0 {
		if r.Header.Get("Content-Type") != "application/scim+json" {
			s.Errorf("content type %q", r.Header.Get("Content-Type"))
		}
		if err := json.Unmarshal(text, &doc); err != nil {
			s.Error(err)
		}
		if doc["schemas"] == nil {
			s.Errorf("no schemas: %s", text)
		}
	}
	kind, id, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/scim/"), "/")
	switch kind {
	case "Users":
		s.user(w, r, id, doc)
	case "Groups":
		s.group(w, r, id, doc)
	default:
		s.Errorf("%s %s", r.Method, r.URL)
		w.WriteHeader(http.StatusNotFound)
	}
}

func answer(w http.ResponseWriter, status int, doc any) {
	w.Header().Set("Content-Type", "application/scim+json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(doc)
}

func (s *receiver) user(w http.ResponseWriter, r *http.Request, id string, doc object) {
	_, there := s.users[id]
	switch {
	case r.Method == "POST" && id == "":
		for _, u := range s.users {
			if u["userName"] == doc["userName"] {
				answer(w, 409, object{"status": "409", "scimType": "uniqueness", "detail": "taken by " + token.Reveal()})
				return
			}
		}
		s.next++
		doc["id"] = "u/" + string(rune('0'+s.next)) // an ID that must be escaped
		s.users[doc["id"].(string)] = doc
		answer(w, 201, doc)
	case r.Method == "GET" && id == "":
		attribute, value, _ := strings.Cut(r.URL.Query().Get("filter"), " eq ")
		found := []any{}
		for _, u := range s.users {
			if want, _ := json.Marshal(u[attribute]); string(want) == value {
				found = append(found, u)
			}
		}
		answer(w, 200, object{"totalResults": len(found), "Resources": found})
	case !there:
		w.WriteHeader(404)
	case r.Method == "DELETE":
		delete(s.users, id)
		w.WriteHeader(204)
	case r.Method == "PATCH":
		for _, o := range doc["Operations"].([]any) {
			op := o.(object)
			if op["op"] == "remove" {
				delete(s.users[id], op["path"].(string))
				continue
			}
			for name, v := range op["value"].(object) {
				s.users[id][name] = v
			}
		}
		w.WriteHeader(204)
	case r.Method == "PUT":
		doc["id"] = id
		s.users[id] = doc
		answer(w, 200, doc)
	}
}

func (s *receiver) group(w http.ResponseWriter, r *http.Request, id string, doc object) {
	_, there := s.groups[id]
	switch {
	case r.Method == "POST" && id == "":
		s.next++
		id = "g" + string(rune('0'+s.next))
		s.groups[id], s.names[id] = map[string]bool{}, doc["displayName"].(string)
		answer(w, 201, object{"id": id})
	case !there:
		w.WriteHeader(404)
	case r.Method == "DELETE":
		delete(s.groups, id)
		w.WriteHeader(204)
	case r.Method == "PATCH":
		op := doc["Operations"].([]any)[0].(object)
		switch {
		case op["op"] == "add":
			for _, m := range op["value"].([]any) {
				s.groups[id][m.(object)["value"].(string)] = true
			}
		case op["op"] == "remove":
			_, member, _ := strings.Cut(strings.TrimSuffix(op["path"].(string), `"]`), `"`)
			delete(s.groups[id], member)
		default:
			s.names[id] = op["value"].(object)["displayName"].(string)
		}
		w.WriteHeader(204)
	}
}

// members returns the user names in a group, by its name; nil without it.
func (s *receiver) members(name string) map[string]bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for id, n := range s.names {
		if members, there := s.groups[id]; there && n == name {
			found := map[string]bool{}
			for userID := range members {
				userName, _ := s.users[userID]["userName"].(string)
				found[userName] = true
			}
			return found
		}
	}
	return nil
}

// stepward starts another Stepward, whose SCIM is the application.
func stepward(t *testing.T) (*house, *httptest.Server, idp.Secret) {
	t.Helper()
	other := open(t, nil)
	now := time.Now().Truncate(time.Millisecond)
	c := idp.Client{
		ID: "upstream", Name: "Upstream", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodBasic, CreatedAt: now,
		UpdatedAt: now, GrantTypes: []string{idp.GrantClientCredentials}, Scopes: []string{directory.ScopeSCIM},
	}
	secret := c.AddSecret(now)
	other.must(other.DB.PutClient(t.Context(), c))
	form := url.Values{
		"grant_type": {"client_credentials"}, "resource": {other.Config.Issuer.String() + directory.PathSCIM},
	}
	r := httptest.NewRequest("POST", other.Config.Issuer.String()+"/oauth2/token", strings.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth(c.ID, url.QueryEscape(secret.Reveal()))
	w := httptest.NewRecorder()
	other.Handler.ServeHTTP(w, r)
	var m struct {
		Token string `json:"access_token"`
	}
	if err := json.Unmarshal(w.Body.Bytes(), &m); err != nil || m.Token == "" {
		t.Fatalf("no token: %d %s", w.Code, w.Body)
	}
	app := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Host = other.Config.Issuer.Host
		other.Handler.ServeHTTP(w, r)
	}))
	t.Cleanup(app.Close)
	return other, app, idp.Secret(m.Token)
}

// due has a failing application asked now, and failingFor has it fail for so long already.
func (h *house) due() { h.do(`UPDATE provision_targets SET retry_at = 0`) }

func (h *house) failingFor(d time.Duration) {
	h.do(`UPDATE provision_targets SET failing_since = $1`, store.Millis(time.Now().Add(-d)))
}

func (h *house) do(sql string, args ...any) {
	h.Helper()
	var b store.Batch
	b.Do(sql, args...)
	h.must(h.DB.RunBatch(h.Context(), "test", &b))
}
