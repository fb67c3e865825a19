package movein

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"time"

	"golang.org/x/text/language"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/store/engine"
)

// pocketID reads the database of Pocket ID: SQLite or Postgres, any version up to 2.14.0. The facts about its schema
// are from backend/resources/migrations and backend/internal/model of that version; columns that an older version
// lacks have their default. The user handle is the text of the user's ID (User.WebAuthnID), sign counts are not kept,
// and the relying party ID is the host of APP_URL, which is not in the database.
type pocketID struct {
	db      *engine.Foreign
	columns map[string][]string
	// verified means that registrations required user verification: its default.
	verified bool
}

// errOther means that a database is not that of the other provider.
var errOther = errors.New("this is not a database of Pocket ID")

// openPocketID opens the database at a postgres:// URL, or a SQLite file.
func openPocketID(ctx context.Context, place string) (_ *pocketID, err error) {
	db, err := engine.OpenForeign(ctx, place)
	if err != nil {
		return nil, err
	}
	p := &pocketID{db: db, verified: true}
	defer func() {
		if err != nil {
			err = errors.Join(err, db.Close())
		}
	}()
	if p.columns, err = db.Columns(ctx); err != nil {
		return nil, err
	}
	for table, columns := range map[string][]string{
		"users": {"id", "username", "email"}, "webauthn_credentials": {"credential_id", "public_key", "user_id"},
		"oidc_clients": {"id", "callback_urls"}, "user_groups": {"id", "name"}, "user_groups_users": {"user_group_id"},
		"custom_claims": {"key", "value"}, "user_authorized_oidc_clients": {"scope"},
	} {
		for _, column := range columns {
			if !p.has(table, column) {
				return nil, errOther
			}
		}
	}
	return p, p.settings(ctx)
}

// settings looks whether registrations required user verification, where the version kept that in a table.
func (p *pocketID) settings(ctx context.Context) error {
	var value string
	read := func() error {
		var old struct{ WebauthnUserVerification string }
		if value == "preferred" || json.Unmarshal([]byte(value), &old) == nil && old.WebauthnUserVerification == "preferred" {
			p.verified = false
		}
		return nil
	}
	if p.has("app_config_variables", "value") {
		if err := p.db.Each(ctx, []any{&value}, read, `SELECT value FROM app_config_variables
			WHERE key = 'webauthnUserVerification'`); err != nil {
			return err
		}
	}
	if p.has("kv", "value") {
		return p.db.Each(ctx, []any{&value}, read, `SELECT COALESCE(value, '') FROM kv WHERE "key" = 'config_migrated'`)
	}
	return nil
}

func (p *pocketID) name() string { return "pocket-id" }

func (p *pocketID) has(table, column string) bool { return slices.Contains(p.columns[table], column) }

// text, flag, at, blob and document are expressions for a column t.column, whose value is bounded, and never NULL.
// Without the column they are a constant.
func (p *pocketID) text(table, column string) string {
	return p.sized(table, column, 2000)
}

func (p *pocketID) document(table, column string) string { return p.sized(table, column, 1<<20) }

func (p *pocketID) sized(table, column string, length int) string {
	if !p.has(table, column) {
		return "''"
	}
	return fmt.Sprintf("substr(CAST(COALESCE(%s.%s, %s) AS TEXT), 1, %d)", alias(table), column, p.empty(table, column),
		length)
}

// empty is a value for COALESCE that has the type of the column.
func (p *pocketID) empty(table, column string) string {
	if p.db.Postgres() && slices.Contains([]string{
		"callback_urls", "logout_callback_urls", "credentials", "transport",
	}, column) {
		return "'null'"
	}
	if p.db.Postgres() && table == "user_authorized_oidc_clients" && column == "scope" {
		return "'[]'"
	}
	return "''"
}

func (p *pocketID) id(table, column string) string {
	return "CAST(" + alias(table) + "." + column + " AS TEXT)"
}

