package movein

import (
	"bytes"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey/passkeytest"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/engine"
	"github.com/stepward/stepward/internal/store/storetest"
)

func TestWhatCannotComeIsTold(t *testing.T) {
	h, p := newHouse(t, storetest.Open(t)), newPocket(t)
	if err := h.db.CreateUser(t.Context(), idp.NewUser("taken@example.com", "Somebody", h.cfgNow())); err != nil {
		t.Fatal(err)
	}
	p.user("kiosk", nil)
	p.user("ada", "ada@example.com")
	p.user("mallory", "ADA@example.com")
	p.user("thief", "Taken@example.com")
	p.user("odd", "not an address")
	tricky := p.user("tricky", "tricky@example.com")
	p.do(`UPDATE users SET display_name = $1 WHERE id = $2`, "Ada\u202emoc.live", tricky)
	p.do(`UPDATE users SET id = 'grafana' WHERE username = 'odd'`)
	p.do(`UPDATE users SET email = 'odd@example.com' WHERE username = 'odd'`)
	long := p.user("long", "long@example.com")
	p.do(`UPDATE users SET id = $1 WHERE id = $2`, strings.Repeat("a", 65), long)
	two, public2 := newKey(t)
	p.passkey(tricky, two, public2)
	giant, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	weak, err := (&passkeytest.Passkey{Algorithm: passkeytest.RS256, Key: giant}).COSE()
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range [][2][]byte{
		{bytes.Repeat([]byte{1}, 20), weak},
		{bytes.Repeat([]byte{2}, 20), bytes.Repeat([]byte{0x5f}, 1<<20)}, // nested byte strings without an end
		{bytes.Repeat([]byte{3}, 20), nil},
		{bytes.Repeat([]byte{4}, 15), public2},
		{bytes.Repeat([]byte{5}, 2000), public2},
	} {
		p.passkey(tricky, bad[0], append([]byte{}, bad[1]...))
	}
	p.group("staff")
	p.group("Staff")
	p.group("a,b")
	p.client("grafana", `["https://grafana.example.com/cb"]`, sha("x"))
	p.client("wild", `["https://*.example.com/cb"]`, sha("x"))
	p.client("partly", `["https://partly.example.com/cb", "http://partly.example.com/cb"]`, sha("x"))
	p.client("closed", `["https://closed.example.com/cb"]`, sha("x"))
	p.do(`UPDATE oidc_clients SET is_group_restricted = true WHERE id = 'closed'`)
	p.client("broken", `["https://broken.example.com/cb"`, sha("x"))
	p.client("bare", `["https://bare.example.com/cb"]`, `{}`)
	p.do(`INSERT INTO custom_claims (id, key, value, user_id) VALUES ('1', 'email', '"x@example.com"', $1)`, tricky)

	r, err := move(t.Context(), h.cfg, p.open())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range [][3]string{
		{kindUsers, "kiosk", "no e-mail address"},
		{kindUsers, "ada@example.com", "the same e-mail address"},
		{kindUsers, "ADA@example.com", "the same e-mail address"},
		{kindUsers, "Taken@example.com", "belongs to somebody here"},
		{kindUsers, "odd@example.com", "a client here has the same ID"},
		{kindUsers, "long@example.com", "cannot stay the sub"},
		{kindPasskeys, "tricky@example.com", "public key"},
		{kindPasskeys, "tricky@example.com", "credential ID"},
		{kindGroups, "Staff", "same name"},
		{kindGroups, "a,b", "comma"},
		{kindClients, "App wild wild", "wildcard"},
		{kindClients, "App closed closed", "groups alone"},
		{kindClients, "App broken broken", "cannot be read"},
		{kindClients, "App bare bare", "needs a secret"},
		{kindClaims, "email", "standard claim"},
	} {
		if want[0] == kindClients && want[1] == "App wild wild" {
			h.says(r.Left, want[0], want[1], "at least one")
			continue
		}
		if want[0] == kindGroups && want[1] == "Staff" { // which of the two comes first is up to the database
			if c := r.count(kindGroups); c.Come != 1 || c.Cannot != 2 {
				t.Errorf("groups: %+v", c)
			}
			continue
		}
		h.says(r.Left, want[0], want[1], want[2])
	}
	h.says(r.Notes, kindClients, "App partly partly", "not this machine")
	h.says(r.Notes, kindUsers, "tricky@example.com", "no longer in the name")
	if u := must1(h, tricky); u.Name != "Adamoc.live" {
		t.Errorf("the name is %q", u.Name)
	}
	if keys := mustOf(h, h.db.PasskeysOf, tricky); len(keys) != 1 || !bytes.Equal(keys[0].CredentialID, two) {
		t.Errorf("passkeys: %+v", keys)
	}
	if c := r.count(kindPasskeys); c.Come != 1 || c.Cannot != 5 {
		t.Errorf("passkeys: %+v", c)
	}
	var text strings.Builder
	if err := r.Print(&text); err != nil || strings.Contains(text.String(), "\u202e") {
		t.Errorf("%v: the report turns the terminal around", err)
	}
}

