package rules

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const (
	policyPath = desk.Path + "/policy"
	// versionsShown is how many versions a page of the history has.
	versionsShown = 25
)

// policy has the pages of the policy.
//
//	policy ─▶ edit ─▶ check: what would change, in words ─▶ save
//	history ─▶ back: the same, for what a former version had ─▶ save
type policy struct{ *Rules }

func (c policy) mount(m desk.Mounting) {
	m.Get("GET "+policyPath, c.show)
	m.Get("GET "+policyPath+"/edit", c.showEdit)
	m.Post("POST "+policyPath+"/edit", "reason.policy", policyPath, c.check)
	m.Post("POST "+policyPath+"/save", "reason.policy", policyPath, c.save)
	m.Get("GET "+policyPath+"/history", c.history)
	m.Get("GET "+policyPath+"/back", c.showBack)
}

// A row is a section as the page shows it.
type row struct {
	Label  words.Text
	Code   string // YAML, of structured sections
	Text   words.Text
	Source string // where it is set at the start; empty: it is not locked
	Preset bool   // it has its default
}

type policyGroup struct {
	Name    string
	Title   words.Text
	Rows    []row
	EditURL string // empty: all of it is locked
}

type policyPage struct {
	Version   int64
	ChangedAt time.Time
	Actor     words.Text
	Groups    []policyGroup
	Notice    words.Text
	May       bool
}

func (c policy) show(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	state, err := c.state(r.Context(), v)
	if err != nil {
		return err
	}
	p := policyPage{
		Version: state.Version, ChangedAt: state.ChangedAt, Notice: desk.Done(r), May: v.Changes(),
		Actor: c.named(r.Context(), v, state.ActorID),
	}
	for _, g := range groups {
		shown := policyGroup{Name: g.name, Title: words.T("console.policy.group." + g.name)}
		for _, s := range state.Sections {
			if !slices.Contains(g.keys, s.Key) {
				continue
			}
			shown.Rows = append(shown.Rows, rowOf(s))
			if !s.Locked {
				shown.EditURL = desk.LinkTo(policyPath+"/edit", "of", g.name)
			}
		}
		p.Groups = append(p.Groups, shown)
	}
	return c.render(w, r, v, "policy", web.Page{Data: p})
}

// state returns the policy as it counts. A section that a file manages (stepward apply) is locked, as one that was set
// at the start.
func (c policy) state(ctx context.Context, v desk.Visitor) (admin.PolicyState, error) {
	state, err := c.ops.Policy.Get(ctx, v.Actor)
	for i, s := range state.Sections {
		if file := state.Files[s.Key]; file != "" && !s.Locked {
			state.Sections[i].Locked, state.Sections[i].Source = true, file
		}
	}
	return state, err
}

// named returns the name of the person who changed something.
func (c policy) named(ctx context.Context, v desk.Visitor, id string) words.Text {
	if id == "" {
		return words.T("console.policy.operator")
	}
	u, err := c.ops.Users.Get(ctx, v.Actor, id)
	if err != nil { // removed since: the ID will do
		u.Name = id
	}
	return words.T("console.plain", "text", cmp.Or(u.Name, u.Email))
}

type editPage struct {
	desk.Form
	Title     words.Text
	Group     string
	Version   int64
	Locked    []row
	Unchanged bool
}

func (c policy) showEdit(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	return c.showForm(w, r, v, nil, func(*editPage) {})
}

// showForm shows the form of a group: as it is, or as it was sent.
func (c policy) showForm(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, sent url.Values, change func(*editPage),
) error {
	g, known := groupOf(r.URL.Query().Get("of"))
	if !known {
		return idp.ErrNotFound
	}
	state, err := c.state(r.Context(), v)
	if err != nil {
		return err
	}
	p := editPage{Title: words.T("console.policy.group." + g.name), Group: g.name, Version: state.Version}
	if sent != nil {
		p.Version, _ = strconv.ParseInt(sent.Get("version"), 10, 64)
	}
	var fields []desk.Field
	for _, s := range state.Sections {
		switch {
		case !slices.Contains(g.keys, s.Key):
		case s.Locked:
			p.Locked = append(p.Locked, rowOf(s))
		default:
			fields = append(fields, fieldOf(s, sent))
		}
	}
	p.Sections = []desk.Section{{Fields: fields, Open: true}}
	change(&p)
	status := 0
	if p.Count > 0 {
		status = http.StatusUnprocessableEntity
	}
	return c.render(w, r, v, "policy-edit", web.Page{Status: status, Data: p})
}

// A checkPage says what a change would do, before it is done.
type checkPage struct {
	Title    words.Text
	Changes  []string
	Document string // of the change
	Version  int64  // that the change is based on
	May      bool
}