func (p *pocketID) flag(table, column string) string {
	if !p.has(table, column) {
		return "0"
	}
	return "CASE WHEN " + alias(table) + "." + column + " THEN 1 ELSE 0 END"
}

func (p *pocketID) at(table, column string) string {
	switch {
	case !p.has(table, column):
		return "0"
	case p.db.Postgres():
		return "CAST(COALESCE(EXTRACT(EPOCH FROM " + alias(table) + "." + column + "), 0) AS BIGINT)"
	}
	return "CAST(COALESCE(" + alias(table) + "." + column + ", 0) AS INTEGER)"
}

func (p *pocketID) blob(table, column string) string {
	if p.db.Postgres() {
		return "substr(" + alias(table) + "." + column + ", 1, 4096)"
	}
	return "substr(CAST(" + alias(table) + "." + column + " AS BLOB), 1, 4096)"
}

// alias is the short name of a table in a query.
func alias(table string) string {
	return map[string]string{
		"users": "u", "webauthn_credentials": "k", "oidc_clients": "c", "user_groups": "g", "user_groups_users": "m",
		"custom_claims": "v", "user_authorized_oidc_clients": "a", "oidc_clients_allowed_user_groups": "w",
	}[table]
}

func (p *pocketID) groups(ctx context.Context) (groups []group, err error) {
	values := map[string][]value{}
	var id, claim, text string
	if err := p.db.Each(ctx, []any{&id, &claim, &text}, func() error {
		values[id] = append(values[id], value{claim, text})
		return nil
	}, `SELECT `+p.id("custom_claims", "user_group_id")+`, `+p.text("custom_claims", "key")+`, `+
		p.text("custom_claims", "value")+` FROM custom_claims v WHERE v.user_group_id IS NOT NULL`); err != nil {
		return nil, err
	}
	var name, friendly string
	err = p.db.Each(ctx, []any{&id, &name, &friendly}, func() error {
		if friendly == name {
			friendly = ""
		}
		description, _ := directory.NormalizeName(friendly)
		groups = append(groups, group{
			key: id, Group: directory.Group{Name: name, Description: description}, values: values[id],
		})
		return nil
	}, `SELECT `+p.id("user_groups", "id")+`, `+p.text("user_groups", "name")+`, `+
		p.text("user_groups", "friendly_name")+` FROM user_groups g ORDER BY g.name, g.id`)
	return groups, err
}

// maxClaimNames bounds how many claims are looked at: more than can be defined.
const maxClaimNames = 1000

// claims returns the claims of people and groups, which Pocket ID releases with the scope profile. A value there is
// text, or any JSON; the type here is the one that all values have, else string.
func (p *pocketID) claims(ctx context.Context) (claims []directory.Claim, err error) {
	types := map[string]directory.ClaimType{}
	var name, text string
	err = p.db.Each(ctx, []any{&name, &text}, func() error {
		t, seen := types[name]
		if is := typeOf(text); !seen && len(types) < maxClaimNames {
			types[name] = is
		} else if seen && t != is {
			types[name] = directory.ClaimString
		}
		return nil
	}, `SELECT `+p.text("custom_claims", "key")+`, `+p.text("custom_claims", "value")+` FROM custom_claims v`)
	for name, t := range types {
		claims = append(claims, directory.Claim{Name: name, Type: t, Scope: "profile", Description: "from Pocket ID"})
	}
	slices.SortFunc(claims, func(a, b directory.Claim) int { return strings.Compare(a.Name, b.Name) })
	return claims, err
}

// typeOf returns the type of a value that is text or JSON.
func typeOf(text string) directory.ClaimType {
	var v any
	if json.Unmarshal([]byte(text), &v) != nil {
		return directory.ClaimString
	}
	switch v := v.(type) {
	case bool:
		return directory.ClaimBoolean
	case float64:
		return directory.ClaimNumber
	case []any:
		if !slices.ContainsFunc(v, func(item any) bool { _, isText := item.(string); return !isText }) {
			return directory.ClaimList
		}
	}
	return directory.ClaimString
}

