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
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/outbound"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/web"
)

// Registration says whether and how clients register themselves (RFC 7591) and look after their registration (RFC 7592).
// Its zero value: not at all.
type Registration struct {
	Mode   RegistrationMode
	Scopes []string // those that such a client may have
	// Policy is that of confidential clients that register themselves; empty: standard. All others get standard.
	Policy idp.ClientPolicy
	// Most is how many may register in an hour from one network without a token; 25 times as many may from all. Zero: 20.
	Most       int64
	Statements Statements
}

// RegistrationMode says who may register.
type RegistrationMode string

const (
	RegisterByToken RegistrationMode = "token" // whoever has an initial access token of the operator's
	RegisterOpen    RegistrationMode = "open"  // anybody
)

// Bounds of registration.
const (
	maxRegistration = 32 << 10 // bytes
	// maxUnvetted bounds what is kept of a client that anybody may make, in bytes without a software statement.
	maxUnvetted = 4 << 10
)

// RegistrarConfig wires a Registrar.
type RegistrarConfig struct {
	Door         oauth.Door
	Clients      *Authenticator
	DB           *store.DB
	Ephemeral    ephemeral.Store
	Outbound     *outbound.Client
	Policy       idp.Policy
	Algorithms   func() []string // with which tokens can be signed here
	Registration Registration
	Documents    bool // a client_id may be the URL of a metadata document
}

// A Registrar keeps the registrations of clients that describe themselves.
type Registrar struct{ cfg RegistrarConfig }

// NewRegistrar returns a Registrar.
func NewRegistrar(cfg RegistrarConfig) *Registrar { return &Registrar{cfg} }

// Mount adds the endpoints, if there are any.
func (s *Registrar) Mount(protocol *http.ServeMux) {
	if s.cfg.Registration.Mode == "" {
		return
	}
	protocol.HandleFunc("POST "+oauth.PathRegister, s.registering(s.register))
	protocol.HandleFunc("GET "+oauth.PathRegister+"/{client}", s.registering(s.showRegistration))
	protocol.HandleFunc("PUT "+oauth.PathRegister+"/{client}", s.registering(s.changeRegistration))
	protocol.HandleFunc("DELETE "+oauth.PathRegister+"/{client}", s.registering(s.removeRegistration))
}

// clientInformation is the answer of RFC 7591 §3.2.1 and RFC 7592 §3.
type clientInformation struct {
	ID       string `json:"client_id"`
	IssuedAt int64  `json:"client_id_issued_at"`
	// Secret is shown once, when it is made: what is kept is its hash. It does not expire, which is 0.
	Secret        string `json:"client_secret,omitempty"`
	SecretExpires *int64 `json:"client_secret_expires_at,omitempty"`
	URI           string `json:"registration_client_uri"`
	Token         string `json:"registration_access_token"`
	clientMetadata
}

// registering answers what a handler returns as an error.
func (s *Registrar) registering(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
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
		if live, err = s.cfg.DB.HasRegistrationToken(ctx, initial.Hash(), now); err != nil {
			return fmt.Errorf("look for initial access token: %w", err)
		}
	}
	if !live { // the token of somebody who has one says itself how often it may be used
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
	c := idp.Client{ID: idp.NewID(), Policy: cmp.Or(s.cfg.Registration.Policy, idp.PolicyStandard), Dynamic: true, CreatedAt: now, UsedAt: now}
	secret, token, err := s.described(ctx, &c, m, sent)
	if err != nil {
		return err
	}
	tokenHash := ""
	if sent {
		tokenHash = initial.Hash()
	}
	ev := web.Event(r, idp.EventClientAdded, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration", "name": c.Name}
	err = s.cfg.DB.RegisterClient(ctx, c, tokenHash, now, ev)
	if errors.Is(err, idp.ErrNotFound) { // somebody was faster with its last use
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return s.inform(w, http.StatusCreated, c, secret, token)
}

// showRegistration is the read of RFC 7592 §2.1.
func (s *Registrar) showRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.managed(r)
	if err != nil {
		return err
	}
	return s.inform(w, http.StatusOK, c, "", token)
}

// changeRegistration is the update of RFC 7592 §2.2: what is left out goes back to its default. The token that it came with
// is replaced.
func (s *Registrar) changeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := s.managed(r)
	if err != nil {
		return err
	}
	members, err := readBody(r)
	if err != nil {
		return err
	}
	if members["client_id"] != c.ID {
		return badMetadata("client_id must be that of the address")
	}
	if sent := members["client_secret"]; sent != nil {
		if text, ok := sent.(string); !ok || !c.HasSecret(idp.Secret(text), time.Now()) {
			return badMetadata("client_secret is not the client's, and no client chooses its own")
		}
	}
	m, err := s.metadataFrom(members)
	if err != nil {
		return err
	}
	if c.SoftwareStatement != "" && m.SoftwareStatement == "" { // else what it vouches for could be changed without it
		return oauth.Refuse("invalid_software_statement", "the client was registered with a software statement and needs one here too")
	}
	was := c
	secret, next, err := s.described(r.Context(), &c, m, false)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventClientChanged, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration"}
	err = s.cfg.DB.ChangeRegistration(r.Context(), was, c, token.Hash(), ev)
	if errors.Is(err, idp.ErrNotFound) { // another request was faster, and has the next token
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("change client: %w", err)
	}
	return s.inform(w, http.StatusOK, c, secret, next)
}

