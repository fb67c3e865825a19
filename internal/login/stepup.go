package login

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// A stepUp is the data of stepup.html.
type stepUp struct {
	screen
	Ceremony, Options string
	// Immediate means that each of the user's passkeys will do, so that the browser may offer those on this device.
	Immediate bool
	Why       words.Text    // one sentence
	Last      time.Duration // since the last ceremony; zero: not shown
	Window    time.Duration // of the action class; zero: none
	Shared    bool          // the window is also open for other first-party applications
	Asks      *asks         // access that the person allows with it; nil: none
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
	var classes []string
	for _, class := range v.interaction.Requirement.ActionClasses {
		classes = append(classes, class.Name)
	}
	web.Note(r.Context(), slog.String("step_up", step.Check), slog.String("class", strings.Join(classes, " ")))
	d := stepUp{screen: screenOf(v, f), Ceremony: cer.ID, Options: string(options), Why: why(f, step)}
	d.Immediate = len(step.Passkeys) == len(f.Passkeys)
	if last, ok := v.session.Latest(); ok {
		d.Last = f.Now.Sub(last.At).Truncate(time.Minute) // zero below a minute
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
	p := newPage(v, f, "stepup", d)
	p.User = user
	return l.cfg.Shell.Render(w, r, l.pages, "stepup", p)
}

// why returns the purpose of the ceremony in one sentence.
func why(f Facts, step Step) words.Text {
	if local := f.Interaction.Local; local != nil {
		return reasonFor(local, "stepup")
	}
	if f.Interaction.Request.Device != "" {
		return words.T("stepup.device", "app", f.Client.Name)
	}
	var actions []string
	for _, class := range f.Interaction.Requirement.ActionClasses {
		if class.Description != "" {
			actions = append(actions, class.Description)
		}
	}
	if len(actions) > 0 { // one ceremony opens all of them, so name all
		return words.T("stepup.actions", "app", f.Client.Name, "actions", words.And(actions...))
	}
	switch idp.Check(step.Check) {
	case idp.CheckLive:
		return words.T("stepup.live", "app", f.Client.Name)
	case idp.CheckMaxAge: // possibly seconds ago
		return words.T("stepup.recent", "app", f.Client.Name)
	case idp.CheckMinimumACR, idp.CheckACR:
		return words.T("stepup.stronger", "app", f.Client.Name)
	}
	return words.T("stepup.again", "app", f.Client.Name)
}