func (p *pocketID) emails(ctx context.Context, f func(string)) error {
	var email string
	return p.db.Each(ctx, []any{&email}, func() error {
		f(email)
		return nil
	}, `SELECT `+p.text("users", "email")+` FROM users u`)
}

// people reads users and what belongs to them as five streams in the order of the users' IDs.
func (p *pocketID) people(ctx context.Context, f func(person) error) error {
	keys := follow(p.passkeys(ctx))
	groups := follow(p.pairs(ctx, "user_groups_users", p.id("user_groups_users", "user_group_id"), "''"))
	values := follow(p.pairs(ctx, "custom_claims", p.text("custom_claims", "key"), p.text("custom_claims", "value")))
	consents := follow(p.consents(ctx))
	defer keys.stop()
	defer groups.stop()
	defer values.stop()
	defer consents.stop()
	var id, username, email, first, last, display, locale string
	var verified, disabled, created int64
	return p.db.Each(ctx, []any{
		&id, &username, &email, &verified, &first, &last, &display, &locale, &disabled, &created,
	}, func() error {
		who := person{
			id: id, username: username, disabled: disabled == 1, created: time.Unix(created, 0),
			in: admin.NewUser{
				Email: email, Name: firstOf(display, first+" "+last, username), EmailVerified: verified == 1,
				Profile: idp.Profile{
					GivenName: oneName(first), FamilyName: oneName(last), PreferredUsername: oneName(username),
					Locale: locale35(locale),
				},
			},
		}
		found, err := keys.of(id)
		who.keys = found
		if err == nil {
			who.consents, err = consents.of(id)
		}
		if err == nil {
			err = each(groups, id, func(pair [2]string) { who.groups = append(who.groups, pair[0]) })
		}
		if err == nil {
			err = each(values, id, func(pair [2]string) { who.values = append(who.values, value{pair[0], pair[1]}) })
		}
		if err != nil {
			return err
		}
		return f(who)
	}, `SELECT `+strings.Join([]string{
		p.id("users", "id"), p.text("users", "username"), p.text("users", "email"), p.flag("users", "email_verified"),
		p.text("users", "first_name"), p.text("users", "last_name"), p.text("users", "display_name"),
		p.text("users", "locale"), p.flag("users", "disabled"), p.at("users", "created_at"),
	}, ", ")+` FROM users u ORDER BY u.id`)
}

// firstOf returns the first text that is not only spaces.
func firstOf(texts ...string) string {
	for _, s := range texts {
		if strings.TrimSpace(s) != "" {
			return s
		}
	}
	return ""
}

// oneName returns a name in the form that profiles have here; "" if it cannot be.
func oneName(s string) string {
	name, ok := directory.NormalizeName(s)
	if !ok {
		return ""
	}
	return name
}

// locale35 returns a language in its canonical spelling (BCP 47 §2.1.1); "" if it is none.
func locale35(s string) string {
	tag, err := language.Parse(s)
	if err != nil || len(s) > 35 || tag == language.Und {
		return ""
	}
	return tag.String()
}

// owned is something that belongs to a user.
type owned[T any] struct {
	userID string
	thing  T
}

