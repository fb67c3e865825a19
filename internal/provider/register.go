package provider

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/web"
)

// Registration says whether and how clients register themselves (RFC 7591) and look after their registration (RFC 7592).
// Its zero value: not at all.
type Registration struct {
	Mode       RegistrationMode
	Scopes     []string // those that such a client may have
	Statements Statements
}

// RegistrationMode says who may register.
type RegistrationMode string

const (
	RegisterByToken RegistrationMode = "token" // whoever has an initial access token of the operator's
	RegisterOpen    RegistrationMode = "open"  // anybody
)

const pathRegister = "/oauth2/register"

// Bounds of registration.
const (
	maxRegistration   = 32 << 10 // bytes
	registerWindow    = time.Hour
	registerPerSource = 20 // of one network
	registerTotal     = 500
	useMark           = 24 * time.Hour // how exact UsedAt is: a write a day for each client in use
)

// mountRegistration adds the endpoints, if there are any.
func (p *Provider) mountRegistration(protocol *http.ServeMux) {
	if p.Registration.Mode == "" {
		return
	}
	protocol.HandleFunc("POST "+pathRegister, p.registering(p.register))
	protocol.HandleFunc("GET "+pathRegister+"/{client}", p.registering(p.showRegistration))
	protocol.HandleFunc("PUT "+pathRegister+"/{client}", p.registering(p.changeRegistration))
	protocol.HandleFunc("DELETE "+pathRegister+"/{client}", p.registering(p.removeRegistration))
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
func (p *Provider) registering(do func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		noStore(w)
		var err error
		if r.URL.RawQuery != "" {
			err = refuse("invalid_request", "there are no parameters")
		} else {
			err = do(w, r)
		}
		if err == nil {
			return
		}
		var bad *fault
		if own, ok := errors.AsType[faulty](err); ok {
			bad = own.fault
		} else {
			bad = faultOf(w, r, err)
		}
		p.fail(w, r, guard{bearer: bad.status == http.StatusUnauthorized}, bad)
	}
}

// faulty is a fault as an error: a refusal with a status of its own.
type faulty struct{ fault *fault }

func (f faulty) Error() string { return f.fault.Error + ": " + f.fault.Description }

// register is the client registration endpoint.
func (p *Provider) register(w http.ResponseWriter, r *http.Request) error {
	ctx, now := r.Context(), time.Now()
	if err := p.mayRegister(w, r); err != nil {
		return err
	}
	initial, sent := bearerToken(r)
	if p.Registration.Mode == RegisterByToken || sent {
		live, err := p.DB.HasRegistrationToken(ctx, initial.Hash(), now)
		if err != nil {
			return fmt.Errorf("look for initial access token: %w", err)
		}
		if !live {
			return notRegistrar(sent)
		}
	}
	m, err := p.readRegistration(r)
	if err != nil {
		return err
	}
	c := idp.Client{ID: idp.NewID(), Policy: idp.PolicyStandard, Dynamic: true, CreatedAt: now, UsedAt: now}
	secret, token, err := p.described(ctx, &c, m, sent)
	if err != nil {
		return err
	}
	tokenHash := ""
	if sent {
		tokenHash = initial.Hash()
	}
	ev := web.Event(r, idp.EventClientAdded, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration", "name": c.Name}
	err = p.DB.RegisterClient(ctx, c, tokenHash, now, ev)
	if errors.Is(err, idp.ErrNotFound) { // somebody was faster with its last use
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("store client: %w", err)
	}
	return p.inform(w, http.StatusCreated, c, secret, token)
}

// showRegistration is the read of RFC 7592 §2.1.
func (p *Provider) showRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := p.managed(r)
	if err != nil {
		return err
	}
	return p.inform(w, http.StatusOK, c, "", token)
}

// changeRegistration is the update of RFC 7592 §2.2: what is left out goes back to its default. The token that it came with
// is replaced.
func (p *Provider) changeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, token, err := p.managed(r)
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
	m, err := p.metadataFrom(members)
	if err != nil {
		return err
	}
	if c.SoftwareStatement != "" && m.SoftwareStatement == "" { // else what it vouches for could be changed without it
		return refuse("invalid_software_statement", "the client was registered with a software statement and needs one here too")
	}
	secret, next, err := p.described(r.Context(), &c, m, false)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventClientChanged, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration"}
	err = p.DB.ChangeRegistration(r.Context(), c, token.Hash(), ev)
	if errors.Is(err, idp.ErrNotFound) { // another request was faster, and has the next token
		return notRegistrar(true)
	}
	if err != nil {
		return fmt.Errorf("change client: %w", err)
	}
	return p.inform(w, http.StatusOK, c, secret, next)
}

// removeRegistration is the delete of RFC 7592 §2.3. All that the client was given ends with it.
func (p *Provider) removeRegistration(w http.ResponseWriter, r *http.Request) error {
	c, _, err := p.managed(r)
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventClientRemoved, "")
	ev.ClientID, ev.Detail = c.ID, map[string]string{"by": "registration"}
	if err := p.DB.RemoveClient(r.Context(), c.ID, ev); err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("remove client: %w", err)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// managed finds the client whose registration token the request carries. That there is no such client is told from a wrong
// token by nobody (RFC 7592 §2.1).
func (p *Provider) managed(r *http.Request) (idp.Client, idp.Secret, error) {
	token, sent := bearerToken(r)
	if !sent {
		return idp.Client{}, "", notRegistrar(false)
	}
	c, err := p.DB.StoredClient(r.Context(), r.PathValue("client"))
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
	return faulty{&fault{Error: "invalid_token", Description: "a token that allows this is needed", status: http.StatusUnauthorized, bare: !sent}}
}

