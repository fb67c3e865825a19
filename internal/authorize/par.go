package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/sender"
	"github.com/stepward/stepward/internal/web"
)

// Pushed authorization requests (RFC 9126): the client authenticates and stores its request here, then sends the
// browser to the authorization endpoint with a reference.
//
// A reference is used once, which is checked when the flow ends: until then, a person may reload the authorization URL
// or open it in a second tab. The first response, a code or an error, claims the reference in the round trip that it
// makes anyway (Respond). The claim outlives all interactions that began from the reference, so only one of them gets a
// response.
const (
	referencePrefix = "urn:ietf:params:oauth:request_uri:" // RFC 9126 §2.2
	referenceTTL    = 90 * time.Second
	usedTTL         = idp.InteractionTTL + time.Minute // for an authorize request running while the reference is used
)

// A pushed request is stored as it was sent. When it is used, the same code reads it again, so that a redirect URI or
// scope that the client lost in between no longer works (RFC 9126 §4).
type pushed struct {
	ClientID string `json:"client"`
	Form     string `json:"form"` // only Params: the client's credentials are not stored
}

// PushGuard guards the pushed authorization request endpoint.
var PushGuard = oauth.Guard{
	Methods: []string{http.MethodPost}, Credentials: true, Scripts: true, Several: []string{"resource"}, Check: pushable,
}

// pushable rejects forms that must not be pushed.
func pushable(form url.Values) *oauth.Error {
	if form.Get("request_uri") != "" { // RFC 9126 §2.1
		return oauth.InvalidRequest("request_uri is not allowed in a pushed request")
	}
	return oauth.NotTooLong(form)
}

// Push is the pushed authorization request endpoint. It validates a request like the authorization endpoint and stores
// it.
func (s *Service) Push(w http.ResponseWriter, r *http.Request, call *oauth.Call) error {
	c, err := s.cfg.Registrar.Requester(r, call)
	if err != nil {
		return err
	}
	if sent := call.Form.Get("client_id"); sent != "" && sent != c.ID {
		return oauth.Refuse("invalid_request", "client_id differs from the authenticated client")
	}
	form := oauth.Keep(call.Form, Params)
	form.Set("client_id", c.ID)
	if form, err = s.unwrap(r.Context(), c, form); err != nil { // store what was signed (RFC 9126 §3)
		return err
	}
	b, err := s.bindCode(call.Sender, c, form)
	if err != nil {
		return err
	}
	if err := checkRedirect(r.Context(), c, form); err != nil {
		return err
	}
	req := idp.Request{}
	if err := readResponseMode(form, c, &req); err != nil {
		return err
	}
	if _, err := s.read(r, form, c, &req); err != nil {
		return err
	}
	reference := idp.Secret(referencePrefix) + idp.NewSecret()
	put, err := s.pushes.PutOp(reference.Hash(), pushed{ClientID: c.ID, Form: form.Encode()}, 0)
	if err != nil {
		return fmt.Errorf("store pushed request: %w", err)
	}
	count := limit.WaitingOf(s.cfg.Room, web.ClientNetwork(r), len(put.Value))
	ops := b.With(put)
	if c.Public() { // anybody can push with its client_id
		ops = append(ops, &count.Op)
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
		return fmt.Errorf("store pushed request: %w", err)
	}
	if count.Over() {
		if err := s.cfg.Ephemeral.Do(r.Context(), s.pushes.DeleteOp(reference.Hash())); err != nil {
			return fmt.Errorf("drop pushed request: %w", err)
		}
		return oauth.TooMany(count.Limit, "too many requests from this network, try again later")
	}
	if err := b.CheckReplay(); err != nil { // the stored reference is never sent, and expires
		return err
	}
	return web.WriteJSON(
		w, http.StatusCreated, map[string]any{"request_uri": reference.Reveal(), "expires_in": int(referenceTTL.Seconds())},
	)
}

// bindCode binds the code to the key of a DPoP proof at this endpoint, like dpop_jkt (RFC 9449 §10.1). The proof is
// optional.
func (s *Service) bindCode(from oauth.Sender, c idp.Client, form url.Values) (sender.Binding, error) {
	if len(from.Proofs) == 0 {
		return sender.Binding{}, nil
	}
	b, err := s.cfg.Binder.CheckProof(from, c, "", time.Now())
	if err != nil {
		return sender.Binding{}, err
	}
	if asked := form.Get("dpop_jkt"); asked != "" && asked != b.JKT {
		return sender.Binding{}, sender.InvalidProof("the DPoP proof is for another key than dpop_jkt")
	}
	form.Set("dpop_jkt", b.JKT)
	return b, nil
}

// refersToPush reports whether an authorization request refers to a pushed one. Then only client_id and request_uri
// count: other parameters are ignored (RFC 9101 §5).
func refersToPush(form url.Values) bool {
	return slices.ContainsFunc(form["request_uri"], func(uri string) bool {
		return strings.HasPrefix(uri, referencePrefix)
	})
}

// loadPushed returns the request that form refers to, and the hash of the reference. Its errors are for the person,
// because without the request there is no redirect URI.
func (s *Service) loadPushed(r *http.Request, form url.Values, c idp.Client) (url.Values, string, error) {
	refused := func(reason string) (url.Values, string, error) {
		return nil, "", badLink("invalid_request_uri", "app.used", errors.New(reason))
	}
	reference := idp.Secret(form.Get("request_uri"))
	switch {
	case len(form["request_uri"]) > 1:
		return refused("request_uri repeated")
	case form.Get("request") != "": // RFC 9101 §5
		return refused("request beside request_uri")
	}
	kept, err := s.pushes.Get(r.Context(), reference.Hash())
	switch {
	case errors.Is(err, idp.ErrNotFound):
		return refused("request_uri unknown, used or expired")
	case err != nil:
		return nil, "", fmt.Errorf("load pushed request: %w", err)
	case kept.ClientID != c.ID: // RFC 9126 §2.2: bound to the client that pushed it
		return refused("request_uri belongs to another client")
	}
	request, err := url.ParseQuery(kept.Form)
	if err != nil {
		return nil, "", fmt.Errorf("read pushed request: %w", err)
	}
	return request, reference.Hash(), nil
}

// claimReference returns the operations that use up a reference: if the first one's Found is set, this was its only
// use.
func (s *Service) claimReference(hash string) (claim, remove *ephemeral.Op) {
	return &ephemeral.Op{
		Verb: ephemeral.Claim, Key: "par-used:" + hash, Value: []byte("1"), TTL: usedTTL,
	}, s.pushes.DeleteOp(hash)
}