func (p *pocketID) passkeys(ctx context.Context) iter.Seq2[owned[key], error] {
	var user, name, transport string
	var id, public []byte
	var eligible, state, created int64
	return stream(func(yield func(owned[key]) error) error {
		return p.db.Each(ctx, []any{&user, &id, &public, &name, &transport, &eligible, &state, &created}, func() error {
			k := key{Foreign: passkey.Foreign{
				CredentialID: slices.Clone(id), PublicKey: slices.Clone(public), Name: name, UserVerified: p.verified,
				BackupEligible: eligible == 1, BackedUp: state == 1, CreatedAt: time.Unix(created, 0),
			}}
			_ = json.Unmarshal([]byte(transport), &k.Transports) // a hint: without it, browsers ask more widely
			return yield(owned[key]{user, k})
		}, `SELECT `+strings.Join([]string{
			p.id("webauthn_credentials", "user_id"), p.blob("webauthn_credentials", "credential_id"),
			p.blob("webauthn_credentials", "public_key"), p.text("webauthn_credentials", "name"),
			p.document("webauthn_credentials", "transport"), p.flag("webauthn_credentials", "backup_eligible"),
			p.flag("webauthn_credentials", "backup_state"), p.at("webauthn_credentials", "created_at"),
		}, ", ")+` FROM webauthn_credentials k WHERE k.user_id IS NOT NULL ORDER BY k.user_id, k.created_at, k.id`)
	})
}

// pairs streams two texts of each row of a table that belongs to a user.
func (p *pocketID) pairs(ctx context.Context, table, first, second string) iter.Seq2[owned[[2]string], error] {
	var user, a, b string
	return stream(func(yield func(owned[[2]string]) error) error {
		short := alias(table)
		return p.db.Each(ctx, []any{&user, &a, &b}, func() error {
			return yield(owned[[2]string]{user, [2]string{a, b}})
		}, `SELECT `+p.id(table, "user_id")+`, `+first+`, `+second+` FROM `+table+` `+short+`
			WHERE `+short+`.user_id IS NOT NULL ORDER BY `+short+`.user_id`)
	})
}

func (p *pocketID) consents(ctx context.Context) iter.Seq2[owned[consent], error] {
	const table = "user_authorized_oidc_clients"
	var user, client, scope string
	var used int64
	return stream(func(yield func(owned[consent]) error) error {
		return p.db.Each(ctx, []any{&user, &client, &scope, &used}, func() error {
			c := consent{clientID: client, at: time.Unix(used, 0)}
			if json.Unmarshal([]byte(scope), &c.scopes) != nil { // until 2.9, a scope parameter
				c.scopes = strings.Fields(scope)
			}
			return yield(owned[consent]{user, c})
		}, `SELECT `+p.id(table, "user_id")+`, `+p.id(table, "client_id")+`, `+p.document(table, "scope")+`, `+
			p.at(table, "last_used_at")+` FROM `+table+` a WHERE a.user_id IS NOT NULL ORDER BY a.user_id`)
	})
}

func (p *pocketID) clients(ctx context.Context) (clients []app, err error) {
	allowed := map[string][]string{}
	var id, other string
	if p.has("oidc_clients_allowed_user_groups", "oidc_client_id") {
		if err := p.db.Each(ctx, []any{&id, &other}, func() error {
			allowed[id] = append(allowed[id], other)
			return nil
		}, `SELECT `+p.id("oidc_clients_allowed_user_groups", "oidc_client_id")+`, `+
			p.id("oidc_clients_allowed_user_groups", "user_group_id")+` FROM oidc_clients_allowed_user_groups w`); err != nil {
			return nil, err
		}
	}
	var r pocketClient
	err = p.db.Each(ctx, r.dest(), func() error {
		clients = append(clients, r.app(allowed[r.id], !p.has("oidc_clients", "is_group_restricted")))
		return nil
	}, `SELECT `+strings.Join([]string{
		p.id("oidc_clients", "id"), p.text("oidc_clients", "name"), p.document("oidc_clients", "callback_urls"),
		p.document("oidc_clients", "logout_callback_urls"), p.text("oidc_clients", "launch_url"),
		p.document("oidc_clients", "credentials"), p.text("oidc_clients", "secret"),
		p.text("oidc_clients", "client_type"), p.flag("oidc_clients", "is_public"),
		p.flag("oidc_clients", "pkce_enabled"), p.flag("oidc_clients", "pkce_supported"),
		p.flag("oidc_clients", "requires_reauthentication"),
		p.flag("oidc_clients", "requires_pushed_authorization_requests"), p.flag("oidc_clients", "skip_consent"),
		p.flag("oidc_clients", "is_group_restricted"),
	}, ", ")+` FROM oidc_clients c ORDER BY c.id`)
	return clients, err
}

