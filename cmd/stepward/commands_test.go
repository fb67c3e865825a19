// These tests are inside the package: a command cannot be imported.
package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/internal/server"
	"github.com/stepward/stepward/internal/store/plan"
)

// stepward runs a command in a data folder, and returns its output.
func stepward(t *testing.T, dir string, args ...string) (string, error) {
	t.Helper()
	return stepwardIn(t, []string{"STEPWARD_DATA_DIR=" + dir}, args...)
}

// stepwardIn runs a command in an environment.
func stepwardIn(t *testing.T, environ []string, args ...string) (string, error) {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout := os.Stdout
	os.Stdout = write
	defer func() { os.Stdout = stdout }()
	printed := make(chan string)
	go func() {
		var b bytes.Buffer
		_, _ = io.Copy(&b, read)
		printed <- b.String()
	}()
	err = run(t.Context(), args, environ)
	_ = write.Close()
	return <-printed, err
}

func TestClientsAreAddedListedShownAndRemoved(t *testing.T) {
	dir := t.TempDir()
	out, err := stepward(t, dir, "client", "add", "Acme Bank", "--redirect-uri", "https://acme.example/cb", "--id", "acme")
	if err != nil {
		t.Fatal(err)
	}
	secret := regexp.MustCompile(`client_secret  (\S+)`).FindStringSubmatch(out)
	if secret == nil || len(secret[1]) < 43 {
		t.Fatalf("add printed no secret of 256 bits:\n%s", out)
	}
	for _, args := range [][]string{{"client", "list"}, {"client", "show", "acme"}} {
		out, err := stepward(t, dir, args...)
		if err != nil || !strings.Contains(out, "Acme Bank") {
			t.Errorf("%v: %v\n%s", args, err, out)
		}
		if strings.Contains(out, secret[1]) || strings.Contains(out, idp.Secret(secret[1]).Hash()) {
			t.Errorf("%v shows the secret again:\n%s", args, out)
		}
	}
	if _, err := stepward(t, dir, "client", "add", "Acme again", "--redirect-uri", "https://acme.example/cb", "--id", "acme"); err == nil {
		t.Error("a second client with the same ID was accepted")
	}
	if _, err := stepward(t, dir, "client", "remove", "acme"); err != nil {
		t.Error(err)
	}
	if _, err := stepward(t, dir, "client", "show", "acme"); err == nil || !strings.Contains(err.Error(), "no client") {
		t.Errorf("after removal: %v", err)
	}
}

func TestAddReportsAllFaults(t *testing.T) {
	_, err := stepward(t, t.TempDir(), "client", "add", "Bad", "--redirect-uri", "http://acme.example/cb", "--scope", "payouts")
	if err == nil || !strings.Contains(err.Error(), "use https") || !strings.Contains(err.Error(), `"payouts" is not configured`) {
		t.Errorf("%v", err)
	}
}

func TestMigrateMayRunAgainAndRefusesANewerSchema(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if out, err := stepward(t, dir, "migrate"); err != nil || !strings.Contains(out, "up to date") {
			t.Fatalf("%v %s", err, out)
		}
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "stepward.db"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := db.Exec(`INSERT INTO schema_version (version_id, is_applied) VALUES (9999, 1);
		UPDATE installation SET value = '9999' WHERE name = 'oldest_program'`); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"migrate"}, {"serve", "--listen", "localhost:0"}, {"client", "list"}} {
		if _, err := stepward(t, dir, args...); err == nil || !strings.Contains(err.Error(), "newer version of stepward") {
			t.Errorf("%v on a newer schema: %v", args, err)
		}
	}
}