func TestPasskeysThatCannotWorkHereDoNotCome(t *testing.T) {
	h, p := newHouse(t, storetest.Open(t)), newPocket(t)
	ada := p.user("ada", "ada@example.com")
	id, public := newKey(t)
	p.passkey(ada, id, public)
	h.cfg.DryRun = true

	h.cfg.FromHost = "old.example.com"
	r := h.move(p.open(), map[string][3]int{kindUsers: {1}, kindPasskeys: {0, 0, 1}})
	h.says(r.Left, kindPasskeys, "ada@example.com", "made for old.example.com")
	h.cfg.FromHost = "id.example.com"

	p.do(`INSERT INTO kv VALUES ('config_migrated', '{"webauthnUserVerification":"preferred"}')`)
	r = h.move(p.open(), map[string][3]int{kindUsers: {1}, kindPasskeys: {0, 0, 1}})
	h.says(r.Left, kindPasskeys, "ada@example.com", "without required user verification")
	h.cfg.Unverified = true
	h.move(p.open(), map[string][3]int{kindUsers: {1}, kindPasskeys: {1}})

	h.cfg.Settings.DeviceBound = true
	r = h.move(p.open(), map[string][3]int{kindUsers: {1}, kindPasskeys: {0, 0, 1}})
	h.says(r.Left, kindPasskeys, "ada@example.com", "passkey-kind")
}

func TestAPasskeyOfSomebodyElseDoesNotCome(t *testing.T) {
	h, p := newHouse(t, storetest.Open(t)), newPocket(t)
	ada, n := p.user("ada", "ada@example.com"), store.MaxPasskeys
	id, public := newKey(t)
	owner := idp.NewUser("owner@example.com", "Owner", h.cfgNow())
	if err := h.db.CreateUser(t.Context(), owner); err != nil {
		t.Fatal(err)
	}
	if err := h.db.AddPasskey(t.Context(), idp.Passkey{
		ID: idp.NewID(), UserID: owner.ID, CredentialID: id, PublicKey: public, AAGUID: make([]byte, 16), CreatedAt: h.cfgNow(),
	}); err != nil {
		t.Fatal(err)
	}
	p.do(`INSERT INTO kv VALUES ('x', 'y')`)
	p.passkey(ada, id, public)
	for range n + 1 {
		id, public := newKey(t)
		p.passkey(ada, id, public)
	}
	if _, err := move(t.Context(), h.cfg, p.open()); err == nil || !strings.Contains(err.Error(), "new-rp-id") {
		t.Fatalf("passkeys of an unknown host: %v", err)
	}
	h.claim()
	r := h.move(p.open(), map[string][3]int{kindUsers: {1}, kindPasskeys: {n, 0, 2}})
	h.says(r.Left, kindPasskeys, "ada@example.com", "somebody here has")
	h.says(r.Left, kindPasskeys, "ada@example.com", "can have 20 passkeys")
}

func TestAnotherFileIsRefused(t *testing.T) {
	dir := t.TempDir()
	write := func(name string, content []byte) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	p := newPocket(t)
	for range 200 {
		ada := p.user("u"+p.id(), nil)
		id, public := newKey(t)
		p.passkey(ada, id, public)
	}
	whole, err := os.ReadFile(p.place)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		write("picture.png", []byte("\x89PNG\r\n\x1a\n and more")):                    engine.ErrNotDatabase,
		write("half.db", whole[:len(whole)/2&^4095]):                                  engine.ErrNotDatabase,
		write("torn.db", append(whole[:8192:8192], make([]byte, len(whole)-8192)...)): engine.ErrNotDatabase,
		write("empty.db", nil):                  errOther,
		filepath.Join(dir, "missing.db"):        os.ErrNotExist,
		"postgres://nobody@127.0.0.1:1/nothing": nil,
	} {
		src, err := openPocketID(t.Context(), name)
		if err == nil || want != nil && !errors.Is(err, want) {
			t.Errorf("%s: %v", name, err)
		}
		if src != nil && err == nil {
			src.db.Close()
		}
	}
}

func TestWhoIsHereKeepsWhatIsTheirs(t *testing.T) {
	h, p := newHouse(t, storetest.Open(t)), newPocket(t)
	ctx := t.Context()
	ada, eve := p.user("ada", "ada@example.com"), p.user("eve", "eve@example.com")
	p.user("\x1b[31mred", nil)
	handled := idp.NewUser("handled@example.com", "Somebody", h.cfgNow())
	handled.Handle = []byte(eve)
	must(h, 0, h.db.CreateUser(ctx, handled))
	p.client("wiki", `["https://wiki.example.com/cb"]`, sha("1"))
	ours := idp.Client{
		ID: "wiki", Name: "Ours", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone, CreatedAt: h.cfgNow(), UpdatedAt: h.cfgNow(),
		RedirectURIs: []string{"https://ours.example.com/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode}, Scopes: []string{"openid"},
	}
	must(h, 0, h.db.PutClient(ctx, ours))
	r := h.move(p.open(), map[string][3]int{kindUsers: {1, 0, 2}, kindClients: {0, 0, 1}})
	h.says(r.Left, kindUsers, "eve@example.com", "the user handle belongs to somebody here")
	h.says(r.Left, kindClients, "App wiki wiki", "a client with this ID is here already")
	var text strings.Builder
	if err := r.Print(&text); err != nil || strings.Contains(text.String(), "\x1b") {
		t.Errorf("%v: the report controls the terminal: %q", err, text.String())
	}
	if c, err := h.db.StoredClient(ctx, "wiki"); err != nil || c.Name != "Ours" {
		t.Errorf("the client is %+v, %v", c, err)
	}

	// A passkey that the thief of an account still has in the old house must not follow after a recovery.
	credential, public := newKey(t)
	must(h, 0, h.db.Recover(ctx, idp.Passkey{
		ID: idp.NewID(), UserID: ada, CredentialID: credential, PublicKey: public, CreatedAt: h.cfgNow(),
	}, h.cfgNow(), h.cfgNow()))
	old, public2 := newKey(t)
	p.passkey(ada, old, public2)
	r = h.move(p.open(), map[string][3]int{kindUsers: {0, 1, 2}, kindClients: {0, 0, 1}, kindPasskeys: {0, 0, 1}})
	h.says(r.Left, kindPasskeys, "ada@example.com", "recovered here in the meantime")
}
