package movein

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/roster"
	"github.com/stepward/stepward/internal/store/rpid"
	"github.com/stepward/stepward/internal/store/storetest"
)

// house is where a test moves in.
type house struct {
	*testing.T
	db  *store.DB
	cfg Config
}

func newHouse(t *testing.T, db *store.DB) *house {
	t.Helper()
	cfg, err := config.Load(config.Sources{Environ: []string{
		"STEPWARD_DATA_DIR=" + t.TempDir(), "STEPWARD_ISSUER=https://id.example.com",
	}})
	if err != nil {
		t.Fatal(err)
	}
	return &house{t, db, Config{
		DB: db, Settings: cfg, FromHost: "id.example.com",
		Ops: admin.New(admin.Config{DB: db, Policy: cfg.Policy, Settings: cfg, Issuer: cfg.Issuer.String()}),
	}}
}

// move moves a source in, and checks the numbers: kind and come, here already, cannot come.
func (h *house) move(src source, want map[string][3]int) *Report {
	h.Helper()
	r, err := move(h.Context(), h.cfg, src)
	if err != nil {
		h.Fatal(err)
	}
	got := map[string][3]int{}
	for _, c := range r.Counts {
		if n := [3]int{c.Come, c.Here, c.Cannot}; n != [3]int{} {
			got[c.Kind] = n
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		h.Errorf("counts (come, here, cannot):\n%s\n%+v", diff, r.Left)
	}
	return r
}

// says checks that a list of reasons has one that contains the text, for the thing of that name.
func (h *house) says(list []Reason, kind, name, text string) {
	h.Helper()
	if !slices.ContainsFunc(list, func(r Reason) bool {
		return r.Kind == kind && strings.Contains(r.Text, text) && slices.Contains(r.Names, name)
	}) {
		h.Errorf("nothing says %q of %s %q: %+v", text, kind, name, list)
	}
}

func must[T any](h *house, v T, err error) T {
	h.Helper()
	if err != nil {
		h.Fatal(err)
	}
	return v
}

// dump is everything that is kept, but times of the move and new IDs.
func (h *house) dump() string {
	h.Helper()
	var b strings.Builder
	for _, u := range must2(h, h.db.Users, "", 1000) {
		u.Membership = must2m(h, u.ID)
		b.WriteString(u.Email + " " + u.Name + " " + u.UpdatedAt.String() + "\n")
		for _, k := range mustOf(h, h.db.PasskeysOf, u.ID) {
			b.WriteString(k.ID + "\n")
		}
		for _, g := range mustOf(h, h.db.GrantsOf, u.ID) {
			b.WriteString(g.ClientID + strings.Join(g.Scopes, " ") + "\n")
		}
		for _, e := range mustEvents(h, u.ID) {
			b.WriteString(e.ID + "\n")
		}
	}
	return b.String()
}

func must2(h *house, f func(context.Context, string, int) ([]idp.User, error), after string, n int) []idp.User {
	h.Helper()
	users, err := f(h.Context(), after, n)
	return must(h, users, err)
}

func must2m(h *house, id string) directory.Membership {
	h.Helper()
	m, err := h.db.MembershipOf(h.Context(), id)
	return must(h, m, err)
}

func mustOf[T any](h *house, f func(context.Context, string) ([]T, error), id string) []T {
	h.Helper()
	list, err := f(h.Context(), id)
	return must(h, list, err)
}

func mustEvents(h *house, id string) []idp.Event {
	h.Helper()
	events, err := h.db.EventsOf(h.Context(), id, 100)
	return must(h, events, err)
}

func TestPocketIDMovesInWithAllThatPeopleHave(t *testing.T) {
	for name, open := range map[string]func(*testing.T) *pocket{"sqlite": newPocket, "postgres": newPocketOnPostgres} {
		t.Run("from "+name, func(t *testing.T) {
			storetest.Each(t, func(t *testing.T, db *store.DB) { movePocketIn(newHouse(t, db), open(t)) })
		})
	}
}

func movePocketIn(h *house, p *pocket) {
	h.Helper()
	ada, bob := p.user("ada", "Ada@Example.com"), p.user("bob", "bob@example.com")
	p.do(`UPDATE users SET disabled = true, display_name = '', email_verified = false WHERE id = $1`, bob)
	credential, public := newKey(h.T)
	p.passkey(ada, credential, public)
	admins, staff := p.group("admins", ada), p.group("staff", ada, bob)
	p.client("grafana", `["https://grafana.example.com/login"]`, sha("a-secret-of-grafana"))
	p.do(`UPDATE oidc_clients SET is_group_restricted = true, pkce_enabled = false, skip_consent = true WHERE id = 'grafana'`)
	p.do(`INSERT INTO oidc_clients_allowed_user_groups (user_group_id, oidc_client_id) VALUES ($1, 'grafana')`, admins)
	p.client("app", `["com.example.app:/callback"]`, `{}`)
	p.do(`UPDATE oidc_clients SET is_public = true WHERE id = 'app'`)
	p.do(`INSERT INTO user_authorized_oidc_clients (scope, user_id, client_id, last_used_at) VALUES ($1, $2, 'grafana', $3)`,
		[]byte(`["openid","email","files"]`), ada, moment)
	for claim, value := range map[string]string{"level": "7", "nick": "countess", "langs": `["en","fr"]`} {
		p.do(`INSERT INTO custom_claims (id, created_at, key, value, user_id) VALUES ($1, $2, $3, $4, $5)`, p.id(), moment,
			claim, value, ada)
	}
	p.do(`INSERT INTO custom_claims (id, created_at, key, value, user_group_id) VALUES ($1, $2, 'nick', 'one of us', $3)`,
		p.id(), moment, staff)

	all := map[string][3]int{
		kindGroups: {2}, kindClaims: {3}, kindClients: {2}, kindUsers: {2}, kindPasskeys: {1}, kindMembers: {3},
		kindConsents: {1}, kindValues: {4},
	}
	h.cfg.DryRun = true
	dry := h.move(p.open(), all)
	var text bytes.Buffer
	if err := dry.Print(&text); err != nil || !strings.Contains(text.String(), "Nothing was changed.") {
		h.Errorf("the report is %v\n%s", err, &text)
	}
	if users := must2(h, h.db.Users, "", 10); len(users) > 0 {
		h.Fatalf("a dry run added %d users", len(users))
	}
	h.cfg.DryRun = false
	h.move(p.open(), all)

	u := must1(h, ada)
	if u.Email != "ada@example.com" || !u.EmailVerified || u.Name != "Ada Lovelace" || u.Disabled() || u.Role != "" ||
		string(u.Handle) != ada || !u.CreatedAt.Equal(moment) || u.Profile.PreferredUsername != "ada" ||
		u.Profile.Locale != "en-GB" {
		h.Errorf("ada is %+v", u)
	}
	if b := must1(h, bob); !b.Disabled() || b.EmailVerified || b.Name != "Ada Lovelace" {
		h.Errorf("bob is %+v", b)
	}
	m := must2m(h, ada)
	names, values := []string{}, map[string]string{}
	for _, g := range m.Groups {
		names = append(names, g.Name)
	}
	for _, v := range m.Claims() {
		values[v.Claim] = v.JSON + " " + v.Scope
	}
	if diff := cmp.Diff([]string{"admins", "staff"}, names); diff != "" {
		h.Errorf("groups: %s", diff)
	}
	if diff := cmp.Diff(map[string]string{
		"level": `7 profile`, "nick": `"countess" profile`, "langs": `["en","fr"] profile`,
	}, values); diff != "" {
		h.Errorf("claims: %s", diff)
	}
	keys := mustOf(h, h.db.PasskeysOf, ada)
	if len(keys) != 1 || !bytes.Equal(keys[0].CredentialID, credential) || !bytes.Equal(keys[0].PublicKey, public) ||
		!keys[0].Synced() || !keys[0].UVInitialized || keys[0].Name != "iCloud Keychain" ||
		strings.Join(keys[0].Transports, " ") != "hybrid internal" || !keys[0].CreatedAt.Equal(moment) {
		h.Errorf("passkeys are %+v", keys)
	}
	grants := mustOf(h, h.db.GrantsOf, ada)
	if len(grants) != 1 || grants[0].ClientID != "grafana" || strings.Join(grants[0].Scopes, " ") != "email openid" {
		h.Errorf("grants are %+v", grants)
	}
	c, err := h.db.StoredClient(h.Context(), "grafana")
	if _, ok := c.MatchSecret("a-secret-of-grafana", time.Now()); err != nil || !ok || !c.FirstParty ||
		c.Policy != idp.PolicyCompatible || strings.Join(c.AllowedGroups, " ") != "admins" || c.IDTokenAlg != idp.RS256 {
		h.Errorf("grafana is %+v, %v", c, err)
	}
	if c, err := h.db.StoredClient(h.Context(), "app"); err != nil || !c.Public() || !c.Native || c.Policy != idp.PolicyStandard {
		h.Errorf("app is %+v, %v", c, err)
	}
	for _, e := range mustEvents(h, ada) {
		if e.Detail["imported"] != "pocket-id" {
			h.Errorf("event %s says %v", e.Kind, e.Detail)
		}
	}
	was := h.dump()
	here := map[string][3]int{}
	for kind, n := range all {
		here[kind] = [3]int{0, n[0], 0}
	}
	here[kindValues] = [3]int{0, 3, 0} // those of groups are not looked at again
	h.move(p.open(), here)
	if diff := cmp.Diff(was, h.dump()); diff != "" {
		h.Errorf("a second time changed something: %s", diff)
	}
}

func must1(h *house, id string) idp.User {
	h.Helper()
	u, err := h.db.UserByID(h.Context(), id)
	return must(h, u, err)
}

func TestWhatWasChangedHereStaysSo(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		h, p := newHouse(t, db), newPocket(t)
		ada, bob := p.user("ada", "ada@example.com"), p.user("bob", "bob@example.com")
		one, public := newKey(t)
		p.passkey(ada, one, public)
		two, public2 := newKey(t)
		p.passkey(ada, two, public2)
		staff := p.group("staff", ada)
		p.client("wiki", `["https://wiki.example.com/cb"]`, sha("1"))
		p.client("blog", `["https://blog.example.com/cb"]`, sha("2"))
		p.do(`INSERT INTO user_authorized_oidc_clients VALUES ('["openid"]', $1, 'wiki', 0)`, ada)
		h.move(p.open(), map[string][3]int{
			kindGroups: {1}, kindClients: {2}, kindUsers: {2}, kindPasskeys: {2}, kindMembers: {1}, kindConsents: {1},
		})
		ctx, ops := t.Context(), h.cfg.Ops
		name, email := "The Countess", "countess@example.com"
		must(h, 0, second(ops.Users.Change(ctx, operator, ada, admin.UserChange{Name: &name, Email: &email, Groups: &[]string{}})))
		must(h, 0, db.RemovePasskey(ctx, ada, mustOf(h, db.PasskeysOf, ada)[0].ID, false))
		must(h, 0, db.RemoveGrant(ctx, ada, "wiki"))
		must(h, 0, ops.Clients.Remove(ctx, operator, "blog"))
		must(h, 0, roster.New(db).RemoveGroup(ctx, staff))
		if _, err := ops.Users.Remove(ctx, operator, bob); err != nil && !strings.Contains(err.Error(), "ephemeral") {
			t.Logf("sessions: %v", err)
		}
		was := h.dump()

		carol := p.user("carol", "carol@example.com") // new there
		three, public3 := newKey(t)
		p.passkey(ada, three, public3)
		h.move(p.open(), map[string][3]int{
			kindGroups: {0, 1, 0}, kindClients: {0, 2, 0}, kindUsers: {1, 2, 0}, kindPasskeys: {1, 2, 0},
			kindMembers: {0, 1, 0}, kindConsents: {0, 1, 0},
		})
		if keys := mustOf(h, db.PasskeysOf, ada); len(keys) != 2 || !bytes.Equal(keys[1].CredentialID, three) &&
			!bytes.Equal(keys[0].CredentialID, three) {
			t.Errorf("ada has %d passkeys", len(keys))
		}
		if u := must1(h, ada); u.Name != name || u.Email != email || len(must2m(h, ada).Groups) > 0 {
			t.Errorf("ada is %+v", u)
		}
		if _, err := db.UserByID(ctx, bob); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("bob is back: %v", err)
		}
		if _, err := db.StoredClient(ctx, "blog"); !errors.Is(err, idp.ErrNotFound) {
			t.Errorf("blog is back: %v", err)
		}
		if must1(h, carol); was == h.dump() {
			t.Error("nothing new came")
		}
	})
}

func second[T any](_ T, err error) error { return err }

func (h *house) cfgNow() time.Time { return time.Now().Truncate(time.Millisecond) }

// claim records that the passkeys here are made for the issuer's host, as a server does when it starts.
func (h *house) claim() {
	h.Helper()
	if _, err := rpid.Claim(h.Context(), h.db, h.cfg.Settings.PasskeyHost(), true); err != nil {
		h.Fatal(err)
	}
}
