package login

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// A stepUp is the data of stepup.html.
type stepUp struct {
	screen
	Ceremony, Options string
	Why               string        // one sentence
	Last              string        // "12 minutes"; empty: not shown
	Window            time.Duration // of the action class; zero: none
	Shared            bool          // the window is also open for other first-party applications
	Asks              *asks         // access that the person allows with it; nil: none
}

func (l *Login) showStepUp(w http.ResponseWriter, r *http.Request, v visit, f Facts, step Step) error {
	user, err := l.loadPerson(w, r, v)
	if user == nil {
		return err
	}
	cer, options, err := l.newStepUp(r.Context(), v, step)
	if err != nil {
		return err
	}
	d := stepUp{screen: screenOf(v, f), Ceremony: cer.ID, Options: string(options), Why: why(f, step)}
	if last, ok := v.session.Latest(); ok {
		d.Last = inWords(f.Now.Sub(last.At))
	}
	for _, class := range v.interaction.Requirement.ActionClasses {
		d.Shared = d.Shared || class.Shared && f.Client.FirstParty
		if d.Window == 0 || class.Window < d.Window {
			d.Window = class.Window
		}
	}
	if d.Asks, err = consentAfter(r.Context(), l.cfg.DB, v, f); err != nil {
		return err
	}
	p := newPage(v, f, "stepup", "Confirm it’s you", d)
	p.User = user
	return l.cfg.Shell.Render(w, r, l.pages, "stepup", p)
}

// why returns the purpose of the ceremony in one sentence.
func why(f Facts, step Step) string {
	if local := f.Interaction.Local; local != nil {
		return "Confirm it’s you to " + local.Reason + "."
	}
	if f.Interaction.Request.Device != "" {
		return "Confirm it’s you to sign in to " + f.Client.Name + " on another device."
	}
	asks := f.Client.Name + " asks you to confirm it’s you"
	var actions []string
	for _, class := range f.Interaction.Requirement.ActionClasses {
		if class.Description != "" {
			actions = append(actions, class.Description)
		}
	}
	if len(actions) > 0 { // one ceremony opens all of them, so name all
		return asks + " before you " + strings.Join(actions, " and ") + "."
	}
	switch idp.Check(step.Check) {
	case idp.CheckLive:
		return asks + ", because your last sign-in was a while ago."
	case idp.CheckMaxAge: // possibly seconds ago
		return asks + ", because it wants a more recent sign-in."
	case idp.CheckMinimumACR, idp.CheckACR:
		return asks + " with a passkey that offers more protection."
	}
	return asks + " again."
}

// inWords formats a duration. It rounds down, so that nothing looks older than it is. Under a minute it returns "".
func inWords(d time.Duration) string {
	for _, unit := range []struct {
		size time.Duration
		name string
	}{{24 * time.Hour, "day"}, {time.Hour, "hour"}, {time.Minute, "minute"}} {
		switch n := int(d / unit.size); {
		case n == 1:
			return "1 " + unit.name
		case n > 1:
			return fmt.Sprintf("%d %ss", n, unit.name)
		}
	}
	return ""
}

// WindowInWords formats the window for the page.
func (s stepUp) WindowInWords() string {
	if s.Window < time.Minute {
		return fmt.Sprintf("%d seconds", int(s.Window/time.Second))
	}
	return inWords(s.Window)
}
