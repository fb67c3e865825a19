package movein

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/engine"
)

// keycloak reads an export of a realm by kc.sh export: one file, or that of the realm and those of its users. The facts
// are from Keycloak 26.7. The user handle is the text of the user's ID (WebAuthnRegister). Files are read as streams,
// users only one at a time.
type keycloak struct {
	files []string
	realm realm
	db    *engine.Foreign // nil: the credentials of the export are all there are
	extra map[string][]realmCredential
	paths map[string]string // the key of each group, by path
}

var errNoRealm = errors.New(
	"this is not the export of a Keycloak realm: make one with kc.sh export --realm NAME --file FILE")

// openKeycloak reads the realm without its users. database may be the postgres:// URL of Keycloak's database, for
// passkeys that an export lacks.
func openKeycloak(ctx context.Context, files []string, database string) (*keycloak, error) {
	k := &keycloak{files: files, paths: map[string]string{}}
	for _, file := range files {
		if err := readRealm(file, &k.realm, nil); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	if k.realm.Realm == "" {
		return nil, errNoRealm
	}
	if database == "" {
		return k, nil
	}
	var err error
	if k.db, err = engine.OpenForeign(ctx, database); err != nil {
		return nil, err
	}
	if err = k.readCredentials(ctx); err != nil {
		return nil, errors.Join(err, k.db.Close())
	}
	return k, nil
}

func (k *keycloak) close() error {
	if k.db == nil {
		return nil
	}
	return k.db.Close()
}

// readCredentials reads the passkeys of the realm from the table credential, a few hundred bytes for each.
func (k *keycloak) readCredentials(ctx context.Context) error {
	k.extra = map[string][]realmCredential{}
	var user string
	var c realmCredential
	return k.db.Each(ctx, []any{&user, &c.Type, &c.Label, &c.Created, &c.Data}, func() error {
		k.extra[user] = append(k.extra[user], c)
		return nil
	}, `SELECT c.user_id, c.type, COALESCE(c.user_label, ''), COALESCE(c.created_date, 0),
		substr(COALESCE(c.credential_data, ''), 1, 16384) FROM credential c JOIN user_entity u ON u.id = c.user_id
		JOIN realm r ON r.id = u.realm_id WHERE r.name = $1 AND c.type IN ($2, $3)
		ORDER BY c.user_id, c.created_date, c.id`, k.realm.Realm, passwordless, secondFactor)
}

// maxUser bounds the JSON of one user, in bytes.
const maxUser = 1 << 20

// readRealm reads the members of an export into r, and passes each user to f; nil: users are passed over.
func readRealm(file string, r *realm, f func(realmUser) error) error {
	in, err := os.Open(file)
	if err != nil {
		return readable(err)
	}
	defer in.Close()
	dec := json.NewDecoder(in)
	if start, err := dec.Token(); err != nil || start != json.Delim('{') {
		return errNoRealm
	}
	members := map[string]any{
		"realm": &r.Realm, "groups": &r.Groups, "clients": &r.Clients, "webAuthnPolicyRpId": &r.RPID,
		"webAuthnPolicyUserVerificationRequirement":             &r.Verification,
		"webAuthnPolicyPasswordlessRpId":                        &r.PasswordlessRPID,
		"webAuthnPolicyPasswordlessUserVerificationRequirement": &r.PasswordlessVerification,
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return broken(err)
		}
		switch to, known := members[fmt.Sprint(name)]; {
		case name == "users":
			err = readUsers(dec, f)
		case known && f == nil:
			err = dec.Decode(to)
		default:
			err = skip(dec)
		}
		if err != nil {
			return broken(err)
		}
	}
	_, err = dec.Token()
	return broken(err)
}

// broken returns what is wrong with a file that does not hold what an export holds.
func broken(err error) error {
	_, wrong := errors.AsType[*json.SyntaxError](err)
	_, other := errors.AsType[*json.UnmarshalTypeError](err)
	if wrong || other || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("the file is damaged, or no export of a realm: %w", err)
	}
	return err
}