// removeRegistration is the delete of RFC 7592 §2.3. All that the client was given ends with it.
func (s *Registrar) removeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, _, err := s.managed(r)
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

// managed finds the client whose registration token the request carries. An unknown client and a wrong token get the same
// answer (RFC 7592 §2.1).
func (s *Registrar) managed(r *http.Request) (idp.Client, idp.Secret, error) {
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

// bearerToken is the token of the Authorization header; false if there is none.
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

// mayRegister counts registrations without a live token, refused ones too: anybody can send them.
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
		w.Header().Set("Retry-After", strconv.Itoa(int(limit.Registrations.Window.Seconds())))
		return oauth.Refuse("temporarily_unavailable", "too many registrations, try again in an hour").With(http.StatusTooManyRequests)
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

// readBody reads the JSON object that a request carries.
func readBody(r *http.Request) (map[string]any, error) {
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/json" {
		return nil, badMetadata("the body must be application/json")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRegistration+1))
	if err != nil {
		return nil, badMetadata("the body broke off")
	}
	if len(body) > maxRegistration {
		return nil, oauth.Refuse("invalid_client_metadata", fmt.Sprintf("the body is longer than %d bytes", maxRegistration)).With(http.StatusRequestEntityTooLarge)
	}
	members, err := oauth.Members(body)
	if err != nil {
		return nil, badMetadata("the body is refused: " + err.Error())
	}
	return members, nil
}

// metadataFrom makes metadata of members, those of a software statement before the client's own (RFC 7591 §2.3).
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

// vettedGrants are those that nobody gives themselves: tokens in one's own name and of other clients' users, and a flow in
// which a person is easily led to answer for a stranger (RFC 8628 §5.4).
var vettedGrants = []string{idp.GrantClientCredentials, idp.GrantTokenExchange, idp.GrantDeviceCode}

// described turns c into what m describes, and gives it a registration token, and a secret if it needs one and has none.
// vetted: somebody whom the operator gave a token sent m.
func (s *Registrar) described(ctx context.Context, c *idp.Client, m clientMetadata, vetted bool) (secret, token idp.Secret, err error) {
	now, before := time.Now(), *c
	may := func(grant string) bool {
		return vetted || !slices.Contains(vettedGrants, grant) || slices.Contains(before.GrantTypes, grant)
	}
	if *c, err = s.apply(m.usable(may), *c); err != nil {
		return "", "", err
	}
	for _, grant := range c.GrantTypes {
		if !may(grant) {
			return "", "", badMetadata("grant_types " + grant + " is not for clients that anybody may register")
		}
	}
	if c.AuthMethod != idp.AuthMethodBasic && c.AuthMethod != idp.AuthMethodPost {
		c.Secrets = nil
	} else if len(c.Secrets) == 0 {
		secret = c.AddSecret(now)
	}
	if err := acceptable(*c, s.cfg.Policy); err != nil {
		return "", "", err
	}
	if err := sameSector(before, *c); err != nil {
		return "", "", err
	}
	if !vetted {
		if err := small(before, *c); err != nil {
			return "", "", err
		}
	}
	if err := s.ownSector(ctx, *c); err != nil {
		return "", "", err
	}
	token = idp.NewLongSecret()
	c.RegistrationHash, c.UpdatedAt = token.Hash(), now
	return secret, token, nil
}

// small refuses a client that anybody may make and that takes much to keep; what it took before, it may.
func small(before, c idp.Client) error {
	size := func(c idp.Client) int {
		c.SoftwareStatement = ""     // vouched for
		text, err := json.Marshal(c) // as it is stored
		if err != nil {
			return math.MaxInt
		}
		return len(text)
	}
	if most := max(maxUnvetted, size(before)); size(c) > most {
		return badMetadata(fmt.Sprintf("this is more than the %d bytes that are kept of a client without a token of the operator's", most))
	}
	return nil
}

// apply is clientMetadata.apply with what this server can do: with a key agent there may be no key for an algorithm.
func (s *Registrar) apply(m clientMetadata, c idp.Client) (idp.Client, error) {
	algs := s.cfg.Algorithms()
	if m.IDTokenAlg == "" && !slices.Contains(algs, keys.RS256) {
		m.IDTokenAlg = keys.ES256 // which there always is
	}
	for _, alg := range []struct{ name, value string }{
		{"id_token_signed_response_alg", m.IDTokenAlg},
		{"userinfo_signed_response_alg", m.UserInfoAlg},
		{"introspection_signed_response_alg", m.IntrospectionAlg},
		{"authorization_signed_response_alg", m.ResponseAlg},
	} {
		if alg.value != "" && !slices.Contains(algs, alg.value) {
			return c, badMetadata(alg.name + " is one that nothing is signed with here")
		}
	}
	return m.apply(c, s.cfg.Registration.Scopes)
}

// ownSector checks the client's sector_identifier_uri. What came of fetching it goes into the log: the client is not to learn
// what there is inside this network.
func (s *Registrar) ownSector(ctx context.Context, c idp.Client) error {
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

// inform answers with what is registered.
func (s *Registrar) inform(w http.ResponseWriter, status int, c idp.Client, secret, token idp.Secret) error {
	info := clientInformation{
		ID: c.ID, IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(), URI: s.cfg.Door.Issuer + oauth.PathRegister + "/" + c.ID, Token: token.Reveal(),
		clientMetadata: metadataOf(c),
	}
	if secret != "" {
		info.SecretExpires = new(int64)
	}
	return web.WriteJSON(w, status, info)
}
