// Package tryout lets an admin run a sign-in as a client of theirs, and shows what the client would get and why.
//
//	client's page ─▶ Start ─▶ the request, as the client sends it ─▶ /login (package login) ─▶ Respond ─▶ the page
//
// The pages of the sign-in and the code that decides are those of every request. Only the end differs: instead of a
// code for the client there is a preview, in which nothing is signed and of which nothing is stored but the page
// itself, for some minutes and for the admin's session (docs/decisions/0042).
package tryout

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// Path is where a try begins and is shown.
const Path = desk.Path + "/try"

// keptFor is how long a try may take, and then how long its page is kept.
const keptFor = 10 * time.Minute

//go:embed pages/*.html
var files embed.FS

// Config wires a Tryout. All fields are needed.
type Config struct {
	Desk       *desk.Desk
	Sessions   *session.Sessions
	Ephemeral  ephemeral.Store
	Operations *admin.Operations
	Explain    explain.Service
	// Begin is login.Login.Begin, and Preview provider.Provider.Preview.
	Begin   oauth.Begin
	Preview func(context.Context, idp.Client, idp.Request, idp.Outcome) (token.Preview, error)
}

// Tryout runs tries. It is safe for concurrent use.
type Tryout struct {
	cfg     Config
	pages   *web.Pages
	started ephemeral.Bucket[try] // waits for its end, which takes it
	ended   ephemeral.Bucket[try]
}

// A try is one of a client. It belongs to a session, and nobody else sees it.
type try struct {
	UserID    string     `json:"user"`
	SessionID string     `json:"sid"`
	ClientID  string     `json:"client"`
	Name      string     `json:"name"` // of the client
	Form      url.Values `json:"form"` // the request
	// First is what the request led to when it came, Last what the session had to show in the end.
	First explain.Answer  `json:"first"`
	Last  *explain.Answer `json:"last,omitempty"`
	// Error is what the client would get instead of a code; nil: a code, and for it Preview.
	Error   *token.Refusal `json:"error,omitempty"`
	Preview *token.Preview `json:"preview,omitempty"`
}

// New parses the pages.
func New(cfg Config) (*Tryout, error) {
	pages, err := cfg.Desk.Parse(files)
	if err != nil {
		return nil, fmt.Errorf("pages of tries: %w", err)
	}
	return &Tryout{
		cfg: cfg, pages: pages, started: ephemeral.NewBucket[try](cfg.Ephemeral, "try", keptFor),
		ended: ephemeral.NewBucket[try](cfg.Ephemeral, "tried", keptFor),
	}, nil
}

// Mount adds the pages.
func (t *Tryout) Mount(m desk.Mounting) {
	m.Start("POST "+Path, desk.Path+"/clients", t.start)
	m.Get("GET "+Path+"/{try}", t.show)
}

// may denies a try to those who could not have registered the client: it is they who mend what it shows.
func may(v desk.Visitor) error {
	if v.Changes() {
		return nil
	}
	return &admin.Denied{Rule: "role", Text: "the role " + v.User.Role.Name() + " does not allow this"}
}

// start begins a try.
func (t *Tryout) start(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	ctx := r.Context()
	if err := may(v); err != nil {
		return err
	}
	if over, err := limit.Exceeded(ctx, t.cfg.Ephemeral, limit.Tries.Of(v.User.ID)); err != nil {
		return fmt.Errorf("count tries: %w", err)
	} else if over {
		return &web.Problem{
			Status: http.StatusTooManyRequests, Limit: limit.Tries, Code: "too_many_requests", Words: "console.try.toomany",
			NextURL: desk.Path,
		}
	}
	c, err := t.cfg.Operations.Clients.Get(ctx, v.Actor, desk.Query(r.PostForm, "id"))
	if err != nil {
		return err
	}
	is := try{
		UserID: v.User.ID, SessionID: v.Session.ID, ClientID: c.ID, Name: c.Name, Form: requestOf(c, r.PostForm),
	}
	first, read, err := t.cfg.Explain.Read(ctx, is.Form, true)
	if err != nil {
		return err
	}
	id := idp.NewSecret().Reveal()
	if is.First = first; first.Ended() {
		if err := t.finish(r, id, is); err != nil {
			return err
		}
		return desk.SeeOther(w, r, Path+"/"+id)
	}
	req := read.Request
	req.Try = id
	is.First, err = t.cfg.Explain.Begun(ctx, first, idp.NewInteraction(req, read.Need, time.Now()), v.Session)
	if err != nil {
		return err
	}
	if err := t.started.Put(ctx, id, is); err != nil {
		return fmt.Errorf("begin try: %w", err)
	}
	location, err := t.cfg.Begin(ctx, w, r, req, read.Need)
	if err != nil || location == "" {
		return err
	}
	return desk.SeeOther(w, r, location)
}

