package console

import (
	"cmp"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/explain"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/login"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const explainPath = Path + "/explain"

// explainer has the page that says why a request is answered as it is.
type explainer struct{ *Console }

func (c explainer) mount(m desk.Mounting) { m.Get("GET "+explainPath, c.show) }

type explainPage struct {
	Link, Client, User string
	Session            string        // the chosen one
	Sessions           []desk.Choice // of the user
	Fault              words.Text
	Asked              bool
	Answer             explain.Answer
	Passkeys           map[string]string // names by ID
}

// passkeyPrefix marks the choice "as if they had just signed in with this passkey".
const passkeyPrefix = "passkey:"

func (c explainer) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	q := r.URL.Query()
	p := explainPage{
		Link: q.Get("link"), Client: desk.Query(q, "client"), User: desk.Query(q, "user"), Session: desk.Query(q, "session"),
		Passkeys: map[string]string{},
	}
	sess, err := c.session(r, v, &p)
	if err != nil {
		return err
	}
	asked, err := c.request(r, v, &p)
	if err != nil {
		return err
	}
	if asked.Form != nil && p.Fault.Key == "" {
		if p.Answer, err = c.cfg.Explain.Explain(r.Context(), asked, sess); err != nil {
			return err
		}
		p.Asked = true
		p.Client = cmp.Or(p.Client, p.Answer.ClientID)
	}
	return c.render(w, r, v, "explain", web.Page{Nav: "Home", Data: p})
}

// request returns the request that the page asks about; without a form: none yet.
func (c explainer) request(r *http.Request, v desk.Visitor, p *explainPage) (q explain.Question, err error) {
	switch {
	case p.Link != "":
		if q.Form, err = explain.ParseLink(p.Link); err != nil {
			p.Fault = words.T("console.explain.badlink")
		}
		return q, nil
	case p.Client != "":
		cl, err := c.cfg.Operations.Clients.Get(r.Context(), v.Actor, p.Client)
		if errors.Is(err, idp.ErrNotFound) {
			p.Fault = words.T("console.explain.noclient")
			return q, nil
		}
		return explain.Usual(cl), err
	}
	return q, nil
}

// session returns the chosen session of the chosen user, the newest if none was chosen; nil: not signed in.
func (c explainer) session(r *http.Request, v desk.Visitor, p *explainPage) (*idp.Session, error) {
	if p.User == "" {
		return nil, nil
	}
	ops := c.cfg.Operations.Users
	u, err := ops.Find(r.Context(), v.Actor, p.User)
	if errors.Is(err, idp.ErrNotFound) {
		p.Fault = words.T("console.explain.nouser")
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	p.User = u.Email
	sessions, err := ops.Sessions(r.Context(), v.Actor, u.ID)
	if err != nil {
		return nil, err
	}
	keys, err := ops.Passkeys(r.Context(), v.Actor, u.ID)
	if err != nil {
		return nil, err
	}
	var chosen *idp.Session
	add := func(value string, text words.Text, s *idp.Session) {
		if p.Session == "" && s != nil { // the first one
			p.Session = value
		}
		if value == p.Session {
			chosen = s
		}
		p.Sessions = append(p.Sessions, desk.Choice{Value: value, Text: text, On: value == p.Session})
	}
	for i, s := range sessions {
		text := words.T("console.explain.session", "agent", web.AgentWords(s.Agent), "at", words.Moment(s.SeenAt))
		add(s.ID, text, &sessions[i])
	}
	for _, k := range keys {
		p.Passkeys[k.ID] = k.Name
		if !k.Suspended() {
			add(passkeyPrefix+k.ID, words.T("console.explain.supposed", "passkey", k.Name), login.Supposed(k, time.Now()))
		}
	}
	add("none", words.T("console.explain.signedout"), nil)
	return chosen, nil
}

// Lack says what an authentication lacks; empty: nothing.
func (p explainPage) Lack(a explain.Authentication) words.Text {
	if a.Lacks == "" {
		return words.Text{}
	}
	return words.T("console.check." + string(a.Lacks))
}

// PasskeyName returns the name of the passkey of an authentication.
func (p explainPage) PasskeyName(a explain.Authentication) string {
	return cmp.Or(p.Passkeys[a.PasskeyID], a.PasskeyID)
}

// Passes reports whether an authentication could be in the tokens.
func (p explainPage) Passes(a explain.Authentication) bool { return a.Lacks == "" }

// Needs lists what the request asks of an authentication, as parameters.
func (p explainPage) Needs() (list []string) {
	n := p.Answer.Needs
	if len(n.ACRValues) > 0 {
		list = append(list, "acr_values="+strings.Join(n.ACRValues, " "))
	}
	if n.Essential {
		list = append(list, "essential")
	}
	if n.MinimumACR != "" {
		list = append(list, "minimum_acr="+n.MinimumACR)
	}
	if n.MaxAge != nil {
		list = append(list, "max_age="+n.MaxAge.String())
	}
	if n.Fresh {
		list = append(list, "prompt=login")
	}
	for _, class := range n.ActionClasses {
		list = append(list, "class="+class.Name+" ("+class.Window.String()+")")
	}
	return list
}
