package provider

import (
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// codeTTL is how long an authorization code lives (FAPI 2.0 §5.3.2.1: at most 60 s).
const codeTTL = time.Minute

// interactions is the bucket in which package login keeps them; the two meet there (design §3.1).
const interactions = "interaction"

// An authorization is what a code stands for. It is stored under the code's hash and taken once.
type authorization struct {
	ClientID      string        `json:"client"`
	RedirectURI   string        `json:"redirect_uri"`
	CodeChallenge string        `json:"challenge,omitempty"`
	Nonce         string        `json:"nonce,omitempty"`
	UserID        string        `json:"user"`
	SessionID     string        `json:"sid"`
	Scopes        []string      `json:"scopes"`
	Resources     []string      `json:"resources,omitempty"`
	Details       idp.Details   `json:"authorization_details,omitempty"`
	Claims        string        `json:"claims,omitempty"`
	Assurance     idp.Assurance `json:"assurance"`
	Granted       bool          `json:"granted,omitempty"` // idp.Outcome
	// Confirmation is the key that has to be proven when the code is exchanged (RFC 9449 §10); zero: any, or none.
	Confirmation idp.Confirmation `json:"cnf,omitzero"`
}

// Respond ends a client's interaction: with a code, or with the OAuth error of the outcome. The interaction is taken with
// it, so that of two calls (the person pressed reload) one answers the client and the other shows a page that says so. Of a
// pushed request the reference is claimed, once for all interactions that began from it. One without an ID was never
// stored: a silent or a faulty request, answered where it came in.
func (p *Provider) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	if i.Request.Device != "" {
		return p.respondDevice(w, r, i, o)
	}
	var once *ephemeral.Op // has one winner, who answers; never two of them: each caller might win one
	var ops []*ephemeral.Op
	if i.ID != "" {
		once = &ephemeral.Op{Verb: ephemeral.Take, Key: interactions + ":" + i.ID}
		ops = append(ops, once)
	}
	if i.Request.Pushed != "" {
		claim, remove := p.useUp(i.Request.Pushed)
		once = claim
		ops = append(ops, claim, remove)
	}
	var code idp.Secret
	if o.Error == "" {
		code = idp.NewSecret() + idp.NewSecret() // one is enough; certification estimates by how the text looks
		put, err := p.codes.PutOp(code.Hash(), allowed(i.Request, o), 0)
		if err != nil {
			return fmt.Errorf("put code: %w", err)
		}
		// Should somebody else have won, the code stays unsaid and expires: a round trip saved and nothing lost.
		ops = append(ops, put)
	}
	if len(ops) > 0 {
		if err := p.Ephemeral.Do(r.Context(), ops...); err != nil {
			return fmt.Errorf("end interaction: %w", err)
		}
	}
	if once != nil && !once.Found {
		return &web.Problem{
			Status: http.StatusConflict, Code: "interaction_ended", Title: "This sign-in has ended already",
			Text: "You may have used the back button or reloaded the page.", Next: "Go back to the application; you are probably signed in there.",
			Err: errors.New("interaction or pushed request already answered"),
		}
	}
	if o.Error != "" {
		return p.redirect(w, r, i.Request, refusal{o.Error, o.Description})
	}
	return p.answer(w, r, i.Request, url.Values{"code": {code.Reveal()}})
}

// allowed is what the outcome of a request allows.
func allowed(req idp.Request, o idp.Outcome) authorization {
	a := authorization{
		ClientID:      req.ClientID,
		RedirectURI:   req.RedirectURI,
		CodeChallenge: req.CodeChallenge,
		Nonce:         req.Nonce,
		UserID:        o.UserID,
		SessionID:     o.SessionID,
		Resources:     req.Resources,
		Details:       req.Details,
		Assurance:     o.Assurance,
		Granted:       o.Granted,
		Confirmation:  idp.Confirmation{JKT: req.DPoPKey},
	}
	for _, scope := range o.Scopes {
		if slices.Contains(req.Scopes, scope) && !slices.Contains(req.ClaimScopes, scope) {
			a.Scopes = append(a.Scopes, scope)
		}
	}
	if len(req.Claims) > 0 {
		if claims, err := parseClaims(string(req.Claims)); err == nil { // it was checked at the authorization endpoint
			a.Claims = claims.granted(o.Scopes)
		}
	}
	return a
}

// redirect sends an OAuth error to the client (RFC 6749 §4.1.2.1).
func (p *Provider) redirect(w http.ResponseWriter, r *http.Request, req idp.Request, bad refusal) error {
	params := url.Values{"error": {bad.code}}
	if bad.description != "" {
		params.Set("error_description", describable(bad.description))
	}
	return p.answer(w, r, req, params)
}

// answer sends an authorization response. Every one names its issuer (RFC 9207), so that a client of several providers
// cannot be made to take it for another's.
func (p *Provider) answer(w http.ResponseWriter, r *http.Request, req idp.Request, params url.Values) error {
	params.Set("iss", p.Issuer)
	if req.State != "" {
		params.Set("state", req.State)
	}
	if req.ResponseAlg != "" {
		var err error
		if params, err = p.signedAnswer(r.Context(), req, params); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if strings.HasPrefix(req.ResponseMode, "form_post") {
		return p.formPost(w, r, req, params)
	}
	http.Redirect(w, r, withParams(req.RedirectURI, params), http.StatusSeeOther)
	return nil
}

// describable keeps of a description what RFC 6749 §5.2 allows: printable ASCII without quotation mark and backslash.
func describable(s string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case c == '"':
			return '\''
		case c < 0x20 || c > 0x7e || c == '\\':
			return -1
		default:
			return c
		}
	}, s)
}

// A field is a hidden input of the form_post page.
type field struct{ Name, Value string }

// formPost answers by a form that sends itself to the client (OAuth 2.0 Form Post Response Mode). The library's page does
// it by an inline handler, which a strict CSP blocks; ours has a script file, and a button for those without scripts.
func (p *Provider) formPost(w http.ResponseWriter, r *http.Request, req idp.Request, params url.Values) error {
	var fields []field
	for _, name := range []string{"code", "error", "error_description", "iss", "state", "response"} {
		if params.Has(name) {
			fields = append(fields, field{name, params.Get(name)})
		}
	}
	return p.Shell.Render(w, r, p.pages, "form_post", web.Page{
		Name:       "continue",
		Title:      "Continue",
		FormAction: req.RedirectURI,
		Data: struct {
			Action any
			Script string
			Fields []field
		}{formTarget(req.RedirectURI), pathFormPostJS, fields},
	})
}

// formTarget lets the template take a private-use scheme (RFC 8252 §7.1: it contains a dot) for an address. Everything else
// stays text, which the template defuses if it is a script.
func formTarget(uri string) any {
	scheme, _, _ := strings.Cut(uri, ":")
	if strings.Contains(scheme, ".") {
		return template.URL(uri)
	}
	return uri
}

const formPostJS = "document.querySelector('form[data-form-post]').submit();\n"

func (p *Provider) formPostScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write([]byte(formPostJS))
}
