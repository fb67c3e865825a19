package console

import (
	"context"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/lint"
	"github.com/stepward/stepward/internal/recovery"
	"github.com/stepward/stepward/internal/store/outbox"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// home has the first page.
type home struct{ *Console }

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
	known, err := c.cfg.Operations.Clients.List(r.Context(), v.Actor)
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
		{Number: 2, Key: "console.guide.client", Done: len(known) > 0, URL: clientsPath + "/choose", Test: "guide-client"},
		{Number: 3, Key: "console.guide.mail", Done: c.cfg.Mails, Code: smtpExample},
	}
	for _, s := range steps {
		if !s.Done {
			p.Steps = steps
		}
	}
	if p.Attention, err = c.attention(r.Context(), v, known); err != nil {
		return err
	}
	return c.render(w, r, v, "home", web.Page{Nav: "Home", Data: p})
}

// waitsLong is how long an e-mail or a sign-out may wait before it needs attention.
const waitsLong = time.Hour

// attention returns what needs attention.
func (c home) attention(ctx context.Context, v desk.Visitor, known []idp.Client) (list []attention, err error) {
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
	uses, err := c.cfg.Operations.Clients.Uses(ctx, v.Actor, known)
	if err != nil {
		return nil, err
	}
	found := lint.Check(lint.Facts{
		Policy: c.cfg.Policy, Clients: known, Uses: uses, Hardware: c.cfg.Hardware, Now: time.Now(),
	})
	for _, f := range found {
		a := attention{Text: f.Text, Remedy: f.Remedy}
		if f.ClientID != "" {
			a.URL = clientPath("show", f.ClientID)
		}
		list = append(list, a)
	}
	return list[:min(len(list), maxAttention)], nil
}

// maxAttention is how many things the page shows: who has more begins with these.
const maxAttention = 50
