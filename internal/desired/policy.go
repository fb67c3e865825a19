package desired

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A roleChange is a user whose role changes.
type roleChange struct {
	path string
	user idp.User
	to   directory.Role
}

// roles gives users their roles: higher ones first, so that the last owner has a successor.
func (w *work) roles(ctx context.Context) error {
	var changes []roleChange
	for _, email := range slices.Sorted(maps.Keys(w.state.Roles)) {
		role, path := w.state.Roles[email], "roles."+email
		u, err := w.userOf(ctx, email)
		if errors.Is(err, idp.ErrNotFound) {
			w.note(adminapi.PlannedChange{Action: adminapi.ActionWait, Kind: "role", Name: email},
				role.Name()+": there is no user with this address yet")
			continue
		}
		if err != nil {
			return err
		}
		k := key{declared.Role, u.ID}
		if w.kept[k] {
			w.faults = append(w.faults, directory.Fault{Field: path, Text: "belongs to a user who is here already"})
			continue
		}
		var fields []adminapi.FieldChange
		if u.Role != role {
			fields = []adminapi.FieldChange{{Name: "role", From: quoted(u.Role.Name()), To: quoted(role.Name())}}
		}
		if w.settle(k, path, email, fields, u.UpdatedAt) {
			changes = append(changes, roleChange{path, u, role})
		}
	}
	return w.giveRoles(ctx, changes)
}

// userOf returns the user with an e-mail address; idp.ErrNotFound.
func (w *work) userOf(ctx context.Context, email string) (idp.User, error) {
	normal, _ := directory.NormalizeEmail(email)
	return w.ops.DB().UserByEmail(ctx, normal)
}

func quoted(s string) json.RawMessage {
	text, _ := json.Marshal(s) // text always marshals
	return text
}

func (w *work) giveRoles(ctx context.Context, changes []roleChange) error {
	slices.SortStableFunc(changes, func(a, b roleChange) int {
		switch {
		case a.to.Above(b.to):
			return -1
		case b.to.Above(a.to):
			return 1
		}
		return 0
	})
	for _, c := range changes {
		_, err := w.ops.Users.Change(ctx, w.by, c.user.ID, admin.UserChange{Role: &c.to, Version: c.user.UpdatedAt})
		if err := w.failed(c.path, err); err != nil {
			return err
		}
	}
	return nil
}

// leaveRoles takes the roles away that are no longer described.
func (w *work) leaveRoles(ctx context.Context) error {
	var changes []roleChange
	for _, id := range w.left(declared.Role) {
		u, err := w.ops.Users.Get(ctx, w.by, id)
		switch {
		case errors.Is(err, idp.ErrNotFound):
			continue
		case err != nil:
			return err
		case u.Role == directory.RoleUser: // nothing is left to take
			continue
		}
		if w.leave(key{declared.Role, id}, u.Email) {
			changes = append(changes, roleChange{"roles", u, directory.RoleUser})
		}
	}
	return w.giveRoles(ctx, changes)
}

// policy changes sections of the policy, as one version.
func (w *work) policy(ctx context.Context) error {
	sections := config.Document{}
	for _, name := range slices.Sorted(maps.Keys(w.state.Policy)) {
		sections[name] = w.state.Policy[name]
		w.kept[key{declared.Policy, name}] = true
		if m, marked := w.marks[key{declared.Policy, name}]; marked && m.Source != w.options.Source {
			w.faults = append(w.faults, directory.Fault{Field: "policy." + name, Text: "is managed by " + m.Source})
		}
	}
	for _, name := range w.left(declared.Policy) {
		if w.leave(key{declared.Policy, name}, name) {
			sections[name] = json.RawMessage("null")
		}
	}
	if len(sections) == 0 {
		return nil
	}
	history, err := w.ops.Policy.History(ctx, w.by, 0, 1)
	if err != nil {
		return err
	}
	version := int64(0)
	if len(history) > 0 {
		version = history[0].Number
	}
	state, err := w.ops.Policy.Change(ctx, w.by, version, sections)
	if err != nil {
		return w.failed("policy", err)
	}
	w.policyChanged = state.Version != version
	w.notePolicy(state, version)
	return nil
}

// notePolicy adds what has changed to the plan, a line for each section.
func (w *work) notePolicy(state admin.PolicyState, before int64) {
	changed := map[string]string{}
	if state.Version != before {
		for _, line := range state.Changes {
			name, words, _ := strings.Cut(line, ": ")
			changed[name] = words
		}
	}
	for _, name := range slices.Sorted(maps.Keys(w.state.Policy)) {
		k := key{declared.Policy, name}
		words := changed[name]
		why, adopts, ok := w.claim(k, "policy."+name)
		switch {
		case !ok:
		case words != "":
			if why != "" {
				words += "; " + why
			}
			w.note(adminapi.PlannedChange{Action: adminapi.ActionChange, Kind: "policy", Name: name}, words)
		case adopts:
			w.note(adminapi.PlannedChange{Action: adminapi.ActionAdopt, Kind: "policy", Name: name}, why)
		}
	}
}
