package authorize

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// An ending is the end of a client's interaction: what to store and take, and what to send after that.
type ending struct {
	request idp.Request
	ops     []*ephemeral.Op
	once    *ephemeral.Op // has one winner, which sends the response; nil: there is nothing to win
	params  url.Values
}

// end prepares the response to a client: a code, or the OAuth error of the outcome. Its ops take the interaction, so
// that only the first of two calls (the person reloaded) answers the client. The reference of a pushed request is
// claimed too, once for all interactions that began from it. An interaction without an ID was never stored: a request
// that is answered at once.
func (s *Service) end(i idp.Interaction, o idp.Outcome) (ending, error) {
	if i.Request.Try != "" {
		return ending{}, errors.New("a try is no request of the client")
	}
	e := ending{request: i.Request}
	if i.ID != "" {
		e.once = &ephemeral.Op{Verb: ephemeral.Take, Key: idp.InteractionBucket + ":" + i.ID}
		e.ops = append(e.ops, e.once)
	}
	if i.Request.Pushed != "" { // a single op wins, because two callers could win one each
		claim, remove := s.claimReference(i.Request.Pushed)
		e.once = claim
		e.ops = append(e.ops, claim, remove)
	}
	if o.Error != "" {
		e.params = errorParams(oauth.Refuse(o.Error, o.Description))
		return e, nil
	}
	code, put, err := s.cfg.Tokens.NewCode(token.Allowed(i.Request, o))
	if err != nil {
		return ending{}, fmt.Errorf("put code: %w", err)
	}
	// Put before take: if the code cannot be stored, the interaction must not be used up. If another call wins, the code
	// is never sent and expires.
	e.ops = append([]*ephemeral.Op{put}, e.ops...)
	e.params = url.Values{"code": {code.Reveal()}}
	return e, nil
}

// lost reports, after the ops have run, that another call has answered.
func (e ending) lost() bool { return e.once != nil && !e.once.Found }

// Respond ends a client's interaction with a code or with the OAuth error of the outcome, once. A second call shows an
// error page.
func (s *Service) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	e, err := s.end(i, o)
	if err != nil {
		return err
	}
	if err := s.cfg.Ephemeral.Do(r.Context(), e.ops...); err != nil {
		return fmt.Errorf("end interaction: %w", err)
	}
	if e.lost() {
		return &web.Problem{
			Status: http.StatusConflict, Code: "interaction_ended", Words: "authorize.ended",
			Err: errors.New("interaction or pushed request already answered"),
		}
	}
	return s.answer(w, r, e.request, e.params)
}

// Answer is Respond for a script, which goes to an address by itself. It returns ops for the caller's next round trip,
// and location, which returns after it where the browser goes, or "" if another call has answered. Both are nil if the
// response is a page (form_post): then only Respond can send it.
func (s *Service) Answer(r *http.Request, i idp.Interaction, o idp.Outcome) (
	ops []*ephemeral.Op, location func() (string, error), err error,
) {
	if strings.HasPrefix(i.Request.ResponseMode, "form_post") {
		return nil, nil, nil
	}
	e, err := s.end(i, o)
	if err != nil {
		return nil, nil, err
	}
	return e.ops, func() (string, error) {
		if e.lost() {
			return "", nil
		}
		params, err := s.complete(r.Context(), e.request, e.params)
		return oauth.WithParams(e.request.RedirectURI, params), err
	}, nil
}

// redirect sends an OAuth error to the client (RFC 6749 §4.1.2.1).
func (s *Service) redirect(w http.ResponseWriter, r *http.Request, req idp.Request, bad *oauth.Error) error {
	return s.answer(w, r, req, errorParams(bad))
}

func errorParams(bad *oauth.Error) url.Values {
	params := url.Values{"error": {bad.Code}}
	if bad.Description != "" {
		params.Set("error_description", oauth.Describable(bad.Description))
	}
	return params
}

// complete returns all parameters of an authorization response. Each names its issuer (RFC 9207), so that a client of
// several providers cannot mistake it for another provider's.
func (s *Service) complete(ctx context.Context, req idp.Request, params url.Values) (url.Values, error) {
	if code := params.Get("error"); code != "" {
		web.Note(ctx, slog.String("oauth_error", code),
			slog.String("oauth_error_description", params.Get("error_description")))
	}
	params.Set("iss", s.cfg.Catalog.Issuer)
	if req.State != "" {
		params.Set("state", req.State)
	}
	if req.ResponseAlg == "" {
		return params, nil
	}
	return s.signedAnswer(ctx, req, params)
}

// answer sends an authorization response.
func (s *Service) answer(w http.ResponseWriter, r *http.Request, req idp.Request, params url.Values) error {
	params, err := s.complete(r.Context(), req, params)
	if err != nil {
		return err
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
		Once:       true,
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
