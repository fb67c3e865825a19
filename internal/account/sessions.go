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
)

type sessionsPage struct {
	Sessions []idp.Session
	Current  string // ID of the visitor's own
	Windows  []openWindow
	Notice   string
}

var sessionNotices = map[string]string{
	"revoked": "That session is signed out.",
	"closed":  "Closed. The next time, you will be asked to confirm it’s you again.",
	"others":  "You are signed out everywhere else.",
	"all":     "You are signed out everywhere else, and applications can no longer act while you are away.",
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
	return a.house(w, r, v, http.StatusOK, "sessions", "Sessions", "Where you are signed in", sessionsPage{
		Sessions: sessions, Current: v.session.ID, Windows: windows, Notice: sessionNotices[r.URL.Query().Get("done")],
	})
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
			Status: http.StatusNotFound, Title: "There’s no such session",
			Text: "It may have ended by itself.", Next: "Back to your sessions", NextURL: "/account/sessions",
		}
	} else if err != nil {
		return err
	}
	return seeOther(w, r, "/account/sessions?done=revoked")
}

// revoke ends a session of the visitor's and what applications got from it, except for those that were allowed to go on
// without it (offline_access). idp.ErrNotFound if it is none of theirs.
func (a *Account) revoke(r *http.Request, v visitor, sid string) error {
	if err := a.cfg.Sessions.Revoke(r.Context(), v.user.ID, sid); err != nil {
		return fmt.Errorf("revoke session: %w", err)
	}
	return a.endSession(r, idp.EventSessionRevoked, v.user.ID, sid)
}

// endSession ends what hangs from a session, and has the applications told that want to know.
func (a *Account) endSession(r *http.Request, kind idp.EventKind, userID, sid string) error {
	ev := web.Event(r, kind, userID)
	ev.SessionID = sid
	// The session has ended already: if the browser goes away now, its tokens must end all the same.
	if _, err := a.cfg.DB.EndSession(context.WithoutCancel(r.Context()), sid, time.Now(), ev); err != nil {
		return fmt.Errorf("end what hangs from the session: %w", err)
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

// signOut ends this browser's session. Without one there is nothing to end, and the page is the same.
func (a *Account) signOut(w http.ResponseWriter, r *http.Request) error {
	sess, err := a.cfg.Sessions.Current(r.Context(), r)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load session: %w", err)
	}
	if err == nil {
		if err := a.leave(w, r, sess); err != nil {
			return err
		}
	}
	return seeOther(w, r, "/account/signed-out")
}

// leave ends the session of this browser and what applications got from it.
func (a *Account) leave(w http.ResponseWriter, r *http.Request, sess *idp.Session) error {
	if err := a.cfg.Sessions.End(r.Context(), w, r); err != nil {
		return fmt.Errorf("end session: %w", err)
	}
	return a.endSession(r, idp.EventSignedOut, sess.UserID, sess.ID)
}

func (a *Account) showSignedOut(w http.ResponseWriter, r *http.Request) error {
	return a.cfg.Shell.Render(w, r, a.pages, "signed-out", web.Page{Name: "logged-out", Title: "Signed out", Layout: web.LayoutThreshold})
}
