package main

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/session"
)

// online serves a data folder.
func online(t *testing.T, dir string) (*server.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	issuer := fmt.Sprintf("http://localhost:%d", l.Addr().(*net.TCPAddr).Port)
	cfg, err := config.Load(config.Sources{Environ: []string{"STEPWARD_DATA_DIR=" + dir, "STEPWARD_ISSUER=" + issuer}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: s.Handler}
	go func() { _ = web.Serve(l) }()
	t.Cleanup(func() { _ = web.Close(); s.Close() })
	return s, issuer
}

// A far is a server that commands reach over its API, as a client with scopes.
type far struct {
	*testing.T
	server              *server.Server
	issuer, dir, secret string
}

// signIn starts a session of a user, as a browser has it.
func (f *far) signIn(email string) {
	f.Helper()
	u, err := f.server.DB.UserByEmail(f.Context(), email)
	if err == nil {
		r := httptest.NewRequestWithContext(f.Context(), http.MethodPost, "/login", nil)
		_, err = session.New(session.Config{Store: f.server.Ephemeral, Insecure: true}).Start(f.Context(), httptest.NewRecorder(), r,
			idp.Authentication{ID: idp.NewID(), UserID: u.ID, At: time.Now()}, nil)
	}
	if err != nil {
		f.Fatal(err)
	}
}

func open(t *testing.T, scopes ...string) *far {
	t.Helper()
	f := &far{T: t, dir: t.TempDir()}
	f.server, f.issuer = online(t, f.dir)
	f.secret = f.robot("robot", scopes...)
	return f
}

// robot adds a client that acts for itself, and returns its secret.
func (f *far) robot(id string, scopes ...string) string {
	f.Helper()
	args := []string{"client", "add", "Robot", "--id", id, "--grant", "client_credentials"}
	for _, scope := range scopes {
		args = append(args, "--scope", scope)
	}
	out, err := f.here(args...)
	secret := regexp.MustCompile(`client_secret  (\S+)`).FindStringSubmatch(out)
	if err != nil || secret == nil {
		f.Fatalf("%v %s", err, out)
	}
	return secret[1]
}

// here runs a command on the store, there over the API.
func (f *far) here(args ...string) (string, error) {
	f.Helper()
	return stepwardIn(f.T, []string{"STEPWARD_DATA_DIR=" + f.dir, "STEPWARD_ISSUER=" + f.issuer}, args...)
}

func (f *far) there(args ...string) (string, error) {
	f.Helper()
	environ := []string{
		"STEPWARD_DATA_DIR=/nowhere/at/all", "STEPWARD_CLIENT_ID=robot", "STEPWARD_CLIENT_SECRET=" + f.secret,
	}
	return stepwardIn(f.T, environ, append(args, "--api", f.issuer)...)
}

// fails checks what a command says over the API.
func (f *far) fails(want string, environ []string, args ...string) {
	f.Helper()
	out, err := stepwardIn(f.T, environ, args...)
	if err == nil || !strings.Contains(err.Error(), want) {
		f.Errorf("stepward %s: %v, want %q\n%s", strings.Join(args, " "), err, want, out)
	}
	if err != nil && (strings.Contains(err.Error(), f.secret) || rawGo.MatchString(err.Error())) {
		f.Errorf("stepward %s: %v", strings.Join(args, " "), err)
	}
}

// onlyHere are the commands that have no --api, or say that the store is needed.
var onlyHere = regexp.MustCompile(`^(migrate|config|version|export|keys|backup|copy|restore|client token|user import-csv)`)

func TestACommandDoesAndSaysTheSameOverTheAPI(t *testing.T) {
	f := open(t, "stepward:admin:read", "stepward:admin:write")
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte("scopes:\n  payouts: {description: Pay out}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	app := filepath.Join(t.TempDir(), "app.json")
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("a-token-of-the-application\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	reads := regexp.MustCompile(`^\w+ (\w+ )?(show|list|history|check|preview)|^explain|^lint|^events`)
	id := ""
	for line := range strings.Lines(strings.TrimSpace(script)) {
		line = strings.NewReplacer("{id}", id, "policy.yaml", file, "app.json", app, "--token-file token", "--token-file "+token).Replace(strings.TrimSpace(line))
		line = strings.Replace(line, "--role auditor", "", 1) // no client is an owner
		if onlyHere.MatchString(line) {
			continue
		}
		for _, format := range []string{"json", "text"} {
			args := append(strings.Fields(line), "--output", format)
			if !reads.MatchString(line) && format == "text" {
				continue
			}
			out, err := f.there(args...)
			if err != nil {
				t.Errorf("%s: %v\n%s", line, err, out)
			}
			if reads.MatchString(line) {
				if same, err := f.here(args...); err != nil || same != out {
					t.Errorf("%s: over the API\n%s\non the store\n%s%v", line, out, same, err)
				}
			}
			if m := regexp.MustCompile(`"id": "([^"]*)"`).FindStringSubmatch(out); m != nil && strings.HasPrefix(line, "client secret add") {
				id = m[1]
			}
			if line == "client show app" {
				if err := os.WriteFile(app, []byte(out), 0o600); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	for _, line := range []string{
		"client show nobody", "user show nobody", "group show nobody", "claim remove nothing --yes", "policy show --version 99",
		"client add Bad --redirect-uri http://acme.example/cb --scope payouts --minimum-acr high",
		"group add a,b", "claim set sub", "user add nonsense", "client secret remove robot nothing", "explain nobody",
		"policy set " + file + " --expect 77", "user set ada@example.com", "client enable robot",
		"provisioning show robot", "provisioning pause nobody", "provisioning add nobody --url https://a.example/scim",
		"provisioning add robot --url http://a.example/scim",
	} {
		_, far := f.there(strings.Fields(line)...)
		_, near := f.here(strings.Fields(line)...)
		if far == nil || near == nil || far.Error() != near.Error() {
			t.Errorf("%s: over the API %v, on the store %v", line, far, near)
		}
	}
}

func TestRemovingAUserSaysHowManySessionsEnded(t *testing.T) {
	f := open(t, "stepward:admin:read", "stepward:admin:write")
	for email, remove := range map[string]func(...string) (string, error){
		"ada@example.com": f.here, "bob@example.com": f.there,
	} {
		if out, err := f.here("user", "add", email); err != nil {
			t.Fatalf("%v %s", err, out)
		}
		f.signIn(email)
		if out, err := remove("user", "remove", email, "--yes"); err != nil || !strings.Contains(out, "removed; 1 sessions ended") {
			t.Errorf("%s: %v %s", email, err, out)
		}
	}
}

func TestFaultsOnTheWayToTheAPIAreSaidPlainly(t *testing.T) {
	f := open(t, "stepward:admin:read")
	env := func(more ...string) []string { return append([]string{"STEPWARD_DATA_DIR=" + t.TempDir()}, more...) }
	own := env("STEPWARD_CLIENT_ID=robot", "STEPWARD_CLIENT_SECRET="+f.secret)
	list := []string{"client", "list", "--api", f.issuer}
	f.fails("an access token is needed: set STEPWARD_TOKEN", env(), list...)
	f.fails("the access token is not accepted: invalid_token", env("STEPWARD_TOKEN="+f.secret), list...)
	f.fails("the client gets no token: invalid_client", env("STEPWARD_CLIENT_ID=robot", "STEPWARD_CLIENT_SECRET=x"+f.secret), list...)
	f.fails("not allowed: the access token lacks the scope stepward:admin:groups:write", own, "group", "add", "staff", "--api", f.issuer)
	f.fails("client token works on the store alone", own, "client", "token", "--api", f.issuer)
	f.fails("user import-csv works on the store alone", own, "user", "import-csv", "people.csv", "--api", f.issuer)
	f.fails("cannot be read", own, append(list, "--api-secret-file", "/nowhere")...)
	for _, wrong := range []string{"http://id.example.com", "http://localhost.example.com", "id.example.com", "ftp://localhost", "https://"} {
		f.fails("--api must be the issuer of a server", own, "client", "list", "--api", wrong)
		f.fails("--against must be the issuer of a server", own, "export", "--against", wrong)
	}
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	defer secure.Close()
	f.fails(secure.URL+": its certificate is not accepted: x509: ", own, "lint", "--api", secure.URL)
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	f.fails("404 Not Found, which is no answer of Stepward; is this the issuer?", env("STEPWARD_TOKEN=t"), "lint", "--api", other.URL)
	f.fails("404 Not Found, which is no answer of Stepward; is this the issuer?", own, "lint", "--api", other.URL)
	other.Close()
	f.fails("connection refused", own, "lint", "--api", other.URL)
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte(f.secret+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := stepwardIn(t, env("STEPWARD_TOKEN=wrong"), append(list, "--api-client", "robot", "--api-secret-file", file)...)
	if err != nil || !strings.Contains(out, "robot") || strings.Contains(out, f.secret) {
		t.Errorf("%v %s", err, out)
	}
}

// A server that sends callers elsewhere would have the token sent there too.
func TestNoRedirectTakesATokenElsewhere(t *testing.T) {
	reached := false
	thief := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		reached = true
		t.Errorf("it has %q", r.Header.Get("Authorization"))
	}))
	defer thief.Close()
	front := httptest.NewServer(http.RedirectHandler(thief.URL, http.StatusTemporaryRedirect))
	defer front.Close()
	for _, environ := range [][]string{{"STEPWARD_TOKEN=t"}, {"STEPWARD_CLIENT_ID=a", "STEPWARD_CLIENT_SECRET=s"}} {
		_, err := stepwardIn(t, environ, "client", "list", "--api", front.URL)
		if err == nil || reached || !strings.Contains(err.Error(), "no answer of Stepward") {
			t.Errorf("%v", err)
		}
	}
}
