package authorize

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// Respond ends a client's interaction with a code or with the OAuth error of the outcome. It takes the interaction in
// the same step, so that only the first of two calls (the person reloaded) answers the client; the other shows an error
// page. The reference of a pushed request is claimed too, once for all interactions that began from it. An interaction
// without an ID was never stored: a silent or faulty request that is answered at once.
func (s *Service) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	var once *ephemeral.Op // has one winner, which sends the response; a single op, because two callers could win one each
	var ops []*ephemeral.Op
	if i.ID != "" {
		once = &ephemeral.Op{Verb: ephemeral.Take, Key: idp.InteractionBucket + ":" + i.ID}
		ops = append(ops, once)
	}
	if i.Request.Pushed != "" {
		claim, remove := s.claimReference(i.Request.Pushed)
		once = claim
		ops = append(ops, claim, remove)
	}
	var code idp.Secret
	if o.Error == "" {
		var put *ephemeral.Op
		var err error
		if code, put, err = s.cfg.Tokens.NewCode(token.Allowed(i.Request, o)); err != nil {
			return fmt.Errorf("put code: %w", err)
		}
		// Put before take: if the code cannot be stored, the interaction must not be used up. If another call wins, the code
		// is never sent and expires.
		ops = append([]*ephemeral.Op{put}, ops...)
	}
	if len(ops) > 0 {
		if err := s.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
			return fmt.Errorf("end interaction: %w", err)
		}
	}
	if once != nil && !once.Found {
		return &web.Problem{
			Status: http.StatusConflict, Code: "interaction_ended", Title: "This sign-in has already ended",
			Text: "You may have used the back button or reloaded the page.",
			Next: "Go back to the application; you are probably signed in there.",
			Err:  errors.New("interaction or pushed request already answered"),
		}
	}
	if o.Error != "" {
		return s.redirect(w, r, i.Request, oauth.Refuse(o.Error, o.Description))
	}
	return s.answer(w, r, i.Request, url.Values{"code": {code.Reveal()}})
}

// redirect sends an OAuth error to the client (RFC 6749 §4.1.2.1).
func (s *Service) redirect(w http.ResponseWriter, r *http.Request, req idp.Request, bad *oauth.Error) error {
	params := url.Values{"error": {bad.Code}}
	if bad.Description != "" {
		params.Set("error_description", oauth.Describable(bad.Description))
	}
	return s.answer(w, r, req, params)
}

// answer sends an authorization response. Each names its issuer (RFC 9207), so that a client of several providers
// cannot mistake it for another provider's.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, req idp.Request, params url.Values) error {
	params.Set("iss", s.cfg.Catalog.Issuer)
	if req.State != "" {
		params.Set("state", req.State)
	}
	if req.ResponseAlg != "" {
		var err error
		if params, err = s.signedAnswer(r.Context(), req, params); err != nil {
			return err
		}
	}
	w.Header().Set("Cache-Control", "no-store")
	if strings.HasPrefix(req.ResponseMode, "form_post") {
		return s.formPost(w, r, req, params)
	}
	http.Redirect(w, r, oauth.WithParams(req.RedirectURI, params), http.StatusSeeOther)
	return nil
}

// A field is a hidden input of the form_post page.
type field struct{ Name, Value string }

// formPost sends the response in a form that submits itself to the client (OAuth 2.0 Form Post Response Mode). The
// library's page uses an inline handler, which a strict CSP blocks. Ours has a script file, and a button for browsers
// without scripts.
func (s *Service) formPost(w http.ResponseWriter, r *http.Request, req idp.Request, params url.Values) error {
	var fields []field
	for _, name := range []string{"code", "error", "error_description", "iss", "state", "response"} {
		if params.Has(name) {
			fields = append(fields, field{name, params.Get(name)})
		}
	}
	return s.cfg.Shell.Render(w, r, s.pages, "form_post", web.Page{
		Name:       "continue",
		Title:      "Continue",
		FormAction: req.RedirectURI,
		Data: struct {
			Action any
			Script string
			Fields []field
		}{oauth.FormTarget(req.RedirectURI), oauth.PathFormPostJS, fields},
	})
}

const formPostJS = "document.querySelector('form[data-form-post]').submit();\n"

func (s *Service) formPostScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write([]byte(formPostJS))
}