func readUsers(dec *json.Decoder, f func(realmUser) error) error {
	if start, err := dec.Token(); err != nil || start != json.Delim('[') {
		return errNoRealm
	}
	for dec.More() {
		if f == nil {
			if err := skip(dec); err != nil {
				return err
			}
			continue
		}
		before := dec.InputOffset()
		var u realmUser
		if err := dec.Decode(&u); err != nil {
			return err
		}
		if dec.InputOffset()-before > maxUser {
			return fmt.Errorf("user %q takes more than a megabyte", u.Username)
		}
		if err := f(u); err != nil {
			return err
		}
	}
	_, err := dec.Token()
	return err
}

// skip passes over one value without keeping it.
func skip(dec *json.Decoder) error {
	depth := 0
	for {
		token, err := dec.Token()
		if err != nil {
			return err
		}
		switch token {
		case json.Delim('{'), json.Delim('['):
			depth++
		case json.Delim('}'), json.Delim(']'):
			depth--
		}
		if depth == 0 {
			return nil
		}
	}
}

func (k *keycloak) name() string { return "keycloak" }

// groups returns the groups in the order of the tree. Names are unique within a parent there and altogether here, so
// a group whose name was there before is called by its path.
func (k *keycloak) groups(context.Context) (groups []group, err error) {
	taken := map[string]bool{}
	var add func(list []realmGroup, parent string)
	add = func(list []realmGroup, parent string) {
		for _, g := range list {
			name := g.Name
			if taken[directory.GroupKey(name)] {
				name = strings.TrimPrefix(g.Path, "/")
			}
			taken[directory.GroupKey(name)] = true
			k.paths[g.Path] = g.ID
			groups = append(groups, group{key: g.ID, parent: parent, Group: directory.Group{Name: name}})
			add(g.SubGroups, g.ID)
		}
	}
	clear(k.paths)
	add(k.realm.Groups, "")
	return groups, nil
}

// claims returns none: which attributes are claims is up to the mappers of each client there.
func (k *keycloak) claims(context.Context) ([]directory.Claim, error) { return nil, nil }

func (k *keycloak) users(f func(realmUser) error) error {
	for _, file := range k.files {
		var unused realm
		if err := readRealm(file, &unused, f); err != nil {
			return fmt.Errorf("%s: %w", file, err)
		}
	}
	return nil
}

func (k *keycloak) emails(_ context.Context, f func(string)) error {
	return k.users(func(u realmUser) error {
		f(u.Email)
		return nil
	})
}

func (k *keycloak) people(_ context.Context, f func(person) error) error {
	return k.users(func(u realmUser) error {
		if u.ServiceAccount != "" { // the client itself
			return nil
		}
		return f(k.person(u))
	})
}

func (k *keycloak) person(u realmUser) person {
	p := person{
		id: u.ID, username: u.Username, disabled: u.Enabled != nil && !*u.Enabled, created: millis(u.Created),
		in: admin.NewUser{
			Email: u.Email, Name: firstOf(u.FirstName+" "+u.LastName, u.Username), EmailVerified: u.EmailVerified,
			Profile: idp.Profile{
				GivenName: oneName(u.FirstName), FamilyName: oneName(u.LastName), PreferredUsername: oneName(u.Username),
			},
		},
	}
	if locale := u.Attributes["locale"]; len(locale) > 0 {
		p.in.Profile.Locale = locale35(locale[0])
	}
	for _, path := range u.Groups {
		p.groups = append(p.groups, firstOf(k.paths[path], path))
	}
	seen := map[string]bool{}
	for _, c := range append(u.Credentials, k.extra[u.ID]...) {
		if found, ok := c.key(&k.realm); ok && !seen[string(found.CredentialID)] && len(p.keys) < maxOwned {
			seen[string(found.CredentialID)] = true
			p.keys = append(p.keys, found)
		}
	}
	for _, c := range u.Consents {
		p.consents = append(p.consents, consent{c.ClientID, append(c.Scopes, "openid"), millis(c.Created)})
	}
	return p
}

// own are the clients that every realm has for Keycloak itself.
var own = []string{"account", "account-console", "admin-cli", "broker", "realm-management", "security-admin-console"}

func (k *keycloak) clients(context.Context) (clients []app, err error) {
	for _, c := range k.realm.Clients {
		if !slices.Contains(own, c.ClientID) {
			clients = append(clients, c.app())
		}
	}
	return clients, nil
}

// minSecret is the length of the shortest secret that is taken over, in characters: Keycloak makes 32 or more. A short
// one could be guessed from its hash.
const minSecret = 20