// check shows what a form would change, or what is wrong with it.
func (c policy) check(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	g, known := groupOf(r.URL.Query().Get("of"))
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	if !known || err != nil {
		return &web.Problem{Status: http.StatusBadRequest, Words: "problem.unread", Err: err}
	}
	state, err := c.state(r.Context(), v)
	if err != nil {
		return err
	}
	if state.Version != version {
		return admin.ErrStale
	}
	doc, faults := g.read(state.Sections, r.PostForm)
	var changes []string
	if len(faults) == 0 {
		changes, err = c.ops.Policy.Check(r.Context(), v.Actor, doc)
		found, wrong := desk.FaultsOf(err)
		if err != nil && !wrong {
			return err
		}
		faults = located(found, r.PostForm)
	}
	if len(faults) > 0 || len(changes) == 0 {
		return c.showForm(w, r, v, r.PostForm, func(p *editPage) {
			p.Blame(faults, nil)
			p.Unchanged = len(faults) == 0
		})
	}
	return c.showCheck(w, r, v, checkPage{
		Title: words.T("console.policy.check.title"), Changes: changes, Version: version,
	}, doc)
}

func (c policy) showCheck(
	w http.ResponseWriter, r *http.Request, v desk.Visitor, p checkPage, doc config.Document,
) error {
	text, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	p.Document, p.May = string(text), v.Changes()
	return c.render(w, r, v, "policy-check", web.Page{Data: p})
}

// save stores a change that was checked. It is checked again.
func (c policy) save(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	version, err := strconv.ParseInt(r.PostForm.Get("version"), 10, 64)
	doc := config.Document{}
	if err == nil {
		err = json.Unmarshal([]byte(r.PostForm.Get("document")), &doc)
	}
	if err != nil {
		return &web.Problem{Status: http.StatusBadRequest, Words: "problem.unread", Err: err}
	}
	_, err = c.ops.Policy.Change(r.Context(), v.Actor, version, doc)
	if _, wrong := desk.FaultsOf(err); wrong { // what it refers to has changed since
		return &web.Problem{Status: http.StatusConflict, Words: "console.stale", NextURL: policyPath, Err: err}
	}
	if err != nil {
		return err
	}
	return desk.SeeOther(w, r, desk.LinkTo(policyPath, "done", "policy.changed"))
}

// A versionRow is a version as the history shows it.
type versionRow struct {
	policies.Version
	Actor   words.Text
	BackURL string // empty: it is the present one
}

type historyPage struct {
	Rows            []versionRow
	Newest, Further string
}

func (c policy) history(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	before, _ := strconv.ParseInt(r.URL.Query().Get("before"), 10, 64)
	found, err := c.ops.Policy.History(r.Context(), v.Actor, max(before, 0), versionsShown+1)
	if err != nil {
		return err
	}
	p := historyPage{}
	if len(found) > versionsShown {
		found = found[:versionsShown]
		p.Further = desk.LinkTo(policyPath+"/history", "before", strconv.FormatInt(found[versionsShown-1].Number, 10))
	}
	if before > 0 {
		p.Newest = policyPath + "/history"
	}
	for i, version := range found {
		shown := versionRow{Version: version, Actor: c.named(r.Context(), v, version.ActorID)}
		if i > 0 || before > 0 {
			shown.BackURL = desk.LinkTo(policyPath+"/back", "version", strconv.FormatInt(version.Number, 10))
		}
		p.Rows = append(p.Rows, shown)
	}
	return c.render(w, r, v, "policy-history", web.Page{Data: p})
}

// showBack shows what going back to a version would change.
func (c policy) showBack(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	number, err := strconv.ParseInt(r.URL.Query().Get("version"), 10, 64)
	if err != nil {
		return idp.ErrNotFound
	}
	state, err := c.state(r.Context(), v)
	if err != nil {
		return err
	}
	doc, err := c.ops.Policy.Back(r.Context(), v.Actor, number)
	if err != nil {
		return err
	}
	changes, err := c.ops.Policy.Check(r.Context(), v.Actor, doc)
	if faults, wrong := desk.FaultsOf(err); wrong {
		return &web.Problem{
			Status: http.StatusConflict, Words: "console.policy.noback", NextURL: policyPath + "/history",
			Err: errors.New(faults.Error()),
		}
	}
	if err != nil {
		return err
	}
	return c.showCheck(w, r, v, checkPage{
		Title: words.T("console.policy.revert.title", "version", strconv.FormatInt(number, 10)), Changes: changes,
		Version: state.Version,
	}, doc)
}
