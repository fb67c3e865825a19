package adminapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/pkg/adminapi"
)

// An ExplainInput asks about a request and a session.
type ExplainInput struct {
	By
	Link    string `query:"link" maxLength:"16384" doc:"A link to the authorization endpoint, or its query."`
	Client  string `query:"client_id" maxLength:"2048" doc:"Instead of a link: the usual request of this client."`
	User    string `query:"user" maxLength:"400" doc:"ID or e-mail address; missing: nobody is signed in."`
	Session string `query:"session" maxLength:"256" doc:"A session of the user; missing: the newest, or else a sign-in of now with their newest passkey."`
}

// explain adds the operation that says what a request leads to. It shows sessions and clients, so it needs the scope
// for everything.
func (a *API) explain(api huma.API) {
	type answer struct{ Body adminapi.Explanation }
	register(api, operation{
		"explain", "GET", "/explain", "Say what an authorization request leads to, check by check", "server",
		adminapi.ScopeRead, 0, false,
	}, func(ctx context.Context, in *ExplainInput) (*answer, error) {
		if err := a.cfg.Operations.MayRead(ctx, in.actor); err != nil {
			return nil, err
		}
		question, err := a.asked(ctx, in)
		if err != nil {
			return nil, err
		}
		sess, whose, err := a.sessionOf(ctx, in)
		if err != nil {
			return nil, err
		}
		found, err := a.cfg.Explain.Explain(ctx, question, sess)
		if err != nil {
			return nil, err
		}
		text, err := json.Marshal(found)
		out := &answer{}
		if err == nil {
			err = json.Unmarshal(text, &out.Body)
		}
		out.Body.Session = whose
		if err != nil {
			return nil, fmt.Errorf("write explanation: %w", err)
		}
		return out, nil
	})
}

// asked returns the request that the caller asks about.
func (a *API) asked(ctx context.Context, in *ExplainInput) (q explain.Question, err error) {
	if (in.Link == "") == (in.Client == "") {
		return q, directory.Faults{{Field: "link", Text: "give either link or client_id"}}
	}
	if in.Link != "" {
		q.Form, err = explain.ParseLink(in.Link)
		if errors.Is(err, explain.ErrLink) {
			err = directory.Faults{{Field: "link", Text: err.Error()}}
		}
		return q, err
	}
	c, err := a.cfg.Operations.Clients.Get(ctx, in.actor, in.Client)
	if errors.Is(err, idp.ErrNotFound) {
		return q, directory.Faults{{Field: "client_id", Text: "there is no such client"}}
	}
	return explain.Usual(c), err
}

// sessionOf returns the session that the caller asks about, and whose it is; nil: nobody is signed in.
func (a *API) sessionOf(ctx context.Context, in *ExplainInput) (*idp.Session, *adminapi.ExplainedSession, error) {
	if in.User == "" {
		return nil, nil, nil
	}
	users := a.cfg.Operations.Users
	u, err := users.Find(ctx, in.actor, in.User)
	if errors.Is(err, idp.ErrNotFound) {
		return nil, nil, directory.Faults{{Field: "user", Text: "there is no such user"}}
	}
	if err != nil {
		return nil, nil, err
	}
	whose := &adminapi.ExplainedSession{UserID: u.ID, Email: u.Email}
	sess, err := chosen(ctx, users, in, u.ID)
	switch {
	case err != nil:
		return nil, nil, err
	case sess != nil:
		whose.SessionID, whose.Agent = sess.ID, sess.Agent
		return sess, whose, nil
	}
	keys, err := users.Passkeys(ctx, in.actor, u.ID)
	if err != nil {
		return nil, nil, err
	}
	for _, k := range slices.Backward(keys) {
		if !k.Suspended() {
			whose.Passkey = k.Name
			return login.Supposed(k, time.Now()), whose, nil
		}
	}
	return nil, whose, nil
}

// chosen returns the session that the caller names, or the newest; nil: there is none.
func chosen(ctx context.Context, users *admin.Users, in *ExplainInput, id string) (*idp.Session, error) {
	sessions, err := users.Sessions(ctx, in.actor, id)
	if err != nil {
		return nil, err
	}
	for i, s := range sessions {
		if in.Session == "" || s.ID == in.Session {
			return &sessions[i], nil
		}
	}
	if in.Session != "" {
		return nil, directory.Faults{{Field: "session", Text: "is not a session of this user"}}
	}
	return nil, nil
}
