package console

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/lint"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/store/provisioning"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// home has the first page.
type home struct {
	*Console
	last *look
}

func (c home) mount(m desk.Mounting) { m.Get("GET "+Path, c.show) }

// A step is a part of the guide for new installations.
type step struct {
	Number int
	Key    string // of its texts
	Done   bool
	URL    string // of its remedy; empty: the text says all
	Code   string // to copy
	Test   string
}

// Title, Text and Button are the texts of a step.
func (s step) Title() words.Text  { return words.T(s.Key + ".title") }
func (s step) Text() words.Text   { return words.T(s.Key + ".text") }
func (s step) Button() words.Text { return words.T(s.Key + ".button") }

// smtpExample is how mail is set up; a test of the settings reads it.
const smtpExample = "STEPWARD_SMTP_URL=smtps://user:password@mail.example.com:465\nSTEPWARD_MAIL_FROM=login@example.com"

type homePage struct {
	Steps     []step // nil: all done
	Attention []attention
	Notice    words.Text
	Version   string
	May       bool
}

// An attention is something to look at, with its remedy.
type attention struct {
	Text   words.Text
	Remedy words.Text
	URL    string
}

func (c home) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	p := homePage{Notice: desk.Done(r), Version: c.cfg.Version, May: v.Changes()}
	seen, err := c.look(r.Context(), v)
	if err != nil {
		return err
	}
	owners, err := c.cfg.Operations.Users.Owners(r.Context(), v.Actor)
	if err != nil {
		return err
	}
	steps := []step{
		{
			Number: 1, Key: "console.guide.owner", Done: owners > 1, Test: "guide-owner",
			URL: Path + "/users/invite?role=" + string(directory.RoleOwner),
		},
		{Number: 2, Key: "console.guide.client", Done: seen.clients > 0, URL: clientsPath + "/choose", Test: "guide-client"},
		{Number: 3, Key: "console.guide.mail", Done: c.cfg.Mails, Code: smtpExample},
	}
	for _, s := range steps {
		if !s.Done {
			p.Steps = steps
		}
	}
	if p.Attention, err = c.waiting(r.Context(), v); err != nil {
		return err
	}
	p.Attention = append(p.Attention, seen.attention...)
	p.Attention = p.Attention[:min(len(p.Attention), maxAttention)]
	return c.render(w, r, v, "home", web.Page{Nav: "Home", Data: p})
}

// waitsLong is how long an e-mail or a sign-out may wait before it needs attention.
const waitsLong = time.Hour

// waiting returns the approvals that are due, and what waits too long to be delivered.
func (c home) waiting(ctx context.Context, v desk.Visitor) (list []attention, err error) {
	approvals, err := recovery.ToApprove(ctx, c.cfg.DB, v.Actor.UserID, time.Now())
	if err != nil {
		return nil, err
	}
	for _, a := range approvals {
		list = append(list, attention{
			Text: words.T("console.approval.due", "email", a.User.Email), Remedy: words.T("recover.approve.ask"),
			URL: recovery.ApprovePath(a.User.ID),
		})
	}
	targets, err := provisioning.New(c.cfg.DB).Targets(ctx)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		if t.PausedBy != provisioning.ByFailures {
			continue
		}
		client, err := c.cfg.DB.StoredClient(ctx, t.ClientID)
		if err != nil {
			return nil, err
		}
		list = append(list, attention{
			Text: words.T("console.sends.given_up", "name", client.Name), Remedy: words.T("console.sends.given_up.remedy"),
			URL: sendsPath(t.ClientID),
		})
	}
	queues, err := outbox.Waiting(ctx, c.cfg.DB)
	if err != nil {
		return nil, err
	}
	for _, q := range queues {
		if q.Count > 0 && time.Since(q.Oldest) > waitsLong {
			key := "console.waiting." + q.Name
			list = append(list, attention{Text: words.T(key, "n", int(q.Count)), Remedy: words.T(key + ".remedy")})
		}
	}
	return list, nil
}

// A look is what lint found when it last looked at all clients. That takes long where there are many, so one look
// serves for a minute there.
type look struct {
	mu sync.Mutex
	at time.Time
	seen
}

type seen struct {
	clients   int
	attention []attention
}

const (
	manyClients = 500
	lookAgain   = time.Minute
)

// look looks at all clients.
func (c home) look(ctx context.Context, v desk.Visitor) (s seen, err error) {
	c.last.mu.Lock()
	defer c.last.mu.Unlock()
	if c.last.clients > manyClients && time.Since(c.last.at) < lookAgain {
		return c.last.seen, nil
	}
	known, err := c.cfg.Operations.Clients.List(ctx, v.Actor)
	if err != nil {
		return s, err
	}
	uses, err := c.cfg.Operations.Clients.Uses(ctx, v.Actor, known)
	if err != nil {
		return s, err
	}
	found := lint.Check(lint.Facts{
		Policy: c.cfg.Policy, Clients: known, Uses: uses, Hardware: c.cfg.Hardware, Now: time.Now(),
	})
	for _, f := range found {
		a := attention{Text: f.Text, Remedy: f.Remedy}
		if f.ClientID != "" {
			a.URL = clientPath("show", f.ClientID)
		}
		s.attention = append(s.attention, a)
	}
	s.clients = len(known)
	c.last.at, c.last.seen = time.Now(), s
	return s, nil
}

// maxAttention is how many things the page shows: who has more begins with these.
const maxAttention = 50
