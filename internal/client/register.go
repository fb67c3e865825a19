package client

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"mime"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/web"
)

// Registration configures whether and how clients register themselves (RFC 7591) and manage their registration (RFC
// 7592). The zero value disables it.
type Registration struct {
	Mode   RegistrationMode
	Scopes []string // the scopes such a client may have
	// Policy applies to confidential clients that register themselves; empty: standard. All others get standard.
	Policy idp.ClientPolicy
	// Most is the number of registrations an hour from one network without a token; 25 times as many are allowed in total.
	// Zero: 20.
	Most       int64
	Statements Statements
}

// RegistrationMode controls access to registration.
type RegistrationMode string

const (
	RegisterByToken RegistrationMode = "token" // with an initial access token from the operator
	RegisterOpen    RegistrationMode = "open"  // for anybody
)

// Limits of a registration.
const (
	maxRegistration = 32 << 10 // bytes
	// maxUnvetted limits the stored size of a client registered without a token, in bytes without the software statement.
	maxUnvetted = 4 << 10
)

// RegistrarConfig configures a Registrar.
type RegistrarConfig struct {
	Door         oauth.Door
	Clients      *Authenticator
	DB           *store.DB
	Ephemeral    ephemeral.Store
	Outbound     *outbound.Client
	Policy       idp.Policy
	Algorithms   func() []string // available for signing tokens
	Registration Registration
	Documents    bool // a client_id may be the URL of a metadata document
}

// A Registrar registers clients that describe themselves.
type Registrar struct {
	cfg       RegistrarConfig
	documents *documents
}

// NewRegistrar returns a Registrar.
func NewRegistrar(cfg RegistrarConfig) *Registrar {
	return &Registrar{cfg: cfg, documents: newDocuments(cfg.Outbound, cfg.Ephemeral)}
}

// Mount adds the endpoints, unless registration is disabled.
func (s *Registrar) Mount(protocol *http.ServeMux) {
	if s.cfg.Registration.Mode == "" {
		return
	}
	protocol.HandleFunc("POST "+oauth.PathRegister, s.handle(s.register))
	protocol.HandleFunc("GET "+oauth.PathRegister+"/{client}", s.handle(s.showRegistration))
	protocol.HandleFunc("PUT "+oauth.PathRegister+"/{client}", s.handle(s.changeRegistration))
	protocol.HandleFunc("DELETE "+oauth.PathRegister+"/{client}", s.handle(s.removeRegistration))
}

// clientInformation is the response of RFC 7591 §3.2.1 and RFC 7592 §3.
type clientInformation struct {
	ID       string `json:"client_id"`
	IssuedAt int64  `json:"client_id_issued_at"`
	// Secret is sent only when it is created: we store its hash. It does not expire, so SecretExpires is 0.
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	URI           string `json:"registration_client_uri"`
	Token         string `json:"registration_access_token"`
	clientMetadata
}

// handle writes the error that a handler returns.
func (s *Registrar) handle(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		oauth.NoStore(w)
		bad := oauth.RefuseInAddress(r.URL)
		if bad == nil {
			err := do(w, r)
			if err == nil {
				return
			}
			bad = oauth.ErrorOf(r.Context(), r.URL.Path, err)
		}
		s.cfg.Door.Fail(w, r, oauth.Guard{Bearer: bad.Status == http.StatusUnauthorized}, oauth.SenderOf(r), bad)
	}
}