// mayRegister counts registrations, refused ones too, of one network and of all: anybody can send them.
func (p *Provider) mayRegister(w http.ResponseWriter, r *http.Request) error {
	mine, all := countRegistration(web.ClientNetwork(r)), countRegistration("all")
	if err := p.Ephemeral.Do(r.Context(), mine); err != nil {
		return fmt.Errorf("count registrations: %w", err)
	}
	if mine.N <= registerPerSource { // one network alone does not close the door for all
		if err := p.Ephemeral.Do(r.Context(), all); err != nil {
			return fmt.Errorf("count registrations: %w", err)
		}
	}
	if mine.N > registerPerSource || all.N > registerTotal {
		w.Header().Set("Retry-After", strconv.Itoa(int(registerWindow.Seconds())))
		return faulty{&fault{Error: "temporarily_unavailable", Description: "too many registrations, try again in an hour", status: http.StatusTooManyRequests}}
	}
	return nil
}

func countRegistration(of string) *ephemeral.Op {
	return &ephemeral.Op{Verb: ephemeral.Count, Key: "limit-register:" + of, TTL: registerWindow}
}

func (p *Provider) readRegistration(r *http.Request) (clientMetadata, error) {
	members, err := readBody(r)
	if err != nil {
		return clientMetadata{}, err
	}
	return p.metadataFrom(members)
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
		return nil, faulty{&fault{Error: "invalid_client_metadata", Description: fmt.Sprintf("the body is longer than %d bytes", maxRegistration), status: http.StatusRequestEntityTooLarge}}
	}
	members, err := readMembers(body)
	if err != nil {
		return nil, badMetadata("the body is refused: " + err.Error())
	}
	return members, nil
}

// metadataFrom makes metadata of members, those of a software statement before the client's own (RFC 7591 §2.3).
func (p *Provider) metadataFrom(members map[string]any) (clientMetadata, error) {
	statement := members["software_statement"]
	if statement != nil {
		text, _ := statement.(string)
		vouched, err := p.Registration.Statements.open(text, time.Now())
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
var vettedGrants = []string{grantClient, grantExchange, grantDevice}

// described turns c into what m describes, and gives it a registration token, and a secret if it needs one and has none.
// vetted: somebody whom the operator gave a token sent m.
func (p *Provider) described(ctx context.Context, c *idp.Client, m clientMetadata, vetted bool) (secret, token idp.Secret, err error) {
	now, before := time.Now(), *c
	if *c, err = p.apply(m, *c); err != nil {
		return "", "", err
	}
	for _, grant := range c.GrantTypes {
		if !vetted && slices.Contains(vettedGrants, grant) && !slices.Contains(before.GrantTypes, grant) {
			return "", "", badMetadata("grant_types " + grant + " is not for clients that anybody may register")
		}
	}
	if c.AuthMethod != idp.AuthMethodBasic && c.AuthMethod != idp.AuthMethodPost {
		c.Secrets = nil
	} else if len(c.Secrets) == 0 {
		secret = idp.NewSecret() + idp.NewSecret()
		c.Secrets = []idp.ClientSecret{{ID: idp.NewID(), Hash: secret.Hash(), CreatedAt: now}}
	}
	if err := acceptable(*c, p.Policy); err != nil {
		return "", "", err
	}
	if err := sameSector(before, *c); err != nil {
		return "", "", err
	}
	if err := p.ownSector(ctx, *c); err != nil {
		return "", "", err
	}
	token = idp.NewSecret() + idp.NewSecret()
	c.RegistrationHash, c.UpdatedAt = token.Hash(), now
	return secret, token, nil
}

// apply is clientMetadata.apply with what this server can do: with a key agent there may be no key for an algorithm.
func (p *Provider) apply(m clientMetadata, c idp.Client) (idp.Client, error) {
	algs := p.Keys.Algorithms()
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
	return m.apply(c, p.Registration.Scopes)
}

// ownSector checks the client's sector_identifier_uri. What came of fetching it goes into the log: the client is not to learn
// what there is inside this network.
func (p *Provider) ownSector(ctx context.Context, c idp.Client) error {
	err := CheckSector(ctx, p.Outbound, c)
	if err == nil {
		return nil
	}
	if _, ours := errors.AsType[refusal](err); ours {
		return err
	}
	web.Note(ctx, slog.Any("sector_error", err))
	return badMetadata("sector_identifier_uri cannot be fetched")
}

// inform answers with what is registered.
func (p *Provider) inform(w http.ResponseWriter, status int, c idp.Client, secret, token idp.Secret) error {
	info := clientInformation{
		ID: c.ID, IssuedAt: c.CreatedAt.Unix(), Secret: secret.Reveal(), URI: p.Issuer + pathRegister + "/" + c.ID, Token: token.Reveal(),
		clientMetadata: metadataOf(c),
	}
	if secret != "" {
		info.SecretExpires = new(int64)
	}
	return web.WriteJSON(w, status, info)
}

// used notes once a day that a dynamic client is in use: those that are not are removed.
func (p *Provider) used(ctx context.Context, c idp.Client, now time.Time) {
	if c.UsedAt.IsZero() || now.Sub(c.UsedAt) < useMark {
		return
	}
	if err := p.DB.UseClient(ctx, c.ID, now); err != nil {
		web.Note(ctx, slog.Any("use_error", err))
	}
}
