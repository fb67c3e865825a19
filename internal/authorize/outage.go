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

// errOutage is the error for a silent request (RFC 6749 §4.1.2.1). Such a request shows no page, so nobody would see
// ours.
var errOutage = oauth.Refuse("temporarily_unavailable", "try again in a moment")

// silent reports whether a request must not show a page.
func silent(form url.Values) bool { return slices.Contains(oauth.Words(form.Get("prompt")), "none") }

// outage reports whether err comes from a store that is unavailable, or from a server that is stopping.
func outage(ctx context.Context, err error) bool {
	return errors.Is(err, idp.ErrUnavailable) || errors.Is(err, context.DeadlineExceeded) ||
		err != nil && errors.Is(context.Cause(ctx), web.ErrStopping)
}

// answerOutage answers a silent request whose client cannot be loaded, with the client as it was last seen: nobody is
// redirected to a URI that was not registered. If it knows no such client, it returns err.
func (s *Service) answerOutage(w http.ResponseWriter, r *http.Request, form url.Values, err error) error {
	if !outage(r.Context(), err) || !silent(form) {
		return err
	}
	if form.Has("request") || form.Has("request_uri") || s.cfg.RequirePAR { // the redirect URI is inside
		return err
	}
	if len(form["client_id"]) != 1 || len(form["redirect_uri"]) != 1 {
		return err
	}
	client, ok := s.cfg.DB.LastClient(form.Get("client_id"))
	if !ok || client.MustPush() || client.RequireSignedRequest || checkRedirect(r.Context(), client, form) != nil {
		return err
	}
	req := idp.Request{ClientID: client.ID, RedirectURI: form.Get("redirect_uri")}
	if readResponseMode(form, client, &req) != nil {
		return err
	}
	return s.sendOutage(w, r, req, err)
}

// sendOutage sends temporarily_unavailable to the client. It stores nothing.
func (s *Service) sendOutage(w http.ResponseWriter, r *http.Request, req idp.Request, err error) error {
	_ = oauth.Broken(r.Context(), "silent request", err) // for the log
	return s.redirect(w, r, req, errOutage)
}
