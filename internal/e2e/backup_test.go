package e2e

import (
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/oauth2"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// embedded is a server on a data folder, as a process that can be stopped and started on the same address.
type embedded struct {
	t       *testing.T
	dir     string
	issuer  string
	process *exec.Cmd
	app     oauth2.Config
}

func newEmbedded(t *testing.T) *embedded {
	issuer := "http://" + strings.Replace(freeAddress(t), "127.0.0.1", "localhost", 1)
	return &embedded{t: t, dir: t.TempDir(), issuer: issuer, app: oauth2.Config{
		ClientID: "bench", ClientSecret: benchSecret, RedirectURL: appCallback, Scopes: []string{"openid", "offline_access"},
		Endpoint: oauth2.Endpoint{AuthURL: issuer + "/oauth2/authorize", TokenURL: issuer + "/oauth2/token", AuthStyle: oauth2.AuthStyleInHeader},
	}}
}

func (e *embedded) start(dir string) {
	e.t.Helper()
	e.dir = dir
	e.process = spawn(e.t, strings.TrimPrefix(e.issuer, "http://"), e.issuer, []string{"STEPWARD_DATA_DIR=" + dir})
}

func (e *embedded) stop() {
	e.t.Helper()
	if err := e.process.Process.Signal(syscall.SIGTERM); err != nil {
		e.t.Fatal(err)
	}
	if err := e.process.Wait(); err != nil {
		e.t.Fatal(err)
	}
}

// run runs a command that must work.
func (e *embedded) run(args ...string) string {
	e.t.Helper()
	out, err := operate(e.t, e.dir, append(args, "--issuer", e.issuer)...)
	if err != nil {
		e.t.Fatalf("%v: %v\n%s", args, err, out)
	}
	return out
}

func (e *embedded) authorizeURL(verifier string, options ...oauth2.AuthCodeOption) string {
	return e.app.AuthCodeURL("s", append(options, oauth2.S256ChallengeOption(verifier))...)
}

// signIn signs a person in, or up, and returns their tokens.
func (e *embedded) signIn(p *person, email string) *oauth2.Token {
	e.t.Helper()
	verifier := oauth2.GenerateVerifier()
	at := p.open(e.authorizeURL(verifier, oauth2.SetAuthURLParam("prompt", "login")))
	if email != "" {
		at = p.signUp(at, email)
	}
	token, err := e.app.Exchange(e.t.Context(), p.through(at).Get("code"), oauth2.VerifierOption(verifier))
	if err != nil || token.RefreshToken == "" {
		e.t.Fatalf("sign in: %v", err)
	}
	return token
}

// refreshes uses a refresh token, and reports whether it still works; token becomes its successor.
func (e *embedded) refreshes(token *oauth2.Token) bool {
	e.t.Helper()
	next, err := e.app.TokenSource(e.t.Context(), &oauth2.Token{RefreshToken: token.RefreshToken}).Token()
	if err == nil {
		*token = *next
		return true
	}
	if !strings.Contains(err.Error(), "invalid_grant") {
		e.t.Fatalf("refresh: %v", err)
	}
	return false
}

// mayEnter reports whether a person's passkey is accepted in a new browser.
func (e *embedded) mayEnter(p *person) bool {
	e.t.Helper()
	fresh := newPerson(e.t, e.issuer, appCallback)
	fresh.key = p.key
	next, _ := fresh.tryCeremony(fresh.open(e.authorizeURL(oauth2.GenerateVerifier())))
	return next != ""
}

// signedIn reports whether a browser has a session.
func (e *embedded) signedIn(p *person) bool {
	e.t.Helper()
	back := p.open(e.authorizeURL(oauth2.GenerateVerifier(), oauth2.SetAuthURLParam("prompt", "none"))).url.Query()
	if back.Get("code") == "" && back.Get("error") != "login_required" {
		e.t.Fatalf("prompt=none: %v", back)
	}
	return back.Get("code") != ""
}

func (e *embedded) revoke(token *oauth2.Token) {
	e.t.Helper()
	r, _ := http.NewRequest(http.MethodPost, e.issuer+"/oauth2/revoke", strings.NewReader(url.Values{"token": {token.RefreshToken}}.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.SetBasicAuth("bench", benchSecret)
	resp, err := http.DefaultClient.Do(r)
	if err != nil || resp.StatusCode != http.StatusOK {
		e.t.Fatalf("revoke: %v %v", resp, err)
	}
	_ = resp.Body.Close()
}

// passkeys changes the passkeys of a user, as the account pages would.
func (e *embedded) passkeys(email string, change func(*store.DB, idp.User, []idp.Passkey) error) {
	e.t.Helper()
	db, err := store.Open(e.t.Context(), store.Config{Dir: e.dir, Shared: true})
	if err != nil {
		e.t.Fatal(err)
	}
	defer db.Close()
	u, err := db.UserByEmail(e.t.Context(), email)
	if err != nil {
		e.t.Fatal(err)
	}
	keys, err := db.PasskeysOf(e.t.Context(), u.ID)
	if err == nil {
		err = change(db, u, keys)
	}
	if err != nil {
		e.t.Fatal(err)
	}
}

func TestARestoredBackupSignsInAndBringsNothingRevokedBack(t *testing.T) {
	t.Parallel()
	e := newEmbedded(t)
	e.start(t.TempDir())
	ada, bob := newPerson(t, e.issuer, appCallback), newPerson(t, e.issuer, appCallback)
	revoked, busy := e.signIn(ada, "ada@example.com"), e.signIn(bob, "bob@example.com")
	lives := e.signIn(ada, "")
	e.passkeys("bob@example.com", func(db *store.DB, u idp.User, _ []idp.Passkey) error {
		return db.AddPasskey(t.Context(), idp.Passkey{ID: idp.NewID(), UserID: u.ID, CredentialID: []byte("second"), PublicKey: []byte{1}, CreatedAt: time.Now()})
	})

	// The backup is made while tokens are refreshed.
	file := filepath.Join(t.TempDir(), "stepward.backup")
	done := make(chan struct{})
	var load sync.WaitGroup
	load.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if !e.refreshes(busy) {
					t.Error("a refresh failed during the backup")
					return
				}
			}
		}
	})
	out := e.run("backup", file)
	close(done)
	load.Wait()
	if !strings.Contains(out, "read back without a fault") || !strings.Contains(out, "users 2, passkeys 3") {
		t.Errorf("backup said:\n%s", out)
	}

	// What happens after the backup.
	e.revoke(revoked)
	if !e.refreshes(lives) {
		t.Fatal("a live token was refused")
	}
	e.passkeys("bob@example.com", func(db *store.DB, u idp.User, keys []idp.Passkey) error {
		return db.RemovePasskey(t.Context(), u.ID, keys[0].ID, false)
	})
	if _, err := operate(t, e.dir, "restore", file, "--replace", "--issuer", e.issuer); err == nil || !strings.Contains(err.Error(), "stop it first") {
		t.Errorf("restored under a running server: %v", err)
	}
	e.stop()
	folder, key := e.dir, filepath.Join(e.dir, "stepward.key")
	if _, err := operate(t, folder, "restore", file, "--issuer", e.issuer); err == nil || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("overwritten unasked: %v", err)
	}
	before := t.TempDir()
	if err := os.CopyFS(before, os.DirFS(folder)); err != nil { // for the second restore
		t.Fatal(err)
	}

	// Into the same folder: what was revoked in the replaced store stays revoked, and everything ends.
	out = e.run("restore", file, "--replace")
	for _, want := range []string{"still revoked: passkeys removed 1", "all sessions", "before-restore-"} {
		if !strings.Contains(out, want) {
			t.Errorf("restore does not say %q:\n%s", want, out)
		}
	}
	e.start(folder)
	if e.signedIn(ada) {
		t.Error("a session survived")
	}
	if e.refreshes(lives) || e.refreshes(revoked) || e.refreshes(busy) {
		t.Error("a family survived")
	}
	if !e.mayEnter(ada) || e.mayEnter(bob) {
		t.Errorf("ada enters: %v, want true; bob with the removed passkey: %v, want false", e.mayEnter(ada), e.mayEnter(bob))
	}
	e.stop()

	// With --keep-sessions, sessions and tokens go on, but not the revoked ones.
	e.dir = before
	out = e.run("restore", file, "--replace", "--keep-sessions")
	e.start(before)
	if !e.signedIn(ada) || !e.refreshes(lives) || e.refreshes(revoked) || e.mayEnter(bob) {
		t.Errorf("--keep-sessions ended what lives, or brought something back:\n%s", out)
	}
	e.stop()

	// On a new machine nothing tells what was revoked, so all families end, and the command says what is back.
	e.dir = t.TempDir()
	if out = e.run("restore", file); !strings.Contains(out, "operator's key is missing") || !strings.Contains(out, "are back") {
		t.Errorf("restore into an empty folder said:\n%s", out)
	}
	content, err := os.ReadFile(key)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(e.dir, "stepward.key"), content, 0o600); err != nil {
		t.Fatal(err)
	}
	e.start(e.dir)
	if !e.mayEnter(ada) || !e.mayEnter(bob) || e.signedIn(ada) || e.refreshes(lives) || e.refreshes(revoked) {
		t.Error("on a new machine a passkey of the backup is refused, or a session or family goes on")
	}
	e.stop()

	// Another operator's key is noticed before anything changes.
	other := t.TempDir()
	if err := os.WriteFile(filepath.Join(other, "stepward.key"), []byte("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := operate(t, other, "restore", file, "--issuer", e.issuer); err == nil || !strings.Contains(err.Error(), "nothing was changed") {
		t.Errorf("a backup under another key: %v", err)
	}
	if _, err := os.Stat(filepath.Join(other, "stepward.db")); err == nil {
		t.Error("a store was left behind")
	}
}
