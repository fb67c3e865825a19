package logout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// maxFrames is the number of clients that one page notifies.
const maxFrames = 20

// logoutFrames returns the URLs that notify clients of the end of a session through the user's browser (OpenID Connect
// Front-Channel Logout 1.0 §3). iss and sid are always included.
func (s *Service) logoutFrames(ctx context.Context, clientIDs []string, sessionID string) (frames []string) {
	for _, id := range clientIDs {
		c, err := s.cfg.DB.Client(ctx, id)
		if err != nil || c.FrontchannelLogoutURI == "" {
			continue // a failure with one client must not affect the others
		}
		frames = append(
			frames,
			oauth.WithParams(c.FrontchannelLogoutURI, url.Values{"iss": {s.cfg.Issuer}, "sid": {s.cfg.Names.SID(c, sessionID)}}),
		)
		if len(frames) == maxFrames {
			break
		}
	}
	return frames
}

// showLoggedOut shows that the user is signed out. With frames, it continues when they have loaded; without scripts
// there is a link. Loading it again changes nothing.
func (s *Service) showLoggedOut(w http.ResponseWriter, r *http.Request) error {
	page := web.Page{Name: "logged-out"}
	l, err := s.logouts.Get(r.Context(), idp.Secret(r.FormValue("l")).Hash())
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("get logout: %w", err)
	}
	web.AskLanguages(r.Context(), append(l.UILocales, oauth.Words(r.FormValue("ui_locales"))...))
	if len(l.Frames) > 0 {
		var next any
		if l.RedirectURI != "" {
			next = oauth.FormTarget(l.target())
		}
		page.Frames = l.Frames
		page.Data = struct {
			Frames []string
			Next   any
			Script string
		}{l.Frames, next, oauth.PathLoggedOutJS}
	}
	return s.cfg.Shell.Render(w, r, s.pages, "logged_out", page)
}

const loggedOutJS = `const next = document.querySelector("a[data-next]");
const go = () => location.replace(next.href);
if (next) {
  addEventListener("load", go);
  setTimeout(go, 5000);
}
`

func (s *Service) loggedOutScript(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/javascript; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, _ = w.Write([]byte(loggedOutJS))
}
