package account

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A remediesPage tells users what to do about an event that was not theirs. What does not fit the event is empty.
type remediesPage struct {
	Event   activity
	Session string // ID of the session to sign out
	Here    bool   // it happened in this browser
	Ended   bool   // it happened in a session that has ended
	Passkey struct {
		ID, Name string // to remove
		Gone     bool   // it was removed already
	}
	Client  struct{ ID, Name string } // whose access to remove
	Codes   bool                      // to make new recovery codes
	Changed bool                      // to look at the profile
}

// showRemedies answers "That wasn't me" about an event of the user.
func (a activities) showRemedies(w http.ResponseWriter, r *http.Request, v visitor) error {
	e, err := a.records.Event(r.Context(), v.User.ID, bounded(r.PathValue("id")))
	if _, ok := phrases[e.Kind]; errors.Is(err, idp.ErrNotFound) || err == nil && !ok {
		return &web.Problem{Status: http.StatusNotFound, Words: "notme.gone", NextURL: "/account/activity"}
	} else if err != nil {
		return fmt.Errorf("load event: %w", err)
	}
	keys, err := a.passkeyNames(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	p := remediesPage{Event: a.line(r.Context(), e, keys)}
	if err := a.findSession(&p, r, v, e); err != nil {
		return err
	}
	if e.PasskeyID != "" {
		p.Passkey.ID, p.Passkey.Name, p.Passkey.Gone = e.PasskeyID, keys.Names[e.PasskeyID], !slices.ContainsFunc(
			keys.Present, func(k idp.Passkey) bool { return k.ID == e.PasskeyID })
	}
	if e.ClientID != "" {
		if err := a.findClient(&p, r, v, e); err != nil {
			return err
		}
	}
	switch phrases[e.Kind].topic {
	case "recovery":
		p.Codes = true
	case "account":
		p.Changed = true
	}
	return a.renderHouse(w, r, v, "remedies", web.Page{Nav: "Activity", Data: p})
}

func (a activities) findSession(p *remediesPage, r *http.Request, v visitor, e idp.Event) error {
	sessions, err := a.cfg.Sessions.List(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	switch {
	case e.SessionID == "":
	case e.SessionID == v.Session.ID:
		p.Here = true
	case slices.ContainsFunc(sessions, func(s idp.Session) bool { return s.ID == e.SessionID }):
		p.Session = e.SessionID
	default:
		p.Ended = true
	}
	return nil
}

// findClient offers to remove the access of the event's client, if it has any.
func (a activities) findClient(p *remediesPage, r *http.Request, v visitor, e idp.Event) error {
	held, err := a.holders(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	if slices.ContainsFunc(held, func(g idp.Grant) bool { return g.ClientID == e.ClientID }) {
		p.Client.ID, p.Client.Name = e.ClientID, a.takeout.ClientName(r.Context(), e.ClientID)
	}
	return nil
}

// holders returns what the user allowed clients, with those that hold tokens without having asked.
func (a activities) holders(ctx context.Context, userID string) ([]idp.Grant, error) {
	grants, err := a.cfg.DB.GrantsOf(ctx, userID)
	if err != nil {
		return nil, fmt.Errorf("load grants: %w", err)
	}
	families, err := a.cfg.DB.RecentFamilies(ctx, userID, time.Time{})
	if err != nil {
		return nil, fmt.Errorf("load families: %w", err)
	}
	return addFamilies(grants, families), nil
}
