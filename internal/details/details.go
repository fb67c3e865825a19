// Package details shows people the claims about themselves that admins defined, and lets them edit those that the
// definition lets them edit.
//
//	GET, POST /account/details
package details

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/house"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/roster"
	"github.com/stepward/stepward/internal/web"
)

//go:embed pages/*.html
var files embed.FS

// Path is the page.
const Path = "/account/details"

// Service serves the page. It is safe for concurrent use.
type Service struct {
	house  *house.House
	roster *roster.Roster
	pages  *web.Pages
}

// New parses the page.
func New(shell *web.Shell, h *house.House, db *store.DB) (*Service, error) {
	pages, err := shell.Parse(files, "pages/*.html")
	if err != nil {
		return nil, fmt.Errorf("details page: %w", err)
	}
	return &Service{h, roster.New(db), pages}, nil
}

// Mount adds the page to the browser's mux, the one behind the cross-origin check.
func (s *Service) Mount(mux *http.ServeMux) {
	s.house.Handle(mux, "GET "+Path, house.SignedIn(""), s.show)
	s.house.Handle(mux, "POST "+Path, house.SignedIn(Path), s.save)
}

// Any reports whether a claim is defined that people see about themselves: without one, the page has nothing to show.
func (s *Service) Any(ctx context.Context) (bool, error) {
	defined, err := s.roster.Claims(ctx)
	return slices.ContainsFunc(defined, func(c directory.Claim) bool { return c.MaySee(directory.PartyUser) }), err
}

// A detail is a claim as its user sees it.
type detail struct {
	directory.Claim
	Value string // as people type it
	Fault string // in English
	Edits bool
}

type detailsPage struct {
	Details []detail
	Edits   bool // at least one of them
	Saved   bool
	Faults  int
}

func (s *Service) show(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	return s.showWith(w, r, v, nil, nil)
}

// showWith shows the values, or what was sent with its faults.
func (s *Service) showWith(
	w http.ResponseWriter, r *http.Request, v house.Visitor, sent url.Values, faults directory.Faults,
) error {
	defined, err := s.roster.Claims(r.Context())
	if err != nil {
		return err
	}
	present, err := s.roster.UserClaims(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	p := detailsPage{Saved: r.URL.Query().Get("done") == "saved", Faults: len(faults)}
	for _, c := range defined {
		if !c.MaySee(directory.PartyUser) {
			continue
		}
		d := detail{Claim: c, Edits: c.MayEdit(directory.PartyUser)}
		if i := slices.IndexFunc(present, func(v directory.Value) bool { return v.Claim == c.Name }); i >= 0 {
			d.Value = c.Typed(present[i].JSON)
		}
		if sent != nil && d.Edits {
			d.Value = sent.Get(c.Name)
		}
		for _, f := range faults {
			if f.Field == c.Name {
				d.Fault = f.Text
			}
		}
		p.Edits = p.Edits || d.Edits
		p.Details = append(p.Details, d)
	}
	status := 0
	if len(faults) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return s.house.Render(w, r, v, s.pages, "details", web.Page{Nav: "Profile", Status: status, Data: p})
}

// save stores the values that the user may edit. Others are refused, whoever put them into the form.
func (s *Service) save(w http.ResponseWriter, r *http.Request, v house.Visitor) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	list, err := s.roster.Claims(r.Context())
	if err != nil {
		return err
	}
	defined, typed := map[string]directory.Claim{}, map[string]json.RawMessage{}
	for _, c := range list {
		if !c.MaySee(directory.PartyUser) { // for this person there is no such claim
			continue
		}
		defined[c.Name] = c
		if _, given := r.PostForm[c.Name]; given {
			typed[c.Name] = nil
			if text := strings.TrimSpace(r.PostForm.Get(c.Name)); text != "" {
				typed[c.Name] = c.ParseValue(text)
			}
		}
	}
	set, types, err := admin.CheckValues(defined, directory.PartyUser, typed)
	if faults, wrong := errors.AsType[directory.Faults](err); wrong {
		return s.showWith(w, r, v, r.PostForm, faults)
	}
	if err != nil || len(set) == 0 {
		return errors.Join(err, house.SeeOther(w, r, Path))
	}
	ev := web.Event(r, idp.EventClaimsSet, v.User.ID)
	ev.SessionID, ev.Detail = v.Session.ID, map[string]string{"claims": named(set)}
	if err := s.roster.SetUserClaims(r.Context(), v.User.ID, types, set, time.Now(), ev); err != nil {
		return fmt.Errorf("set claims: %w", err)
	}
	return house.SeeOther(w, r, Path+"?done=saved")
}

func named(values roster.Values) string {
	var names []string
	for name := range values {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}