// Respond ends the interaction of a try. It takes both from the store, so that a try ends once.
func (t *Tryout) Respond(w http.ResponseWriter, r *http.Request, i idp.Interaction, o idp.Outcome) error {
	ctx := r.Context()
	take := t.started.TakeOp(i.Request.Try)
	over := &ephemeral.Op{Verb: ephemeral.Take, Key: idp.InteractionBucket + ":" + i.ID}
	if err := t.cfg.Ephemeral.Do(ctx, take, over); err != nil {
		return fmt.Errorf("end try: %w", err)
	}
	is, err := t.started.Decode(take)
	if errors.Is(err, idp.ErrNotFound) {
		return &web.Problem{Status: http.StatusGone, Words: "console.try.gone", NextURL: desk.Path, Err: err}
	} else if err != nil {
		return fmt.Errorf("end try: %w", err)
	}
	sess, err := t.cfg.Sessions.Current(ctx, r)
	if err != nil && !errors.Is(err, idp.ErrNotFound) {
		return fmt.Errorf("load session: %w", err)
	}
	if err != nil || !is.of(sess) || o.Error == "" && o.UserID != is.UserID {
		return &web.Problem{Status: http.StatusForbidden, Words: "console.try.foreign", NextURL: desk.Path}
	}
	last, err := t.cfg.Explain.Begun(ctx, explain.Answer{ClientID: is.ClientID, Scopes: is.First.Scopes}, i, sess)
	if err != nil {
		return err
	}
	is.Last = &last
	if o.Error != "" {
		is.Error = &token.Refusal{Error: o.Error, Description: o.Description}
	} else if err := t.preview(ctx, &is, i.Request, o); err != nil {
		return err
	}
	if err := t.finish(r, i.Request.Try, is); err != nil {
		return err
	}
	return desk.SeeOther(w, r, Path+"/"+i.Request.Try)
}

// of reports whether a try belongs to a session.
func (is try) of(sess *idp.Session) bool { return sess.ID == is.SessionID && sess.UserID == is.UserID }

func (t *Tryout) preview(ctx context.Context, is *try, req idp.Request, o idp.Outcome) error {
	c, err := t.cfg.Operations.DB().Client(ctx, is.ClientID)
	if err != nil {
		return fmt.Errorf("load client: %w", err)
	}
	p, err := t.cfg.Preview(ctx, c, req, o)
	if err != nil {
		return fmt.Errorf("preview tokens: %w", err)
	}
	is.Preview = &p
	return nil
}

// finish keeps the page of a try, and records the try.
func (t *Tryout) finish(r *http.Request, id string, is try) error {
	ctx := r.Context()
	e := web.Event(r, idp.EventClientTried, "")
	e.ActorID, e.ClientID, e.SessionID = is.UserID, is.ClientID, is.SessionID
	e.Detail = map[string]string{"by": string(admin.ChannelConsole), "outcome": is.outcome()}
	if err := t.cfg.Operations.DB().RecordEvents(ctx, e); err != nil {
		return fmt.Errorf("record try: %w", err)
	}
	if err := t.ended.Put(ctx, id, is); err != nil {
		return fmt.Errorf("keep try: %w", err)
	}
	return nil
}

// outcome returns in a word what the client would get.
func (is try) outcome() string {
	switch {
	case is.First.Unusable != "":
		return "unusable"
	case is.First.Refused != nil:
		return is.First.Refused.Error
	case is.Error != nil:
		return is.Error.Error
	case is.Preview.Refused != nil:
		return is.Preview.Refused.Error
	}
	return "tokens"
}
