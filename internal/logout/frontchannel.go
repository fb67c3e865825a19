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

// maxFrames bounds how many clients one page tells.
const maxFrames = 20

// logoutFrames are the addresses by which the clients of a session hear of its end in the person's own browser (OpenID Connect
// Front-Channel Logout 1.0 §3). iss and sid are always there.
func (s *Service) logoutFrames(ctx context.Context, clientIDs []string, sessionID string) (frames []string) {
	for _, id := range clientIDs {
		c, err := s.cfg.DB.Client(ctx, id)
		if err != nil || c.FrontchannelLogoutURI == "" {
			continue // whatever is wrong with this client: the others are told
		}
		frames = append(frames, oauth.WithParams(c.FrontchannelLogoutURI, url.Values{"iss": {s.cfg.Issuer}, "sid": {s.cfg.Names.SID(c, sessionID)}}))
		if len(frames) == maxFrames {
			break
		}
	}
	return frames
}

// showLoggedOut says that one is signed out. With frames to show it goes on when they have loaded; without script there is a
// link. It may be loaded again: that ends nothing that has not ended.
func (s *Service) showLoggedOut(w http.ResponseWriter, r *http.Request) error {
	page := web.Page{Name: "logged-out", Title: "Signed out"}
	l, err := s.logouts.Get(r.Context(), idp.Secret(r.FormValue("l")).Hash())
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("get logout: %w", err)
	}
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
