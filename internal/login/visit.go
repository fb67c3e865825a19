package login

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A visit is a request to an interaction from the browser it belongs to, with its session.
type visit struct {
	interaction idp.Interaction
	session     *idp.Session // nil: not signed in
}

// visit loads the interaction and the session in one round trip, together with ops. It rejects any browser but the one
// that began the interaction. w may be nil where no page is shown; then an unbound interaction is rejected too.
func (l *Login) visit(w http.ResponseWriter, r *http.Request, id string, ops ...*ephemeral.Op) (visit, error) {
	if id == "" || len(id) > 64 {
		return visit{}, gone(errors.New("no interaction"))
	}
	get, current := l.interactions.GetOp(id), l.cfg.Sessions.CurrentOp(r)
	ops = append(ops, get)
	if current != nil {
		ops = append(ops, current)
	}
	if err := l.cfg.Ephemeral.Do(r.Context(), ops...); err != nil {
		return visit{}, fmt.Errorf("load interaction: %w", err)
	}
	i, err := l.interactions.Decode(get)
	if err != nil {
		return visit{}, gone(err)
	}
	i = restate(l.cfg.Policy, i)
	web.AskLanguages(r.Context(), i.Request.UILocales)
	if w != nil && r.Method == http.MethodGet && i.Browser == "" && !silent(i) {
		if i, err = l.bind(w, r, i); err != nil {
			return visit{}, err
		}
	} else if !l.cfg.Sessions.Browser(r).Matches(i.Browser) && !(silent(i) && r.Method == http.MethodGet) {
		return visit{}, foreign()
	}
	v := visit{interaction: i}
	if current == nil {
		return v, nil
	}
	if v.session, err = l.cfg.Sessions.FromOp(r.Context(), r, current); err != nil && !errors.Is(err, idp.ErrNotFound) {
		return visit{}, fmt.Errorf("load session: %w", err)
	} else if err != nil {
		v.session = nil
	}
	return v, nil
}

// bind gives an interaction that began without the browser cookie (a cross-site POST) to the first browser that shows
// it.
func (l *Login) bind(w http.ResponseWriter, r *http.Request, i idp.Interaction) (idp.Interaction, error) {
	browser := l.cfg.Sessions.EnsureBrowser(w, r)
	i, err := l.interactions.Update(r.Context(), i.ID, lifetime(i), func(i *idp.Interaction) error {
		if i.Browser != "" && !browser.Matches(i.Browser) {
			return foreign()
		}
		i.Browser = browser.Hash()
		return nil
	})
	if errors.Is(err, idp.ErrNotFound) {
		return i, gone(err)
	}
	return restate(l.cfg.Policy, i), err
}

// save saves the result of a screen.
func (l *Login) save(ctx context.Context, v visit, change func(*idp.Interaction)) error {
	_, err := l.interactions.Update(ctx, v.interaction.ID, lifetime(v.interaction), func(i *idp.Interaction) error {
		change(i)
		return nil
	})
	if errors.Is(err, idp.ErrNotFound) {
		return gone(err)
	} else if err != nil {
		return fmt.Errorf("save interaction: %w", err)
	}
	return nil
}

// lifetime returns the remaining life of an interaction. Saving does not extend it.
func lifetime(i idp.Interaction) time.Duration { return max(time.Until(i.ExpiresAt), time.Second) }

// gone returns the error for an interaction that has ended, expired or never existed.
func gone(err error) *web.Problem {
	return &web.Problem{
		Status: http.StatusGone, Code: "interaction_gone", Words: "login.gone", Err: err,
	}
}

// foreign returns the error for a person who opened somebody else's link, or opened a link in another browser.
func foreign() *web.Problem {
	return &web.Problem{
		Status: http.StatusForbidden, Code: "other_browser", Words: "login.foreign",
	}
}
