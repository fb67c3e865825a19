package account

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// longestWindow is how long any window can be open (config: at most 12 hours).
const longestWindow = 12 * time.Hour

// An openWindow is the time in which one authentication still confirms one action class, in its session and for the
// applications that have tokens from it.
type openWindow struct {
	Authentication, Class string
	Action                words.Text // "Make a payment"
	Session               string     // that has the authentication; empty: it has ended
	Agent                 string     // of that session
	Applications          []string   // names of those that have tokens for it
	Until                 time.Time
	Left                  words.Text // "4 minutes"
	Part                  float64    // how much of the window is left, from 1 down to 0, for the ring
}

// openWindows returns the user's open windows. The one that ends first comes first.
func (a *Account) openWindows(
	ctx context.Context, userID string, sessions []idp.Session, now time.Time,
) ([]openWindow, error) {
	var windows []openWindow
	find := func(authentication, class string, at time.Time) *openWindow {
		if i := indexOf(windows, authentication, class); i >= 0 {
			return &windows[i]
		}
		c := a.cfg.Policy.ActionClasses[class] // zero if no longer configured: its window is over
		until := at.Add(c.Window)
		if !now.Before(until) {
			return nil
		}
		windows = append(windows, openWindow{
			Authentication: authentication, Class: class, Action: actionTitle(a.cfg.Policy, class),
			Until: until, Left: inMinutes(until.Sub(now)), Part: float64(until.Sub(now)) / float64(c.Window),
		})
		return &windows[len(windows)-1]
	}
	for _, s := range sessions {
		for _, held := range s.Authentications {
			for _, class := range held.OpenClasses() {
				if w := find(held.ID, class, held.AuthTime()); w != nil {
					w.Session, w.Agent = s.ID, s.Agent
				}
			}
		}
	}
	families, err := a.cfg.DB.RecentFamilies(ctx, userID, now.Add(-longestWindow))
	if err != nil {
		return nil, fmt.Errorf("load families: %w", err)
	}
	for _, f := range families {
		for _, class := range a.cfg.Policy.ActionClassesOf(f.Access()) {
			if !slices.Contains(f.Assurance.ActionClasses, class.Name) {
				continue
			}
			w := find(f.Assurance.AuthenticationID, class.Name, f.Assurance.AuthTime)
			if w == nil {
				continue
			}
			c, err := a.cfg.DB.Client(ctx, f.ClientID)
			if err != nil && !errors.Is(err, idp.ErrNotFound) {
				return nil, fmt.Errorf("load client: %w", err)
			}
			if name := cmp.Or(c.Name, f.ClientID); !slices.Contains(w.Applications, name) {
				w.Applications = append(w.Applications, name)
			}
		}
	}
	slices.SortStableFunc(windows, func(x, y openWindow) int { return x.Until.Compare(y.Until) })
	return windows, nil
}

func indexOf(windows []openWindow, authentication, class string) int {
	return slices.IndexFunc(windows, func(w openWindow) bool {
		return w.Authentication == authentication && w.Class == class
	})
}

// closeWindow closes a window early. Its tokens lose the action class at once wherever the provider checks them, and
// the next such action needs a new confirmation.
func (a *Account) closeWindow(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "authentication", "class")
	if err != nil {
		return err
	}
	now := time.Now()
	sessions, err := a.cfg.Sessions.List(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	windows, err := a.openWindows(r.Context(), v.User.ID, sessions, now)
	if err != nil {
		return err
	}
	i := indexOf(windows, typed[0], typed[1])
	if i < 0 {
		return &web.Problem{
			Status: http.StatusNotFound, Words: "windows.gone", NextURL: "/account/sessions",
		}
	}
	ctx := context.WithoutCancel(r.Context()) // a disconnect must not leave it half closed
	closed := session.Window{UserID: v.User.ID, Session: windows[i].Session, Authentication: typed[0], Class: typed[1]}
	if closed.Session != "" {
		if err := a.cfg.Sessions.CloseWindow(ctx, closed); err != nil {
			return err
		}
	}
	ev := web.Event(r, idp.EventWindowClosed, v.User.ID)
	ev.SessionID, ev.Detail = windows[i].Session, map[string]string{"class": typed[1]}
	if err := a.cfg.DB.CloseWindow(ctx, v.User.ID, typed[0], typed[1], now, ev); err != nil {
		return fmt.Errorf("close window: %w", err)
	}
	return house.SeeOther(w, r, "/account/sessions?done=closed")
}

// Browser describes the browser of the window's session.
func (w openWindow) Browser() words.Text {
	if w.Agent == "" {
		return words.T("windows.unknown")
	}
	return web.AgentWords(w.Agent)
}

// For lists the applications.
func (w openWindow) For() words.Text {
	var names []words.Text
	for _, name := range w.Applications {
		names = append(names, words.Data(name))
	}
	return words.Join("list.comma", names...)
}

// actionTitle describes an action class as the title of a line.
func actionTitle(p idp.Policy, class string) words.Text {
	text := web.ActionWords(p, class)
	if title := text.Key + ".title"; words.Has(title) {
		return words.T(title)
	}
	s := cmp.Or(p.ActionClasses[class].Description, class)
	first, size := utf8.DecodeRuneInString(s)
	return words.Data(string(unicode.ToUpper(first)) + s[size:])
}

// inMinutes rounds up, so that a page never shows a window as over while it is open.
func inMinutes(d time.Duration) words.Text {
	minutes := int((d + time.Minute - 1) / time.Minute)
	hours, rest := words.T("time.hours", "n", minutes/60), words.T("time.minutes", "n", minutes%60)
	switch {
	case minutes < 60:
		return rest
	case minutes%60 == 0:
		return hours
	default:
		return words.T("list.and", "a", hours, "b", rest)
	}
}
