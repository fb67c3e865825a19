package authorize

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// errOutage is what a client is told of a silent request (RFC 6749 §4.1.2.1): it shows no page, so ours would be seen
// by nobody.
var errOutage = oauth.Refuse("temporarily_unavailable", "try again in a moment")

// silent reports whether a request may show no page.
func silent(form url.Values) bool { return slices.Contains(oauth.Words(form.Get("prompt")), "none") }

// outage reports whether err is of a store that is out of order, or of a server that is stopping.
func outage(ctx context.Context, err error) bool {
	return errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
		err != nil && errors.Is(context.Cause(ctx), web.ErrStopping)
}

// answerOutage answers a silent request whose client cannot be loaded, as the client was last seen: nobody is
// redirected to an address that was not registered. It returns err if that cannot be known.
func (s *Service) answerOutage(w http.ResponseWriter, r *http.Request, form url.Values, err error) error {
	if !outage(r.Context(), err) || !silent(form) {
		return err
	}
	if form.Has("request") || form.Has("request_uri") || s.cfg.RequirePAR { // the redirect URI is elsewhere
		return err
	}
	if len(form["client_id"]) != 1 || len(form["redirect_uri"]) != 1 {
		return err
	}
	client, ok := s.cfg.DB.LastClient(form.Get("client_id"))
	if !ok || client.MustPush() || client.RequireSignedRequest || ownRedirect(r.Context(), client, form) != nil {
		return err
	}
	req := idp.Request{ClientID: client.ID, RedirectURI: form.Get("redirect_uri")}
	if manner(form, client, &req) != nil {
		return err
	}
	return s.tellOutage(w, r, req, err)
}

// tellOutage sends the client temporarily_unavailable. Nothing is stored for it.
func (s *Service) tellOutage(w http.ResponseWriter, r *http.Request, req idp.Request, err error) error {
	_ = oauth.Broken(r.Context(), "silent request", err) // for the record
	return s.redirect(w, r, req, errOutage)
}
