package account

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

type application struct {
	ID, Name, LogoURL, URL string
	SignInURL              string       // where the application starts a sign-in; empty: unknown
	Scopes                 []words.Text // as sentences
	Host                   string
	Since, LastUsed        time.Time
	Offline                bool // it may act while the user is away
}

type applicationsPage struct {
	Applications []application
	Notice       words.Text
}

func (a *Account) showApplications(w http.ResponseWriter, r *http.Request, v visitor) error {
	grants, err := a.cfg.DB.GrantsOf(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("load grants: %w", err)
	}
	families, err := a.cfg.DB.RecentFamilies(r.Context(), v.User.ID, time.Time{})
	if err != nil {
		return fmt.Errorf("load families: %w", err)
	}
	used, err := a.lastUses(r.Context(), v.User.ID, families)
	if err != nil {
		return err
	}
	var p applicationsPage
	grants = addFamilies(grants, families)
	for _, g := range grants {
		c, err := a.cfg.DB.Client(r.Context(), g.ClientID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) { // deleted or disabled: its grant can be removed
			return fmt.Errorf("load client: %w", err)
		}
		p.Applications = append(p.Applications, application{
			ID: g.ClientID, Name: cmp.Or(c.Name, g.ClientID), LogoURL: c.LogoURI, URL: c.URI, SignInURL: a.signInURL(c),
			Host: hostOf(c), Scopes: a.describeScopes(sortScopes(g.Scopes)), Since: g.CreatedAt, LastUsed: used[g.ClientID],
		})
		p.Applications[len(p.Applications)-1].Offline = slices.ContainsFunc(families, func(f idp.Family) bool {
			return f.ClientID == g.ClientID && f.Offline
		})
	}
	if r.URL.Query().Get("done") == "removed" {
		p.Notice = words.T("applications.removed")
	}
	return a.renderHouse(w, r, v, "applications", web.Page{Nav: "Applications", Data: p})
}

// addFamilies adds the clients that hold tokens without a grant: first-party clients, which ask for no consent.
func addFamilies(grants []idp.Grant, families []idp.Family) []idp.Grant {
	for _, f := range families { // newest first
		i := slices.IndexFunc(grants, func(g idp.Grant) bool { return g.ClientID == f.ClientID })
		if i < 0 {
			i = len(grants)
			grants = append(grants, idp.Grant{UserID: f.UserID, ClientID: f.ClientID, CreatedAt: f.CreatedAt})
		}
		g := &grants[i]
		if f.CreatedAt.Before(g.CreatedAt) {
			g.CreatedAt = f.CreatedAt
		}
		for _, scope := range f.Scopes {
			if !slices.Contains(g.Scopes, scope) {
				g.Scopes = append(slices.Clone(g.Scopes), scope)
			}
		}
	}
	return grants
}

// signInURL returns the URL at which the client starts a sign-in with this issuer (OIDC Core §4), or "" if it has none.
func (a *Account) signInURL(c idp.Client) string {
	u, err := url.Parse(c.InitiateLoginURI)
	if err != nil || c.InitiateLoginURI == "" {
		return ""
	}
	q := u.Query()
	q.Set("iss", a.cfg.Issuer)
	u.RawQuery = q.Encode()
	return u.String()
}

// describeScopes returns what the scopes allow, as sentences. A scope without a description is shown by name, except
// openid, which only says that the user signed in.
func (a *Account) describeScopes(scopes []string) (list []words.Text) {
	for _, name := range scopes {
		if a.cfg.Policy.DescribeEntry(name) != "" || name != "openid" {
			list = append(list, web.EntryWords(a.cfg.Policy, name))
		}
	}
	return list
}

func (a *Account) removeApplication(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "client")
	if err != nil {
		return err
	}
	ev := web.Event(r, idp.EventConsentRevoked, v.User.ID)
	ev.SessionID, ev.ClientID = v.Session.ID, typed[0]
	err = a.cfg.DB.RemoveGrant(r.Context(), v.User.ID, typed[0], ev)
	if errors.Is(err, idp.ErrNotFound) {
		return &web.Problem{
			Status: http.StatusNotFound, Words: "applications.gone", NextURL: "/account/applications",
		}
	} else if err != nil {
		return fmt.Errorf("remove grant: %w", err)
	}
	return house.SeeOther(w, r, "/account/applications?done=removed")
}
