package account

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

type sessionsPage struct {
	Sessions []idp.Session
	Current  string // ID of this session
	Windows  []openWindow
	Notice   words.Text
}

var sessionNotices = map[string]string{
	"revoked": "sessions.revoked",
	"closed":  "sessions.closed",
	"others":  "sessions.others",
	"all":     "sessions.all",
}

func (a *Account) showSessions(w http.ResponseWriter, r *http.Request, v visitor) error {
	sessions, err := a.cfg.Sessions.List(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	windows, err := a.openWindows(r.Context(), v.User.ID, sessions, time.Now())
	if err != nil {
		return err
	}
	data := sessionsPage{
		Sessions: sessions, Current: v.Session.ID, Windows: windows,
		Notice: words.T(sessionNotices[r.URL.Query().Get("done")]),
	}
	return a.renderHouse(w, r, v, "sessions", web.Page{Nav: "Sessions", Data: data})
}

func (a *Account) revokeSession(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "id")
	if err != nil {
		return err
	}
	if typed[0] == v.Session.ID {
		return a.signOut(w, r)
	}
	err = a.revoke(r, v, typed[0])
	if errors.Is(err, idp.ErrNotFound) {
		return &web.Problem{
			Status: http.StatusNotFound, Words: "sessions.gone", NextURL: "/account/sessions",
		}
	} else if err != nil {
		return err
	}
	return house.SeeOther(w, r, "/account/sessions?done=revoked")
}

// revoke ends a session of the visitor and the tokens issued in it, except for offline access. idp.ErrNotFound if the
// visitor has no such session.
func (a *Account) revoke(r *http.Request, v visitor, sid string) error {
	if err := a.cfg.Sessions.Revoke(r.Context(), v.User.ID, sid); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	return a.house.EndTokens(r, idp.EventSessionRevoked, v.User.ID, sid)
}

func (a *Account) revokeOthers(w http.ResponseWriter, r *http.Request, v visitor) error {
	if err := a.house.EndAll(r, v.User.ID, v.Session.ID); err != nil {
		return err
	}
	typed, err := enrol.ReadForm(r, "offline")
	if err != nil {
		return err
	}
	if typed[0] == "" {
		return house.SeeOther(w, r, "/account/sessions?done=others")
	}
	ev := web.Event(r, idp.EventOfflineEnded, v.User.ID)
	ev.SessionID = v.Session.ID
	if err := a.cfg.DB.RevokeOffline(r.Context(), v.User.ID, v.Session.ID, time.Now(), ev); err != nil {
		return fmt.Errorf("end offline access: %w", err)
	}
	return house.SeeOther(w, r, "/account/sessions?done=all")
}

// signOut ends this browser's session, if it has one.
func (a *Account) signOut(w http.ResponseWriter, r *http.Request) error {
	sess, err := a.cfg.Sessions.Current(r.Context(), r)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load session: %w", err)
	}
	if err == nil {
		if err := a.house.EndOwn(w, r, sess); err != nil {
			return err
		}
	}
	return house.SeeOther(w, r, "/account/signed-out")
}

func (a *Account) showSignedOut(w http.ResponseWriter, r *http.Request) error {
	return a.cfg.Shell.Render(w, r, a.pages, "signed-out", web.Page{
		Name: "logged-out", Layout: web.LayoutThreshold,
	})
}