// register is the client registration endpoint.
func (s *Registrar) register(w http.ResponseWriter, r *http.Request) error {
	ctx, now := r.Context(), time.Now()
	initial, sent := bearerToken(r)
	live := false
	if sent {
		var err error
		if live, err = registrations.HasToken(ctx, s.cfg.DB, initial.Hash(), now); err != nil {
			return fmt.Errorf("look for initial access token: %w", err)
		}
	}
	if !live { // a live token has its own number of uses
		if err := s.mayRegister(w, r); err != nil {
			return err
		}
		if sent || s.cfg.Registration.Mode == RegisterByToken {
			return notRegistrar(sent)
		}
	}
	m, err := s.readRegistration(r)
	if err != nil {
		return err
	}
	c := idp.Client{
		ID: idp.NewID(), Policy: cmp.Or(s.cfg.Registration.Policy, idp.PolicyStandard), Dynamic: true, CreatedAt: now,
		UsedAt: now,
	}
	secret, token, err := s.updateClient(ctx, &c, m, sent)
	if err != nil {
		return err
	}
	tokenHash := ""
	if sent {
		tokenHash = initial.Hash()
	}
	ev := web.Event(r, idp.EventClientAdded, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration", "name": c.Name}
	err = registrations.Register(ctx, s.cfg.DB, c, tokenHash, now, ev)
	if errors.Is(err, idp.ErrNotFound) { // another request took the last use of the token
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return s.sendRegistration(w, http.StatusCreated, c, secret, token)
}

// showRegistration is the read of RFC 7592 §2.1.
func (s *Registrar) showRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.loadManaged(r)
	if err != nil {
		return err
	}
	return s.sendRegistration(w, http.StatusOK, c, "", token)
}

// changeRegistration is the update of RFC 7592 §2.2: omitted members return to their defaults. The response has a new
// registration token, and the old one no longer works.
func (s *Registrar) changeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.loadManaged(r)
	if err != nil {
		return err
	}
	members, err := readBody(r)
	if err != nil {
		return err
	}
	if members["client_id"] != c.ID {
		return badMetadata("client_id must match the URL")
	}
	if sent := members["client_secret"]; sent != nil {
		text, _ := sent.(string)
		if _, ok := c.MatchSecret(idp.Secret(text), time.Now()); !ok {
			return badMetadata("client_secret does not match; clients cannot choose their secret")
		}
	}
	m, err := s.metadataFrom(members)
	if err != nil {
		return err
	}
	// else the client could change what the statement vouches for
	if c.SoftwareStatement != "" && m.SoftwareStatement == "" {
		return oauth.Refuse(
			"invalid_software_statement", "a client registered with a software statement needs one for changes",
		)
	}
	was := c
	secret, next, err := s.updateClient(r.Context(), &c, m, false)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventClientChanged, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration"}
	err = registrations.Change(r.Context(), s.cfg.DB, was, c, token.Hash(), ev)
	if errors.Is(err, idp.ErrNotFound) { // another request was faster and has the next token
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("change client: %w", err)
	}
	return s.sendRegistration(w, http.StatusOK, c, secret, next)
}

// removeRegistration is the delete of RFC 7592 §2.3. It also ends all that the client was granted.
func (s *Registrar) removeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, _, err := s.loadManaged(r)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventClientRemoved, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration"}
	if err := s.cfg.DB.RemoveClient(r.Context(), c.ID, ev); err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("remove client: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// loadManaged returns the client whose registration token is in the request. An unknown client and a wrong token get
// the same answer (RFC 7592 §2.1).
func (s *Registrar) loadManaged(r *http.Request) (idp.Client, idp.Secret, error) {
	token, sent := bearerToken(r)
	if !sent {
		return idp.Client{}, "", notRegistrar(false)
	}
	c, err := s.cfg.DB.StoredClient(r.Context(), r.PathValue("client"))
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return idp.Client{}, "", fmt.Errorf("load client: %w", err)
	}
	if !token.Matches(c.RegistrationHash) || !c.DisabledAt.IsZero() {
		return idp.Client{}, "", notRegistrar(true)
	}
	return c, token, nil
}

// bearerToken returns the token of the Authorization header. It reports false if there is no such header.
func bearerToken(r *http.Request) (idp.Secret, bool) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return "", false
	}
	scheme, token, _ := strings.Cut(headers[0], " ")
	if len(headers) > 1 || !strings.EqualFold(scheme, "Bearer") {
		return "", true
	}
	return idp.Secret(strings.TrimSpace(token)), true
}

func notRegistrar(sent bool) error {
	bad := oauth.InvalidToken("a valid registration token is required")
	bad.Bare = !sent
	return bad
}

// mayRegister counts registrations without a live token, including rejected ones, because anybody can send them.
func (s *Registrar) mayRegister(w http.ResponseWriter, r *http.Request) error {
	one, all := limit.Registrations, limit.AllRegistrations
	if most := s.cfg.Registration.Most; most > 0 {
		one.Most, all.Most = most, most*all.Most/one.Most
	}
	over, err := limit.Exceeded(r.Context(), s.cfg.Ephemeral, one.Of(web.ClientNetwork(r)), all.Of("all"))
	if err != nil {
		return fmt.Errorf("count registrations: %w", err)
	}
	if over {
		return oauth.TooMany(one, "too many registrations, try again in an hour")
	}
	return nil
}

func (s *Registrar) readRegistration(r *http.Request) (clientMetadata, error) {
	members, err := readBody(r)
	if err != nil {
		return clientMetadata{}, err
	}
	return s.metadataFrom(members)
}

