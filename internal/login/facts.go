package login

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// A decider collects the facts for Decide.
type decider struct{ cfg *Config }

// decide looks up the facts of a visit and decides. Groups, passkeys and the grant are only looked up if the result
// depends on them.
func (d decider) decide(ctx context.Context, v visit) (Facts, Step, error) {
	f, err := d.facts(ctx, v)
	if err != nil {
		return f, Step{}, err
	}
	return d.lookUp(ctx, f)
}

// facts returns the facts that need no round trip: clients are cached.
func (d decider) facts(ctx context.Context, v visit) (Facts, error) {
	f := Facts{
		Interaction: v.interaction, Session: v.session, Policy: d.cfg.Policy, SignUp: d.cfg.SignUp, Now: time.Now(),
	}
	if v.interaction.Local != nil {
		return f, nil
	}
	var err error
	if f.Client, err = d.cfg.DB.Client(ctx, v.interaction.Request.ClientID); errors.Is(err, idp.ErrNotFound) {
		return f, &web.Problem{Status: http.StatusBadRequest, Code: "unknown_client", Words: "login.noclient", Err: err}
	} else if err != nil {
		return f, fmt.Errorf("load client: %w", err)
	}
	return f, nil
}

// lookUp decides, and adds what the decision depends on.
func (d decider) lookUp(ctx context.Context, f Facts) (Facts, Step, error) {
	for asked, known := f.Grant != nil, false; ; {
		step := Decide(f)
		switch {
		case step.For == StepUp && f.Passkeys == nil:
			keys, err := d.cfg.DB.PasskeysOf(ctx, f.Session.UserID)
			if err != nil {
				return f, Step{}, fmt.Errorf("load passkeys: %w", err)
			}
			f.Passkeys = append([]idp.Passkey{}, keys...) // not nil, even without passkeys
		case step.For == Deny && !known:
			known = true
			var err error
			f.Member, err = d.cfg.DB.MembershipOf(ctx, f.Session.UserID)
			if err != nil && !errors.Is(err, idp.ErrNotFound) { // a user who is gone is in no group
				return f, Step{}, fmt.Errorf("load groups: %w", err)
			}
		case step.For == Consent && !asked:
			asked = true
			grant, err := d.cfg.DB.Grant(ctx, f.Session.UserID, f.Client.ID)
			if err == nil {
				f.Grant = &grant
			} else if !errors.Is(err, idp.ErrNotFound) {
				return f, Step{}, fmt.Errorf("load grant: %w", err)
			}
		default:
			return f, step, nil
		}
	}
}

// conclude decides about a visit whose session is about to start, and whose grant is known. If nothing
// is left to ask, it returns the ops that end the interaction, and then location, which says after their round trip
// where the browser goes. Otherwise both are nil, and the dispatcher goes on.
func (l *Login) conclude(r *http.Request, v visit, grant *idp.Grant) ([]*ephemeral.Op, location, error) {
	f, err := l.facts(r.Context(), v)
	if err != nil {
		return nil, nil, err
	}
	f.Grant = grant
	step := Decide(f)
	if step.Kind != Finish {
		return nil, nil, nil
	}
	noteStep(r.Context(), f, step)
	if i := v.interaction; i.Local != nil {
		take := l.interactions.TakeOp(i.ID)
		return []*ephemeral.Op{take}, func() (string, error) {
			if !take.Found {
				return "", nil
			}
			return i.Local.ReturnTo, nil
		}, nil
	}
	return l.cfg.Answer(r, v.interaction, l.finished(r, v, f, step))
}

// A location returns where the browser goes after the ops beside it have run; "" if another tab was faster.
type location = func() (string, error)

func noteStep(ctx context.Context, f Facts, step Step) {
	web.Note(
		ctx, slog.String("step", string(step.Kind)), slog.String("check", step.Check), slog.String("client", f.Client.ID),
	)
}