func TestADryRunPrintsThePlanAndChangesNothing(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if out, err := stepward(t, dir, "migrate", "--dry-run"); err != nil || !strings.Contains(out, "is version 0") || !strings.Contains(out, "The database is new.") || !strings.Contains(out, "CREATE TABLE users") {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	if _, err := stepward(t, dir, "migrate"); err != nil {
		t.Fatal(err)
	}
	if out, err := stepward(t, dir, "migrate", "--dry-run"); err != nil || !strings.Contains(out, "nothing to do") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestACommandThatReadsDoesNotMigrate(t *testing.T) {
	dir := t.TempDir()
	for _, args := range [][]string{{"client", "list"}, {"client", "show", "x"}, {"user", "list"}, {"keys", "list"}} {
		if _, err := stepward(t, dir, args...); err == nil || !strings.Contains(err.Error(), "stepward migrate") {
			t.Errorf("%v on a database without a schema: %v", args, err)
		}
	}
	if _, err := stepward(t, dir, "migrate"); err != nil {
		t.Fatal(err)
	}
	if _, err := stepward(t, dir, "client", "list"); err != nil {
		t.Error(err)
	}
}

func TestKeysAreListedAndRotated(t *testing.T) {
	dir := t.TempDir()
	server, stop := serveIn(t, dir)
	before := jwksIDs(t, server)
	if out, err := stepward(t, dir, "keys", "rotate"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	out, err := stepward(t, dir, "keys", "list")
	if err != nil || !strings.Contains(out, "active") || !strings.Contains(out, "retired") {
		t.Errorf("%v\n%s", err, out)
	}
	stop()
	server, _ = serveIn(t, dir)
	after := jwksIDs(t, server)
	stayed := !slices.ContainsFunc(before, func(kid string) bool { return !slices.Contains(after, kid) })
	if len(after) != 2*len(before) || !stayed {
		t.Errorf("JWKS before %v, after %v: the old keys must stay, a new one come for each", before, after)
	}
}

func TestTheOperatorsKeyOfAnEmbeddedInstallationChangesBesideTheServer(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "stepward.key")
	running, stop := serveIn(t, dir)
	before, first := jwksIDs(t, running), read(t, file)
	out, err := stepward(t, dir, "keys", "rotate", "--operator")
	if err != nil || !strings.Contains(out, "--finish") {
		t.Fatalf("%v\n%s", err, out)
	}
	if lines := strings.Fields(read(t, file)); len(lines) != 2 || lines[1] != first || lines[0] == first {
		t.Errorf("the file has %d keys", len(lines))
	}
	if got := jwksIDs(t, running); !slices.Equal(got, before) { // it still has the old key
		t.Errorf("the running server publishes %v, want %v", got, before)
	}
	stop()
	restarted, stop := serveIn(t, dir)
	if got := jwksIDs(t, restarted); !slices.Equal(got, before) {
		t.Errorf("the restarted server publishes %v, want %v", got, before)
	}
	if out, err := stepward(t, dir, "keys", "rotate", "--operator", "--finish"); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if lines := strings.Fields(read(t, file)); len(lines) != 1 || lines[0] == first {
		t.Errorf("the file has %d keys", len(lines))
	}
	stop()
	if out, err := stepward(t, dir, "keys", "rotate", "--operator"); err != nil || strings.Contains(out, "--finish") {
		t.Errorf("without a server, one step is enough: %v\n%s", err, out)
	}
	last, _ := serveIn(t, dir)
	if got := jwksIDs(t, last); !slices.Equal(got, before) {
		t.Errorf("in the end: %v, want %v", got, before)
	}
}

func TestChangingTheOperatorsKeySaysWhenThereIsNoFormerOne(t *testing.T) {
	dir := t.TempDir()
	former, current := filepath.Join(dir, "former"), filepath.Join(dir, "current")
	for path, b := range map[string]string{former: "A", current: "B"} {
		if err := os.WriteFile(path, []byte(strings.Repeat(b, 42)+"A="), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := stepward(t, dir, "keys", "rotate", "--operator", "--key-file", former); err != nil ||
		!strings.Contains(out, "key-previous is not set") {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err := stepward(t, dir, "keys", "rotate", "--operator", "--key-file", current, "--key-previous-file", former); err != nil ||
		!strings.Contains(out, "remove key-previous") {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestRevokingAKeySaysFirstWhatBreaks(t *testing.T) {
	dir := t.TempDir()
	server, _ := serveIn(t, dir)
	kid := jwksIDs(t, server)[0]
	out, err := stepward(t, dir, "keys", "revoke", kid)
	if err == nil || !strings.Contains(err.Error(), "--yes") || !strings.Contains(out, "are refused") || !slices.Contains(jwksIDs(t, server), kid) {
		t.Errorf("%v\n%s", err, out)
	}
	if out, err = stepward(t, dir, "keys", "revoke", kid, "--yes"); err != nil || !strings.Contains(out, "withdrawn") {
		t.Errorf("%v\n%s", err, out)
	}
	if _, err := stepward(t, dir, "keys", "revoke", kid, "--yes"); err == nil || !strings.Contains(err.Error(), "already") {
		t.Errorf("twice: %v", err)
	}
	if _, err := stepward(t, dir, "keys", "revoke", "nobody", "--yes"); err == nil || !strings.Contains(err.Error(), "keys list") {
		t.Errorf("an unknown key: %v", err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func TestServeInvitesTheFirstAdminAndACommandWorksBesideIt(t *testing.T) {
	dir := t.TempDir()
	server, stop := serveIn(t, dir)
	defer stop()
	out, err := stepward(t, dir, "user", "invite", "grace@example.com", "--name", "Grace Hopper")
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`http://localhost:8080/enrol#[A-Z2-7]{26}\n`).MatchString(out) {
		t.Errorf("invite printed:\n%s", out)
	}
	if out, err := stepward(t, dir, "user", "list"); err != nil || !strings.Contains(out, "grace@example.com") {
		t.Errorf("%v\n%s", err, out)
	}
	link, _, err := manage.FirstAdmin(t.Context(), server)
	if err != nil || !strings.Contains(link.Reveal(), "/enrol#") {
		t.Errorf("first admin: %v", err)
	}
}

func TestTwoServersDoNotShareADataFolder(t *testing.T) {
	dir := t.TempDir()
	_, stop := serveIn(t, dir)
	defer stop()
	err := run(t.Context(), []string{"serve", "--listen", "localhost:0"}, []string{"STEPWARD_DATA_DIR=" + dir})
	if err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("%v", err)
	}
}

func TestConfigCheckAndHelp(t *testing.T) {
	if out, err := stepward(t, t.TempDir(), "config", "check"); err != nil || !strings.Contains(out, "the settings are valid") {
		t.Errorf("%v %s", err, out)
	}
	err := run(t.Context(), []string{"config", "check"}, []string{"STEPWARD_ISSUER=http://id.example.com", "STEPWARD_REDIS_URL=redis://h"})
	if err == nil || !strings.Contains(err.Error(), "issuer") || !strings.Contains(err.Error(), "database-url") {
		t.Errorf("%v", err)
	}
	if out, err := stepward(t, t.TempDir(), "version"); err != nil || !strings.HasPrefix(out, "stepward ") {
		t.Errorf("%v %s", err, out)
	}
}

func TestHealthcheckNeedsAHealthyServer(t *testing.T) {
	listen := listenAt(t)
	if err := run(t.Context(), []string{"healthcheck"}, []string{"STEPWARD_LISTEN=" + listen}); err == nil {
		t.Error("healthy without a server")
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- run(ctx, []string{"serve", "--listen", listen, "--log-level", "error"}, []string{"STEPWARD_DATA_DIR=" + t.TempDir()})
	}()
	err := errors.New("not asked")
	for deadline := time.Now().Add(20 * time.Second); err != nil && time.Now().Before(deadline); {
		err = run(t.Context(), []string{"healthcheck", "--ready"}, []string{"STEPWARD_LISTEN=" + listen})
	}
	if err != nil {
		t.Error(err)
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("serve did not stop cleanly: %v", err)
	}
}

func TestOnlyTheOwnerCanReadTheOperatorsKey(t *testing.T) {
	dir := t.TempDir()
	_, stop := serveIn(t, dir)
	stop()
	for _, name := range []string{"stepward.key", "stepward.db", "ephemeral.db"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "stepward.key"), []byte("BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB="), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"config check", "serve --listen localhost:0"} {
		err := run(t.Context(), strings.Fields(command), []string{"STEPWARD_DATA_DIR=" + dir})
		if err == nil || !strings.Contains(err.Error(), "key: is not the operator's key") {
			t.Errorf("%s under another key: %v", command, err)
		}
	}
}

// serveIn starts a server with a data folder; stop closes it.
func serveIn(t *testing.T, dir string) (*server.Server, func()) {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: []string{"STEPWARD_DATA_DIR=" + dir}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := server.New(t.Context(), cfg, slog.New(slog.DiscardHandler), nil)
	if err != nil {
		t.Fatal(err)
	}
	closed := false
	stop := func() {
		if !closed {
			closed = true
			s.Close()
		}
	}
	t.Cleanup(stop)
	return s, stop
}

func jwksIDs(t *testing.T, s *server.Server) (ids []string) {
	t.Helper()
	w := httptest.NewRecorder()
	r, _ := http.NewRequest(http.MethodGet, "http://localhost:8080/oauth2/jwks", nil)
	s.Handler.ServeHTTP(w, r)
	var set struct{ Keys []map[string]string }
	if err := json.Unmarshal(w.Body.Bytes(), &set); err != nil {
		t.Fatalf("%v: %s", err, w.Body)
	}
	for _, key := range set.Keys {
		if key["d"] != "" || key["kid"] == "" {
			t.Errorf("JWK %v", key)
		}
		ids = append(ids, key["kid"])
	}
	return ids
}

func listenAt(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "localhost:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestUsersAreAddedShownChangedAndRemoved(t *testing.T) {
	dir := t.TempDir()
	says := func(want string, args ...string) {
		t.Helper()
		out, err := stepward(t, dir, args...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, want) {
			t.Errorf("stepward %s: %q does not say %q", strings.Join(args, " "), out, want)
		}
	}
	says("stepward user invite ada@example.com", "user", "add", "Ada@example.com", "--name", "Ada")
	says("already", "user", "add", "ada@example.com")
	says("not confirmed", "user", "show", "ada@example.com")
	says("nothing to change", "user", "set", "ada@example.com")
	says("changed", "user", "set", "ada@example.com", "--email-verified", "--role", "admin", "--name", "Ada L")
	says("(confirmed)", "user", "show", "ada@example.com")
	says("admin", "user", "show", "ada@example.com")
	says("changed", "user", "set", "ada@example.com", "--email", "new@example.com")
	says("new@example.com (not confirmed)", "user", "show", "new@example.com")
	says("/enrol#", "user", "invite", "new@example.com", "--email-verified")
	says("/enrol#", "user", "invite", "new@example.com") // begun anew
	says("(confirmed)", "user", "show", "new@example.com")
	says("smtp-url", "user", "invite", "grace@example.com", "--mail")
	says("--yes", "user", "remove", "new@example.com")
	says("removed", "user", "remove", "new@example.com", "--yes")
	says("there is no user", "user", "show", "new@example.com")
}

func TestGroupsAndClaimsAreKeptByCommands(t *testing.T) {
	dir := t.TempDir()
	says := func(want string, args ...string) {
		t.Helper()
		out, err := stepward(t, dir, args...)
		if err != nil {
			out += err.Error()
		}
		if !strings.Contains(out, want) {
			t.Errorf("stepward %s: %q does not say %q", strings.Join(args, " "), out, want)
		}
	}
	says("-", "group", "add", "staff")
	says("-", "group", "add", "dev", "--within", "staff", "--description", "Developers")
	says("already", "group", "add", "Dev")
	says("comma", "group", "add", "a,b")
	says("itself", "group", "set", "staff", "--within", "dev")
	says("no group", "user", "add", "ada@example.com", "--group", "nothing")
	says("invite", "user", "add", "ada@example.com", "--group", "dev", "--role", "auditor")
	says("staff", "user", "show", "ada@example.com")
	says(`"link": "http`, "user", "invite", "eve@example.com", "--output", "json")
	says(`"client_secret": "`, "client", "add", "Robot", "--grant", "client_credentials", "--scope", "stepward:admin:read", "--output", "json")
	says(`"role": "auditor"`, "user", "show", "ada@example.com", "--output", "json")
	says("ada@example.com", "group", "show", "dev")
	says(`"description": "Developers"`, "group", "list", "--output", "json")
	says("defined", "claim", "set", "tier", "--scope", "email")
	says("reserved", "claim", "set", "sub")
	says("changed", "user", "set", "ada@example.com", "--claim", "tier=gold")
	says("changed", "group", "set", "dev", "--claim", "tier=silver")
	says(`tier = "gold"`, "user", "show", "ada@example.com")
	says("cannot change", "claim", "set", "tier", "--type", "number", "--scope", "email")
	says("client_secret", "client", "add", "App", "--id", "app", "--redirect-uri", "https://a.example/cb", "--allowed-groups", "dev")
	says("no group", "client", "add", "App", "--redirect-uri", "https://a.example/cb", "--allowed-groups", "ops")
	says("clients refer", "group", "remove", "dev")
	says("changed", "group", "member", "dev", "--remove", "ada@example.com")
	says("changed", "user", "set", "ada@example.com", "--group", "staff")
	says("removed", "claim", "remove", "tier", "--yes")
	file := filepath.Join(dir, "people.csv")
	if err := os.WriteFile(file, []byte("email,groups\nada@example.com,\nbob@example.com,dev\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says("line 2 (ada@example.com): email belongs to another user", "user", "import-csv", file)
	says("there is no user", "user", "show", "bob@example.com")
	if err := os.WriteFile(file, []byte("email,groups\nbob@example.com,dev\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	says("no faults; rows: 1", "user", "import-csv", file, "--dry-run")
	says("bob@example.com,http", "user", "import-csv", file)
	says("dev", "user", "show", "bob@example.com")
}

func TestADryRunSaysWhichReplicasCanStart(t *testing.T) {
	for want, at := range map[string]struct{ version, oldest int64 }{
		"The database is new.": {0, 19},
		"Replicas that know version 19 or later can run beside it, and can start until the contract step": {19, 19},
		"A replica that knows version 18 only goes on if it runs already, and cannot start any more.":     {18, 19},
		"A replica that knows version 20 only goes on if it runs already":                                 {20, 0}, // says nothing
	} {
		if got := beside(at.version, []plan.Step{{Version: 1}, {Version: 30, Oldest: at.oldest}}); !strings.HasPrefix(got, want) {
			t.Errorf("from %d, oldest %d: %s", at.version, at.oldest, got)
		}
	}
}
