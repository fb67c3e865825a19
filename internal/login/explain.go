package login

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// Results of a check in an explanation.
const (
	Passed     = "passed"      // nothing of this was left to do
	Decided    = "decided"     // this check decided
	NotReached = "not_reached" // an earlier check decided
)

// A Verdict is what one check of [Decide] came to. Step is what it asks for if it decides.
type Verdict struct {
	Check  string `json:"check"`
	Step   Kind   `json:"step"`
	Result string `json:"result"`
}

// A Weighed is an authentication of a session. Lacks is the first check that it fails; empty: none of those made.
type Weighed struct {
	idp.HeldAuthentication
	Lacks idp.Check
}

// An Explanation is a decision with everything that it was made of.
type Explanation struct {
	Facts    Facts
	Step     Step
	Verdicts []Verdict
	// Weighed are the authentications of the session, and what each of them lacks.
	Weighed []Weighed
	// Needs is the requirement that they were compared with.
	Needs idp.Requirement
	// Missing are the scopes and resources that the user has not allowed the client.
	Missing []string
}

// Explain decides about an interaction and a session, which may be nil, as the sign-in pages would, and says why. It
// changes nothing.
func Explain(
	ctx context.Context, db *store.DB, p idp.Policy, signUp bool, i idp.Interaction, s *idp.Session,
) (Explanation, error) {
	d := decider{&Config{DB: db, Policy: p, SignUp: signUp}}
	f, err := d.facts(ctx, visit{interaction: i, session: s})
	if err != nil {
		return Explanation{}, err
	}
	if f, _, err = d.lookUp(ctx, f); err != nil {
		return Explanation{}, err
	}
	return explain(f), nil
}

// explain is Decide, and says what each check came to.
func explain(f Facts) Explanation {
	q := ask(f)
	at := deciding(q)
	e := Explanation{Facts: f, Step: decide(f, q, at), Needs: q.need, Missing: q.missing}
	lacks := map[string]idp.Check{}
	f.Policy.Weigh(f.Session, f.Interaction.ID, q.need, q.relaxed, f.Now, lacks)
	if f.Session != nil {
		for _, held := range f.Session.Authentications {
			e.Weighed = append(e.Weighed, Weighed{held, lacks[held.ID]})
		}
	}
	for i, c := range checks {
		v := Verdict{Check: c.name, Step: c.step, Result: Passed}
		switch {
		case i == at:
			v.Result = Decided
		case at >= 0 && i > at:
			v.Result = NotReached
		}
		e.Verdicts = append(e.Verdicts, v)
	}
	return e
}

// Supposed returns a session in which a user has just signed in with a passkey, for an explanation of what would happen
// then.
func Supposed(k idp.Passkey, now time.Time) *idp.Session {
	s := &idp.Session{ID: idp.NewID(), UserID: k.UserID, CreatedAt: now, SeenAt: now, ExpiresAt: now.Add(time.Hour)}
	s.AddAuthentication(idp.Authentication{
		ID: idp.NewID(), UserID: k.UserID, PasskeyID: k.ID, At: now, Purpose: idp.PurposeSignIn, UserVerified: true,
		BackupEligible: k.Synced(), HardwareBound: k.HardwareBound(),
	})
	return s
}
