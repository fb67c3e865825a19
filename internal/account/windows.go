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
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// longestWindow is how far back an authentication can be whose window is open (config: at most 12 hours).
const longestWindow = 12 * time.Hour

// An openWindow is what one authentication confirmed for one action class, and is not over: in the session that holds the
// authentication, or in what applications got from it.
type openWindow struct {
	Authentication, Class string
	Action                string   // "Make a payment"
	Session               string   // holds the authentication; empty: ended since
	Agent                 string   // of that session
	Applications          []string // that have a token for it
	Until                 time.Time
	Left                  string  // "4 minutes"
	Part                  float64 // of the window that is left, for the ring
}

// openWindows are the user's, that which ends first first.
func (a *Account) openWindows(ctx context.Context, userID string, sessions []idp.Session, now time.Time) ([]openWindow, error) {
	var windows []openWindow
	find := func(authentication, class string, at time.Time) *openWindow {
		i := slices.IndexFunc(windows, func(w openWindow) bool { return w.Authentication == authentication && w.Class == class })
		if i >= 0 {
			return &windows[i]
		}
		c := a.cfg.Policy.ActionClasses[class] // one that is no longer configured has no window
		until := at.Add(c.Window)
		if !now.Before(until) {
			return nil
		}
		windows = append(windows, openWindow{
			Authentication: authentication, Class: class, Action: sentenceCase(cmp.Or(c.Description, class)),
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

// closeWindow ends a window before its time: what was got for it stops working at once, wherever the provider is asked, and
// the next such action asks again.
func (a *Account) closeWindow(w http.ResponseWriter, r *http.Request, v visitor) error {
	typed, err := enrol.ReadForm(r, "authentication", "class")
	if err != nil {
		return err
	}
	now := time.Now()
	sessions, err := a.cfg.Sessions.List(r.Context(), v.user.ID)
	if err != nil {
		return fmt.Errorf("list sessions: %w", err)
	}
	windows, err := a.openWindows(r.Context(), v.user.ID, sessions, now)
	if err != nil {
		return err
	}
	i := slices.IndexFunc(windows, func(w openWindow) bool { return w.Authentication == typed[0] && w.Class == typed[1] })
	if i < 0 {
		return &web.Problem{
			Status: http.StatusNotFound, Title: "That is not open any more",
			Text: "It may have ended by itself.", Next: "Back to your sessions", NextURL: "/account/sessions",
		}
	}
	ctx := context.WithoutCancel(r.Context()) // half of it would be worse than all of it
	if windows[i].Session != "" {
		if err := a.cfg.Sessions.CloseWindow(ctx, v.user.ID, windows[i].Session, typed[0], typed[1]); err != nil {
			return err
		}
	}
	ev := web.Event(r, idp.EventWindowClosed, v.user.ID)
	ev.SessionID, ev.Detail = windows[i].Session, map[string]string{"class": typed[1]}
	if err := a.cfg.DB.CloseWindow(ctx, v.user.ID, typed[0], typed[1], now, ev); err != nil {
		return fmt.Errorf("close window: %w", err)
	}
	return seeOther(w, r, "/account/sessions?done=closed")
}

func sentenceCase(s string) string {
	first, size := utf8.DecodeRuneInString(s)
	return string(unicode.ToUpper(first)) + s[size:]
}

// inMinutes rounds up, so that a window never seems to be over before it is.
func inMinutes(d time.Duration) string {
	count := func(n int, unit string) string {
		if n == 1 {
			return "1 " + unit
		}
		return fmt.Sprintf("%d %ss", n, unit)
	}
	minutes := int((d + time.Minute - 1) / time.Minute)
	switch hours, rest := minutes/60, minutes%60; {
	case hours == 0:
		return count(minutes, "minute")
	case rest == 0:
		return count(hours, "hour")
	default:
		return count(hours, "hour") + " and " + count(rest, "minute")
	}
}
