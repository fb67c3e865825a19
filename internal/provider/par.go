package provider

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// Pushed authorization requests (RFC 9126): the client hands its request in here, authenticated, and sends the browser to
// the authorization endpoint with a reference to it.
//
// A reference is used once, counted where the flow ends: a person may reload the authorization URL, or open it in a second
// tab, as long as nothing was answered. The first answer, a code or an error, claims the reference in the round trip that
// it makes anyway (Respond). The claim outlives every interaction that began from the reference, and of those one alone
// answers.
const (
	referencePrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2
	referenceTTL    = 90 * time.Second
	maxPushed       = 16 << 10                         // bytes of a request; encoded it is three times that at the most, which the store takes
	usedTTL         = idp.InteractionTTL + time.Minute // the minute: an authorize that was under way when the reference was used
)

// A pushed request is what was sent, not what it meant then: it is read again when it is used, by the same code, so that a
// redirect URI or a scope that the client lost in between is lost (RFC 9126 §4).
type pushed struct {
	ClientID string `json:"client"`
	Form     string `json:"form"` // authorizeParams only: nothing that authenticated the client is kept
}

var parGuard = guard{methods: []string{http.MethodPost}, credentials: true, several: []string{"resource"}, check: pushable}

// pushable refuses what no pushed request may be.
func pushable(form url.Values) *fault {
	if form.Get("request_uri") != "" { // RFC 9126 §2.1
		return invalidRequest("request_uri has no place in a pushed request")
	}
	return notTooLong(form)
}

