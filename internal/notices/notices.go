// Package notices tells users by e-mail of sign-ins in new browsers and of new applications, and lets them switch that
// off. The e-mails about passkeys, addresses, recoveries, roles and the end of the account cannot be switched off: they
// are how a person learns that somebody else is taking the account.
package notices

import (
	"cmp"
	"context"
	"embed"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/stepward/stepward/internal/enrol"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/personal"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// The topics of e-mails that can be switched off. They are stored: never change one.
const (
	NewBrowser     = "browser"
	NewApplication = "application"
)

var topics = []string{NewBrowser, NewApplication}

// Config wires a Service. All fields are needed.
type Config struct {
	Shell  *web.Shell
	House  *house.House
	DB     *store.DB
	Mailer *mail.Mailer
	Issuer string // without a slash at the end
	// Key makes the cookie of known browsers. All replicas share it.
	Key      []byte
	Insecure bool // http on localhost: cookies without __Host- and Secure
}

// Service serves the page and sends the e-mails.
type Service struct {
	cfg     Config
	pages   *web.Pages
	records *personal.Records
	uses    uses
}

// New parses the page.
func New(cfg Config) (*Service, error) {
	pages, err := cfg.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("page of notices: %w", err)
	}
	return &Service{cfg: cfg, pages: pages, records: personal.New(cfg.DB)}, nil
}

const path = "/account/notices"

// Mount adds the page to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	s.cfg.House.Handle(mux, "GET "+path, house.SignedIn(""), s.show)
	s.cfg.House.Handle(mux, "POST "+path, house.StepUp("reason.notices", path), s.save)
}

type page struct {
	On      map[string]bool
	Saved   bool
	Confirm bool // the service sends e-mails
}

func (s *Service) show(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	off, err := s.records.NoticesOff(r.Context(), v.User.ID)
	if err != nil {
		return fmt.Errorf("load notices: %w", err)
	}
	p := page{On: map[string]bool{}, Saved: r.URL.Query().Get("done") == "saved", Confirm: s.cfg.Mailer.Delivers()}
	for _, topic := range topics {
		p.On[topic] = !slices.Contains(off, topic)
	}
	return s.cfg.House.Render(w, r, v, s.pages, "notices", web.Page{Nav: "Profile", Data: p})
}

// save stores the choice. A box that is not ticked is not sent.
func (s *Service) save(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	typed, err := enrol.ReadForm(r, topics...)
	if err != nil {
		return err
	}
	var off []string
	for i, topic := range topics {
		if typed[i] == "" {
			off = append(off, topic)
		}
	}
	event := web.Event(r, idp.EventNoticesChanged, v.User.ID)
	event.SessionID = v.Session.ID
	if err := s.records.SetNoticesOff(r.Context(), v.User.ID, off, event); err != nil {
		return fmt.Errorf("store notices: %w", err)
	}
	return house.SeeOther(w, r, path+"?done=saved")
}

// SignedIn is called after a sign-in, before the response is written. It marks the browser as known to this user, and
// tells them if it was not. A browser in which they have just created the passkey is theirs: that has its own e-mail.
func (s *Service) SignedIn(w http.ResponseWriter, r *http.Request, u idp.User, k idp.Passkey) {
	known := s.known(r, u.ID)
	s.remember(w, r, u.ID)
	if known || time.Since(k.CreatedAt) < newPasskey {
		return
	}
	notice := mail.Notice{
		Passkey: k.Name, At: time.Now(), Agent: web.AgentWords(web.Agent(r.UserAgent())),
		Link: s.cfg.Issuer + "/account/activity",
	}
	s.send(r, u, NewBrowser, func(w mail.Writer) mail.Message { return w.NewBrowser(u.Email, notice, s.cfg.Issuer+path) })
}

// Used is called when a user goes to a client of the house, which asks for nothing. It tells them if that is the first
// time, as far as their events show.
func (s *Service) Used(r *http.Request, userID string, c idp.Client) {
	if !s.cfg.Mailer.Delivers() || !s.uses.add(userID+" "+c.ID) {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	before, err := s.records.Events(ctx, userID, personal.Filter{
		Kinds: []idp.EventKind{idp.EventTokensIssued}, ClientID: c.ID,
	}, 1)
	if err == nil && len(before) > 0 {
		return
	}
	var u idp.User
	if err == nil {
		u, err = s.cfg.DB.UserByID(ctx, userID)
	}
	if err != nil {
		web.Note(ctx, slog.Any("notice", err))
		return
	}
	if time.Since(u.CreatedAt) < newPasskey { // they came here to sign up for it
		return
	}
	notice := mail.Notice{
		At: time.Now(), Agent: web.AgentWords(web.Agent(r.UserAgent())), Link: s.cfg.Issuer + "/account/applications",
	}
	s.send(r, u, NewApplication, func(w mail.Writer) mail.Message {
		return w.ApplicationUsed(u.Email, cmp.Or(c.Name, c.ID), notice, s.cfg.Issuer+path)
	})
}

// uses remembers which users went to which clients, so that the events are asked once for each. Its zero value is
// empty. It is safe for concurrent use.
type uses struct {
	mu   sync.Mutex
	seen map[string]bool
}

// maxUses limits what is remembered. Then all are forgotten, and asked for again.
const maxUses = 50_000

// add reports whether a use is new.
func (u *uses) add(use string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.seen[use] {
		return false
	}
	if u.seen == nil || len(u.seen) >= maxUses {
		u.seen = map[string]bool{}
	}
	u.seen[use] = true
	return true
}

// Allowed is called after a user has allowed a client something for the first time.
func (s *Service) Allowed(r *http.Request, userID, client string) {
	if !s.cfg.Mailer.Delivers() {
		return
	}
	u, err := s.cfg.DB.UserByID(context.WithoutCancel(r.Context()), userID)
	if err != nil {
		web.Note(r.Context(), slog.Any("notice", err))
		return
	}
	notice := mail.Notice{
		At: time.Now(), Agent: web.AgentWords(web.Agent(r.UserAgent())), Link: s.cfg.Issuer + "/account/applications",
	}
	s.send(r, u, NewApplication, func(w mail.Writer) mail.Message {
		return w.NewApplication(u.Email, client, notice, s.cfg.Issuer+path)
	})
}

// send queues an e-mail unless its user has switched off the topic. What it tells has happened, so a failure is only
// logged.
func (s *Service) send(r *http.Request, u idp.User, topic string, write func(mail.Writer) mail.Message) {
	if !s.cfg.Mailer.Delivers() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), 5*time.Second)
	defer cancel()
	off, err := s.records.NoticesOff(ctx, u.ID)
	if err == nil && !slices.Contains(off, topic) {
		err = s.cfg.Mailer.Send(ctx, write(s.cfg.Mailer.For(u.Profile.Locale, s.cfg.Shell.Language(r))))
	}
	if err != nil {
		web.Note(ctx, slog.Any("notice", err))
	}
}