// readBody reads the JSON object in the body of a request.
func readBody(r *http.Request) (map[string]any, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, badMetadata("the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration+1))
	if err != nil {
		return nil, badMetadata("the body is incomplete")
	}
	if len(body) > maxRegistration {
		return nil, oauth.Refuse(
			"invalid_client_metadata", fmt.Sprintf("the body is longer than %d bytes", maxRegistration),
		).With(http.StatusRequestEntityTooLarge)
	}
	members, err := oauth.Members(body)
	if err != nil {
		return nil, badMetadata("invalid body: " + err.Error())
	}
	return members, nil
}

// metadataFrom converts members to metadata. Members of a software statement override the client's own (RFC 7591
// §2.3).
func (s *Registrar) metadataFrom(members map[string]any) (clientMetadata, error) {
	statement := members["software_statement"]
	if statement != nil {
		text, _ := statement.(string)
		vouched, err := s.cfg.Registration.Statements.open(text, time.Now())
		if err != nil {
			return clientMetadata{}, err
		}
		maps.Copy(members, vouched)
		members["software_statement"] = text
	}
	return decodeMetadata(members)
}

// vettedGrants need the operator's approval: tokens for the client itself or for users of other clients, and a flow in
// which a person is easily tricked into approving a stranger's request (RFC 8628 §5.4).
var vettedGrants = []string{idp.GrantClientCredentials, idp.GrantTokenExchange, idp.GrantDeviceCode}

// updateClient replaces the metadata of c with m. It creates a registration token, and a secret if c needs one and has
// none. vetted means that the request had a token of the operator's.
func (s *Registrar) updateClient(
	ctx context.Context, c *idp.Client, m clientMetadata, vetted bool,
) (secret, token idp.Secret, err error) {
	now, before := time.Now(), *c
	may := func(grant string) bool {
		return vetted || !slices.Contains(vettedGrants, grant) || slices.Contains(before.GrantTypes, grant)
	}
	if *c, err = s.apply(m.usable(may), *c); err != nil {
		return "", "", err
	}
	for _, grant := range c.GrantTypes {
		if !may(grant) {
			return "", "", badMetadata("grant_types " + grant + " needs an initial access token")
		}
	}
	if c.AuthMethod != idp.AuthMethodBasic && c.AuthMethod != idp.AuthMethodPost {
		c.Secrets = nil
	} else if len(c.Secrets) == 0 {
		secret = c.AddSecret(now)
	}
	if err := checkClient(*c, s.cfg.Policy); err != nil {
		return "", "", err
	}
	if err := checkSameSector(before, *c); err != nil {
		return "", "", err
	}
	if !vetted {
		if err := checkSize(before, *c); err != nil {
			return "", "", err
		}
	}
	if err := s.checkOwnSector(ctx, *c); err != nil {
		return "", "", err
	}
	token = idp.NewLongSecret()
	c.RegistrationHash, c.UpdatedAt = token.Hash(), now
	return secret, token, nil
}

// checkSize rejects a client registered without a token that is too large. A client may stay as large as it was before.
func checkSize(before, c idp.Client) error {
	size := func(c idp.Client) int {
		c.SoftwareStatement = ""     // the operator trusts its issuer
		text, err := json.Marshal(c) // as stored
		if err != nil {
			return math.MaxInt
		}
		return len(text)
	}
	if most := max(maxUnvetted, size(before)); size(c) > most {
		return badMetadata(fmt.Sprintf("without an initial access token, a client is limited to %d bytes", most))
	}
	return nil
}

// apply is clientMetadata.apply, limited to the algorithms of this server: with a key agent some may have no key.
func (s *Registrar) apply(m clientMetadata, c idp.Client) (idp.Client, error) {
	algs := s.cfg.Algorithms()
	if m.IDTokenAlg == "" && !slices.Contains(algs, keys.RS256) {
		m.IDTokenAlg = keys.ES256 // always available
	}
	for _, alg := range []struct{ name, value string }{
		{"id_token_signed_response_alg", m.IDTokenAlg},
		{"userinfo_signed_response_alg", m.UserInfoAlg},
		{"introspection_signed_response_alg", m.IntrospectionAlg},
		{"authorization_signed_response_alg", m.ResponseAlg},
	} {
		if alg.value != "" && !slices.Contains(algs, alg.value) {
			return c, badMetadata(alg.name + " is not available on this server")
		}
	}
	return m.apply(c, s.cfg.Registration.Scopes)
}

// checkOwnSector checks the client's sector_identifier_uri. The result of the fetch appears only in the log: it could
// tell the client what exists inside this network.
func (s *Registrar) checkOwnSector(ctx context.Context, c idp.Client) error {
	err := CheckSector(ctx, s.cfg.Outbound, c)
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[*oauth.Error](err); ours {
		return err
	}
	web.Note(ctx, slog.Any("sector_error", err))
	return badMetadata("sector_identifier_uri cannot be fetched")
}

// sendRegistration sends the registered metadata.
func (s *Registrar) sendRegistration(w http.ResponseWriter, status int, c idp.Client, secret, token idp.Secret) error {
	info := clientInformation{
		ID: c.ID, IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(),
		URI: s.cfg.Door.Issuer + oauth.PathRegister + "/" + c.ID, Token: token.Reveal(),
		clientMetadata: metadataOf(c),
	}
	if secret != "" {
		info.SecretExpires = new(int64)
	}
	return web.WriteJSON(w, status, info)
}
