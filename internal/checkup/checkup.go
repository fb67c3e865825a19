// Package checkup says what an account still lacks, and helps its owner with it: enough passkeys of the kind that the
// operator's rules demand, recovery codes, and a confirmed address.
//
//	GET /account/checkup
package checkup

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"net/http"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/recoverycode"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/recoveries"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

//go:embed pages/*.html
var files embed.FS

// Path is the page that says what is missing.
const Path = "/account/checkup"

// Config wires a Service.
type Config struct {
	Shell *web.Shell
	House *house.House
	DB    *store.DB
	// Ceremonies know the rules of all users and the names of models.
	Ceremonies *passkey.Ceremonies
	Policy     directory.PasskeyPolicy
	Key        recoverycode.Key
	Codes      bool // people can make recovery codes
}

// Service serves the page. It is safe for concurrent use.
type Service struct {
	cfg   Config
	pages *web.Pages
}

// New parses the page.
func New(c Config) (*Service, error) {
	pages, err := c.Shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("checkup page: %w", err)
	}
	return &Service{c, pages}, nil
}

// Mount adds the page to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	s.cfg.House.Handle(mux, "GET "+Path, house.SignedIn(""), s.show)
}

// Need returns which passkeys a user needs. It reads their groups only if a rule is about groups.
func (s *Service) Need(ctx context.Context, u idp.User) (directory.PasskeyNeed, error) {
	var groups []string
	if s.cfg.Policy.OfGroups() {
		m, err := s.cfg.DB.MembershipOf(ctx, u.ID)
		if err != nil && !errors.Is(err, idp.ErrNotFound) { // a user who signs up is not stored yet
			return directory.PasskeyNeed{}, fmt.Errorf("load groups: %w", err)
		}
		for _, g := range m.Groups {
			groups = append(groups, g.Name)
		}
	}
	return s.cfg.Policy.For(u.Role, groups), nil
}

// HasRules reports whether the operator demands anything of passkeys.
func (s *Service) HasRules() bool { return len(s.cfg.Policy) > 0 }

// Missing returns how many passkeys a user lacks by the operator's rules. Suspended ones do not count.
func (s *Service) Missing(ctx context.Context, u idp.User) (int, error) {
	report := Report{}
	var err error
	if report.Need, err = s.Need(ctx, u); err != nil {
		return 0, err
	}
	keys, err := s.cfg.DB.PasskeysOf(ctx, u.ID)
	if err != nil {
		return 0, fmt.Errorf("load passkeys: %w", err)
	}
	for _, k := range keys {
		if !k.Suspended() && report.Need.Allows(k.Kind()) {
			report.Passkeys++
		}
	}
	return report.Missing(), nil
}

// A Report says what an account has and what it lacks.
type Report struct {
	Need      directory.PasskeyNeed
	Models    []words.Text // sentences about the models that count
	Passkeys  int          // usable, of the needed kind
	Others    int          // usable, of another kind
	OneDevice bool
	// Codes reports whether people can make recovery codes here; Saved is how many this user has.
	Codes     bool
	Saved     int
	Confirmed bool // the address
}

// Missing is how many passkeys are missing.
func (r Report) Missing() int { return max(r.Need.Least()-r.Passkeys, 0) }

// Complete reports whether the account has all passkeys that the operator's rules demand.
func (r Report) Complete() bool { return r.Missing() == 0 }

// LacksCodes reports whether losing one device would lose the account, and codes would help.
func (r Report) LacksCodes() bool { return r.Codes && r.Confirmed && r.Saved == 0 }

// Tell reports whether the account's first page should say that something is missing.
func (r Report) Tell() bool { return !r.Complete() || r.OneDevice && r.LacksCodes() }

// Of makes the report of a user.
func (s *Service) Of(ctx context.Context, u idp.User) (Report, error) {
	report := Report{Codes: s.cfg.Codes, Confirmed: u.EmailVerified}
	var err error
	if report.Need, err = s.Need(ctx, u); err != nil {
		return report, err
	}
	report.Models = s.models(report.Need.Allowed, report.Need.Forbidden)
	keys, err := s.cfg.DB.PasskeysOf(ctx, u.ID)
	if err != nil {
		return report, fmt.Errorf("load passkeys: %w", err)
	}
	synced := 0
	for _, k := range keys {
		switch {
		case k.Suspended():
			continue
		case report.Need.Allows(k.Kind()):
			report.Passkeys++
		default:
			report.Others++
		}
		if k.Synced() {
			synced++
		}
	}
	report.OneDevice = report.Passkeys+report.Others == 1 && synced == 0
	if s.cfg.Codes {
		codes, err := recoveries.CodesOf(ctx, s.cfg.DB, u.ID)
		if err != nil {
			return report, fmt.Errorf("load recovery codes: %w", err)
		}
		report.Saved = len(s.cfg.Key.Usable(codes))
	}
	return report, nil
}

func (s *Service) show(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	report, err := s.Of(r.Context(), v.User)
	if err != nil {
		return err
	}
	return s.cfg.House.Render(w, r, v, s.pages, "checkup", web.Page{Nav: "Profile", Data: report})
}
