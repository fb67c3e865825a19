package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/enrol"
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
	sessions, err := a.cfg.Sessions.List(r.Context(), v.user.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	windows, err := a.openWindows(r.Context(), v.user.ID, sessions, time.Now())
	if err != nil {
		return err
	}
	data := sessionsPage{
		Sessions: sessions, Current: v.session.ID, Windows: windows,
		Notice: words.T(sessionNotices[r.URL.Query().Get("done")]),
	}
	return a.renderHouse(w, r, v, "sessions", web.Page{Nav: "Sessions", Data: data})
}

func (a *Account) revokeSession(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "id")
	if err != nil {
		return err
	}
	if typed[0] == v.session.ID {
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
	return seeOther(w, r, "/account/sessions?done=revoked")
}

// revoke ends a session of the visitor and the tokens issued in it, except for offline access. idp.ErrNotFound if the
// visitor has no such session.
func (a *Account) revoke(r *http.Request, v visitor, sid string) error {
	if err := a.cfg.Sessions.Revoke(r.Context(), v.user.ID, sid); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	return a.endSession(r, idp.EventSessionRevoked, v.user.ID, sid)
}

// endSession revokes the tokens of a session that has ended, and queues the logout requests to its clients.
func (a *Account) endSession(r *http.Request, kind idp.EventKind, userID, sid string) error {
	ev := web.Event(r, kind, userID)
	ev.SessionID = sid
	// The session has already ended, so its tokens must end even if the browser disconnects.
	if _, err := a.cfg.DB.EndSession(context.WithoutCancel(r.Context()), userID, sid, time.Now(), ev); err != nil {
		return fmt.Errorf("end tokens of the session: %w", err)
	}
	return nil
}

func (a *Account) revokeOthers(w http.ResponseWriter, r *http.Request, v visitor) error {
	ended, err := a.cfg.Sessions.RevokeAll(r.Context(), v.user.ID, v.session.ID)
	if err != nil {
		return fmt.Errorf("revoke sessions: %w", err)
	}
	for _, sid := range ended {
		if err := a.endSession(r, idp.EventSessionRevoked, v.user.ID, sid); err != nil {
			return err
		}
	}
	typed, err := enrol.ReadForm(r, "offline")
	if err != nil {
		return err
	}
	if typed[0] == "" {
		return seeOther(w, r, "/account/sessions?done=others")
	}
	ev := web.Event(r, idp.EventOfflineEnded, v.user.ID)
	ev.SessionID = v.session.ID
	if err := a.cfg.DB.RevokeOffline(r.Context(), v.user.ID, v.session.ID, time.Now(), ev); err != nil {
		return fmt.Errorf("end offline access: %w", err)
	}
	return seeOther(w, r, "/account/sessions?done=all")
}

// signOut ends this browser's session, if it has one.
func (a *Account) signOut(w http.ResponseWriter, r *http.Request) error {
	sess, err := a.cfg.Sessions.Current(r.Context(), r)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load session: %w", err)
	}
	if err == nil {
		if err := a.endOwnSession(w, r, sess); err != nil {
			return err
		}
	}
	return seeOther(w, r, "/account/signed-out")
}

// endOwnSession ends this browser's session and the tokens issued in it.
func (a *Account) endOwnSession(w http.ResponseWriter, r *http.Request, sess *idp.Session) error {
	if err := a.cfg.Sessions.End(r.Context(), w, r); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return a.endSession(r, idp.EventSignedOut, sess.UserID, sess.ID)
}

func (a *Account) showSignedOut(w http.ResponseWriter, r *http.Request) error {
	return a.cfg.Shell.Render(w, r, a.pages, "signed-out", web.Page{
		Name: "logged-out", Layout: web.LayoutThreshold,
	})
}