// pocketClient is a row of oidc_clients.
type pocketClient struct {
	id, name, callbacks, logouts, launch, credentials, secret, kind string
	public, pkce, pkceSeen, reauth, par, trusted, restricted        int64
}

func (r *pocketClient) dest() []any {
	return []any{
		&r.id, &r.name, &r.callbacks, &r.logouts, &r.launch, &r.credentials, &r.secret, &r.kind, &r.public, &r.pkce,
		&r.pkceSeen, &r.reauth, &r.par, &r.trusted, &r.restricted,
	}
}

// app returns the client. byGroups means that a version has no flag for it: groups restrict.
func (r *pocketClient) app(groups []string, byGroups bool) app {
	c := app{groups: groups, restricted: r.restricted == 1 || byGroups && len(groups) > 0, Client: newClient(r.id, r.name)}
	if r.restricted == 0 && !byGroups {
		c.groups = nil
	}
	if json.Unmarshal([]byte(r.callbacks), &c.RedirectURIs) != nil {
		c.left = "its callback URLs cannot be read"
	}
	_ = json.Unmarshal([]byte(r.logouts), &c.PostLogoutRedirectURIs) // none
	if strings.HasPrefix(r.launch, "https://") {
		c.URI = r.launch
	}
	if r.kind == "cimd" {
		c.left = "it describes itself at its ID, so it comes back by itself where client-id-documents allows it"
	}
	c.RequirePAR, c.FirstParty = r.par == 1, r.trusted == 1
	if r.reauth == 1 {
		c.DefaultMaxAge = new(time.Duration)
	}
	if r.public == 1 {
		c.makePublic()
		return c
	}
	if r.pkce == 0 && r.pkceSeen == 0 {
		c.Policy = idp.PolicyCompatible
	}
	r.secrets(&c)
	return c
}

// secrets takes over the hashes of the secrets. One of SHA-256 only changes its spelling (Secret.Hash).
func (r *pocketClient) secrets(c *app) {
	var kept struct {
		FederatedIdentities []struct{ Issuer string }
		Secrets             []struct {
			ID, Alg, Hash, Prefix string
			CreatedAt             time.Time
			ExpiresAt             *time.Time
		}
	}
	if r.credentials != "" && json.Unmarshal([]byte(r.credentials), &kept) != nil {
		c.left = "its credentials cannot be read"
	}
	for _, identity := range kept.FederatedIdentities {
		c.notes = append(c.notes, fmt.Sprintf("signs in with tokens of %q there, which it cannot here", identity.Issuer))
	}
	for _, s := range kept.Secrets {
		secret := idp.ClientSecret{ID: idp.NewID(), Name: oneName(s.Prefix), CreatedAt: s.CreatedAt}
		if secret.Name != "" {
			secret.Name += "… from Pocket ID"
		}
		if s.ExpiresAt != nil {
			secret.ExpiresAt = *s.ExpiresAt
			if !time.Now().Before(secret.ExpiresAt) {
				continue
			}
		}
		sum, err := hex.DecodeString(s.Hash)
		switch {
		case s.Alg == "sha256" && err == nil && len(sum) == 32:
			secret.Hash = base64.RawURLEncoding.EncodeToString(sum)
			c.Secrets = append(c.Secrets, secret)
		case s.Alg == "bcrypt":
			c.needSecret("its hash is one of bcrypt")
		default:
			c.notes = append(c.notes, "one of its secrets has a hash that is unknown here")
		}
	}
	if r.secret != "" {
		c.needSecret("its hash is one of bcrypt")
	}
}