// notTooLong refuses a request that is more than is kept of one (RFC 9126 §2.3).
func notTooLong(form url.Values) *fault {
	size := 0
	for name, values := range form {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxPushed {
		return &fault{Error: "invalid_request", Description: fmt.Sprintf("the request is longer than %d bytes", maxPushed), status: http.StatusRequestEntityTooLarge}
	}
	return nil
}

// push is the pushed authorization request endpoint: it validates a request as the authorization endpoint does, and keeps it.
func (p *Provider) push(w http.ResponseWriter, r *http.Request) error {
	c, err := p.requester(r)
	if err != nil {
		return err
	}
	if sent := r.PostForm.Get("client_id"); sent != "" && sent != c.ID {
		return refuse("invalid_request", "client_id is not the client that authenticated")
	}
	form := kept(r.PostForm, authorizeParams)
	form.Set("client_id", c.ID)
	if form, err = p.unwrap(r.Context(), c, form); err != nil { // what is kept is what was signed (RFC 9126 §3)
		return err
	}
	b, err := p.bindCode(r, c, form)
	if err != nil {
		return err
	}
	if err := ownRedirect(c, form); err != nil {
		return err
	}
	req := idp.Request{}
	if err := manner(form, c, &req); err != nil {
		return err
	}
	if _, err := p.read(r, form, c, &req); err != nil {
		return err
	}
	reference := idp.Secret(referencePrefix) + idp.NewSecret()
	put, err := p.pushes.PutOp(reference.Hash(), pushed{ClientID: c.ID, Form: form.Encode()}, 0)
	if err != nil {
		return fmt.Errorf("keep pushed request: %w", err)
	}
	if err := p.Ephemeral.Do(r.Context(), b.with(put)...); err != nil {
		return fmt.Errorf("keep pushed request: %w", err)
	}
	if err := b.settled(); err != nil { // what was kept stays unsaid, and expires
		return err
	}
	return web.WriteJSON(w, http.StatusCreated, map[string]any{"request_uri": reference.Reveal(), "expires_in": int(referenceTTL.Seconds())})
}

// kept is what is kept of a request: parameters of these names.
func kept(form url.Values, names []string) url.Values {
	out := url.Values{}
	for _, name := range names {
		for _, value := range form[name] { // but for resource, one at most
			if value != "" { // without a value: as if omitted (RFC 6749 §3.1)
				out.Add(name, value)
			}
		}
	}
	return out
}

// bindCode binds the code to the key that a DPoP proof at this endpoint proves, as dpop_jkt would (RFC 9449 §10.1). Nobody has
// to send one here.
func (p *Provider) bindCode(r *http.Request, c idp.Client, form url.Values) (binding, error) {
	s := senderOf(r.Context())
	if len(s.proofs) == 0 {
		return binding{}, nil
	}
	b, err := p.checkProof(s, c, "", time.Now())
	if err != nil {
		return binding{}, err
	}
	if asked := form.Get("dpop_jkt"); asked != "" && asked != b.JKT {
		return binding{}, invalidProof("the DPoP proof is of another key than dpop_jkt names")
	}
	form.Set("dpop_jkt", b.JKT)
	return b, nil
}

// requester authenticates the client as the token endpoint does. What admit refuses does not come here.
func (p *Provider) requester(r *http.Request) (idp.Client, error) {
	cc := op.ClientCredentials{
		ClientID: r.PostForm.Get("client_id"), ClientSecret: r.PostForm.Get("client_secret"),
		ClientAssertion: r.PostForm.Get("client_assertion"), ClientAssertionType: r.PostForm.Get("client_assertion_type"),
	}
	if id, secret, ok := r.BasicAuth(); ok {
		cc.ClientID, _ = url.QueryUnescape(id) // credentials has tried both
		cc.ClientSecret, _ = url.QueryUnescape(secret)
	}
	if err := p.meet(r, cc.ClientID); errors.Is(err, idp.ErrNotFound) {
		return idp.Client{}, notClient(r.Context(), errors.New("no such client"))
	} else if err != nil {
		return idp.Client{}, err
	}
	c, err := server{p: p}.VerifyClient(r.Context(), &op.Request[op.ClientCredentials]{
		Method: r.Method, URL: r.URL, Header: r.Header, Form: r.Form, PostForm: r.PostForm, Data: &cc,
	})
	if err != nil {
		return idp.Client{}, err
	}
	return c.(client).registered, nil
}

// faultOf is an error of a handler of ours, in the form in which the library's errors are answered.
func faultOf(w http.ResponseWriter, r *http.Request, err error) *fault {
	if bad, ok := errors.AsType[refusal](err); ok {
		return &fault{Error: bad.code, Description: bad.description, status: http.StatusBadRequest}
	}
	if _, ok := errors.AsType[*oidc.Error](err); !ok {
		err = broken(r.Context(), r.URL.Path, err)
	}
	a := &answer{ResponseWriter: w}
	op.WriteError(a, r, err, nil)
	return a.fault()
}

// refersToPush reports whether an authorization request is a reference to a pushed one. Then client_id and request_uri are
// all of it: parameters beside them are not used (RFC 9101 §5).
func refersToPush(form url.Values) bool {
	return slices.ContainsFunc(form["request_uri"], func(uri string) bool { return strings.HasPrefix(uri, referencePrefix) })
}

// pulled returns the request that form refers to, and the hash of the reference. Its errors are for the person: nothing
// here says where else to send them.
func (p *Provider) pulled(r *http.Request, form url.Values, c idp.Client) (url.Values, string, error) {
	refused := func(reason string) (url.Values, string, error) {
		return nil, "", badLink("invalid_request_uri", "It was used already, or it is too old.", errors.New(reason))
	}
	reference := idp.Secret(form.Get("request_uri"))
	switch {
	case len(form["request_uri"]) > 1:
		return refused("request_uri repeated")
	case form.Get("request") != "": // RFC 9101 §5
		return refused("request beside request_uri")
	}
	kept, err := p.pushes.Get(r.Context(), reference.Hash())
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return refused("request_uri unknown, used or expired")
	case err != nil:
		return nil, "", fmt.Errorf("load pushed request: %w", err)
	case kept.ClientID != c.ID: // RFC 9126 §2.2: bound to the client that pushed it
		return refused("request_uri of another client")
	}
	request, err := url.ParseQuery(kept.Form)
	if err != nil {
		return nil, "", fmt.Errorf("read pushed request: %w", err)
	}
	return request, reference.Hash(), nil
}

// useUp is what it takes to use a reference up: the first op's Found says that this is its one use.
func (p *Provider) useUp(hash string) (claim, remove *ephemeral.Op) {
	return &ephemeral.Op{Verb: ephemeral.Claim, Key: "par-used:" + hash, Value: []byte("1"), TTL: usedTTL}, p.pushes.DeleteOp(hash)
}