func (c realmClient) app() app {
	a := app{Client: newClient(c.ClientID, firstOf(c.Name, c.ClientID))}
	if strings.Contains(a.Name, "${") { // a key of Keycloak's translations
		a.Name = c.ClientID
	}
	a.FirstParty = !c.Consent
	a.Scopes = c.scopes()
	a.RedirectURIs = c.uris(c.RedirectURIs)
	if logout := c.Attributes["post.logout.redirect.uris"]; logout == "+" {
		a.PostLogoutRedirectURIs = a.RedirectURIs
	} else if logout != "" && logout != "-" {
		a.PostLogoutRedirectURIs = c.uris(strings.Split(logout, "##"))
	}
	a.BackchannelLogoutURI = c.Attributes["backchannel.logout.url"]
	if alg := c.Attributes["id.token.signed.response.alg"]; slices.Contains(idp.IDTokenAlgorithms, alg) {
		a.IDTokenAlg = alg
	}
	a.RequirePAR = c.Attributes["require.pushed.authorization.requests"] == "true"
	switch {
	case c.Protocol != "" && c.Protocol != "openid-connect":
		a.left = "its protocol is " + c.Protocol + ", which is not spoken here"
	case c.BearerOnly:
		a.left = "it is only an API: register it as a resource server"
	case c.Enabled != nil && !*c.Enabled:
		a.left = "it is disabled there"
	case c.StandardFlow != nil && !*c.StandardFlow:
		a.left = "it signs nobody in: register it here with the grants that it needs"
	case slices.ContainsFunc(c.Mappers, func(m struct {
		Mapper string `json:"protocolMapper"`
	},
	) bool {
		return strings.Contains(m.Mapper, "pairwise-sub")
	}):
		a.left = "it has pairwise subs, which would differ here"
	}
	if c.ServiceUser {
		a.notes = append(a.notes, "has a service account there: give it client_credentials and scopes here, if it needs them")
	}
	if c.Public {
		a.makePublic()
		return a
	}
	if c.Attributes["pkce.code.challenge.method"] != "S256" {
		a.Policy = idp.PolicyCompatible
	}
	c.authentication(&a)
	return a
}

// authentication takes over the secret, or the address of the keys.
func (c realmClient) authentication(a *app) {
	switch {
	case c.Authenticator == "client-jwt" && c.Attributes["jwks.url"] != "":
		a.AuthMethod, a.AnySecretMethod, a.JWKSURI = idp.AuthMethodPrivateKey, false, c.Attributes["jwks.url"]
	case c.Authenticator != "" && c.Authenticator != "client-secret":
		a.left = firstOf(a.left, "it authenticates with "+c.Authenticator+": register it here with its keys")
	case c.Secret == "" || strings.Trim(c.Secret, "*") == "" || strings.HasPrefix(c.Secret, "${"):
		a.needSecret("the export does not have it (kc.sh export does, the console's does not)")
	case len([]rune(c.Secret)) < minSecret:
		a.needSecret(fmt.Sprintf("it has less than %d characters", minSecret))
	default:
		a.Secrets = []idp.ClientSecret{{
			ID: idp.NewID(), Name: "from Keycloak", Hash: idp.Secret(c.Secret).Hash(), CreatedAt: time.Now(),
		}}
	}
}

// scopes returns the standard scopes that the client may ask for.
func (c realmClient) scopes() []string {
	scopes := map[string]bool{"openid": true}
	for _, s := range slices.Concat(c.Default, c.Optional) {
		if slices.Contains(idp.StandardScopes, s) {
			scopes[s] = true
		}
	}
	for _, m := range c.Mappers {
		if m.Mapper == "oidc-group-membership-mapper" {
			scopes["groups"] = true
		}
	}
	return slices.Sorted(maps.Keys(scopes))
}

// uris completes URIs that are relative to the root URL.
func (c realmClient) uris(list []string) (complete []string) {
	for _, uri := range list {
		if strings.HasPrefix(uri, "/") && c.RootURL != "" {
			uri = strings.TrimSuffix(c.RootURL, "/") + uri
		}
		if uri != "" {
			complete = append(complete, uri)
		}
	}
	return complete
}

func millis(ms int64) time.Time { return time.UnixMilli(ms) }

func parseAAGUID(s string) []byte {
	id, err := uuid.Parse(s)
	if err != nil {
		return nil
	}
	return id[:]
}
