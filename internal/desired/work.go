package desired

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/roster"
	"github.com/stepward/stepward/pkg/adminapi"
)

// work is the way to a state, in one transaction.
type work struct {
	state   State
	options Options
	by      admin.Actor
	ops     *admin.Operations
	roster  *roster.Roster

	plan     adminapi.Plan
	faults   directory.Faults
	versions []string // of what changes

	marks          map[key]declared.Mark
	kept           map[key]bool // marks that stay, or are new
	groups         map[string]directory.Group
	changedClients map[string]bool
	policyChanged  bool
}

// A key names what a mark is about.
type key struct {
	kind declared.Kind
	id   string
}

// all takes all steps. What others refer to comes first, and is removed last; the policy counts in all steps already.
func (w *work) all(ctx context.Context, tx *store.DB) error {
	w.plan.Changes = []adminapi.PlannedChange{}
	w.changedClients, w.kept, w.marks = map[string]bool{}, map[key]bool{}, map[key]declared.Mark{}
	w.roster = roster.New(tx)
	marks := declared.New(tx)
	all, err := marks.All(ctx)
	if err != nil {
		return err
	}
	for _, m := range all {
		w.marks[key{m.Kind, m.ID}] = m
	}
	for _, step := range []func(context.Context) error{
		w.claims, w.allGroups, w.clients, w.leaveClients, w.leaveGroups, w.leaveClaims, w.roles, w.leaveRoles, w.policy,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if len(w.faults) > 0 {
		return w.faults
	}
	w.plan.Digest = w.digest()
	if !w.plan.Drift() {
		return nil
	}
	return marks.Replace(ctx, w.options.Source, w.newMarks())
}

// digest names the plan, and the versions of what it changes.
func (w *work) digest() string {
	text, err := json.Marshal([]any{w.plan.Changes, w.versions, w.options.Source})
	if err != nil { // a plan can always be written
		panic(err)
	}
	sum := sha256.Sum256(text)
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

func (w *work) newMarks() (marks []declared.Mark) {
	now := time.Now()
	keys := slices.SortedFunc(maps.Keys(w.kept), func(a, b key) int {
		return cmp.Or(strings.Compare(string(a.kind), string(b.kind)), strings.Compare(a.id, b.id))
	})
	for _, k := range keys {
		m, marked := w.marks[k]
		if !marked {
			m = declared.Mark{Kind: k.kind, ID: k.id, Digest: w.by.File, At: now}
		}
		marks = append(marks, m)
	}
	return marks
}

// note adds a change to the plan.
func (w *work) note(c adminapi.PlannedChange, why string) {
	c.Text = inWords(c, why)
	w.plan.Changes = append(w.plan.Changes, c)
}

// failed sorts what an operation returned: faults are gathered, with the path of what they are about.
func (w *work) failed(path string, err error) error {
	faults, ok := errors.AsType[directory.Faults](err)
	if ok {
		w.faults = append(w.faults, below(path, faults)...)
		return nil
	}
	if denied, ok := errors.AsType[*admin.Denied](err); ok && denied.Rule == "last_owner" {
		w.faults = append(w.faults, directory.Fault{Field: path, Text: denied.Text})
		return nil
	}
	return err
}

// claim marks an object as managed. why says so for the plan if it was not before.
func (w *work) claim(k key, path string) (why string, adopts, ok bool) {
	w.kept[k] = true
	m, marked := w.marks[k]
	switch {
	case !marked:
		return "from now on managed by " + w.options.Source, true, true
	case m.Source != w.options.Source:
		w.faults = append(w.faults, directory.Fault{Field: path, Text: "is managed by " + m.Source})
		return "", false, false
	}
	return "", false, true
}

// settle plans the change of an object that is there already, and reports whether there is something to do.
func (w *work) settle(k key, path, name string, fields []adminapi.FieldChange, version time.Time) bool {
	why, adopts, ok := w.claim(k, path)
	if !ok {
		return false
	}
	c := adminapi.PlannedChange{Kind: string(k.kind), Name: name, Fields: fields}
	switch {
	case len(fields) > 0:
		c.Action = adminapi.ActionChange
	case adopts:
		c.Action = adminapi.ActionAdopt
	default:
		return false
	}
	w.note(c, why)
	w.versions = append(w.versions, version.UTC().Format(time.RFC3339Nano))
	return len(fields) > 0
}

// left returns the IDs of a kind that this source manages and no longer names.
func (w *work) left(kind declared.Kind) (ids []string) {
	for k, m := range w.marks {
		if k.kind == kind && m.Source == w.options.Source && !w.kept[k] {
			ids = append(ids, k.id)
		}
	}
	slices.Sort(ids)
	return ids
}

// leave plans that an object is removed, or with no prune that it stays, and reports which.
func (w *work) leave(k key, name string) (remove bool) {
	if w.options.Prune {
		w.note(adminapi.PlannedChange{Action: adminapi.ActionRemove, Kind: string(k.kind), Name: name}, "")
		return true
	}
	w.kept[k] = true
	w.note(adminapi.PlannedChange{Action: adminapi.ActionLeave, Kind: string(k.kind), Name: name},
		"no longer in "+w.options.Source+" (only with --prune)")
	return false
}

// gone ignores that an object which is to be removed is not there.
func gone(err error) error {
	if errors.Is(err, idp.ErrNotFound) {
		return nil
	}
	return err
}
