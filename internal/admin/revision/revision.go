// Package revision drafts the next version of the policy: what it changes, in words, and which clients and claims it
// would break.
package revision

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/policies"
	"github.com/stepward/stepward/internal/store/roster"
)

// A Draft is a version of the policy that is not stored yet.
type Draft struct {
	policies.Version
	Alone bool // recovery links no longer need a second admin
}

// Drafts makes them for a store, and for the settings that a policy is below.
type Drafts struct {
	DB       *store.DB
	Settings *config.Config
}

// maxFaults limits what a change reports about clients and claims.
const maxFaults = 20

// Next returns the version that follows v, in which these sections are replaced; null gives a section its default back.
// It has no changes if it would be the same. Everything that is wrong is returned at once (directory.Faults).
func (d Drafts) Next(ctx context.Context, v policies.Version, sections config.Document) (next Draft, err error) {
	before, err := v.Over(d.Settings)
	if err != nil { // the settings contradict what is stored: a change may mend it
		before = d.Settings
	}
	doc, err := v.Sections()
	if err != nil {
		return next, err
	}
	var faults directory.Faults
	for _, key := range slices.Sorted(maps.Keys(sections)) {
		locked := d.Settings.Locked(key)
		switch {
		case !slices.Contains(config.PolicyKeys(), key):
			faults = append(faults, directory.Fault{Field: key, Text: "is not a section of the policy; there are " +
				strings.Join(config.PolicyKeys(), ", ")})
		case locked != "":
			faults = append(faults, directory.Fault{
				Field: key, Text: "is locked: it is set in " + locked + " and can only be changed there",
			})
		case len(sections[key]) == 0 || string(sections[key]) == "null":
			delete(doc, key)
		default:
			doc[key] = sections[key]
		}
	}
	after, err := d.Settings.With(doc, v.Number+1)
	if wrong, ok := errors.AsType[config.Faults](err); ok {
		for _, f := range wrong {
			faults = append(faults, directory.Fault{Field: f.Setting, Text: f.Message})
		}
	} else if err != nil {
		return next, err
	}
	if err := faults.Err(); err != nil {
		return next, err
	}
	changes := policies.Differences(before.Sections(), after.Sections())
	if len(changes) == 0 {
		return next, nil
	}
	if err := d.checkUse(ctx, before.Policy, after.Policy); err != nil {
		return next, err
	}
	text, err := doc.Text()
	return Draft{policies.Version{
		Number: v.Number + 1, Document: text, Changes: policies.Shortened(strings.Join(changes, "\n"), 8<<10),
		ChangedAt: time.Now().Truncate(time.Millisecond),
	}, before.RecoveryApproval && !after.RecoveryApproval}, err
}

// checkUse reports clients and claims that the new policy would break: that use a scope, a resource, a type of
// authorization_details or an acr name which is no longer there.
func (d Drafts) checkUse(ctx context.Context, before, after idp.Policy) error {
	clients, err := d.DB.Clients(ctx)
	if err != nil {
		return err
	}
	var faults directory.Faults
	more := 0
	add := func(field, text string) {
		if len(faults) < maxFaults {
			faults = append(faults, directory.Fault{Field: field, Text: text})
		} else {
			more++
		}
	}
	for _, c := range clients {
		known := c.Faults(before)
		for _, fault := range c.Faults(after) {
			if !slices.Contains(known, fault) {
				add("client "+c.ID, fault)
			}
		}
	}
	claims, err := roster.New(d.DB).Claims(ctx)
	if err != nil {
		return err
	}
	for _, c := range claims {
		_, was := before.Scopes[c.Scope]
		if _, is := after.Scopes[c.Scope]; was && !is {
			add("claim "+c.Name, fmt.Sprintf("is released by the scope %q, which would be gone", c.Scope))
		}
	}
	if more > 0 {
		faults = append(faults, directory.Fault{Text: fmt.Sprintf("there are %d more", more)})
	}
	return faults.Err()
}

// Change returns the sections of wanted that v stores otherwise, and null for those that are not wanted.
func Change(v policies.Version, wanted config.Document) (config.Document, error) {
	stored, err := v.Sections()
	change := config.Document{}
	for key, value := range wanted {
		if !same(value, stored[key]) {
			change[key] = value
		}
	}
	for key := range stored {
		if _, kept := wanted[key]; !kept {
			change[key] = json.RawMessage("null")
		}
	}
	return change, err
}

// same reports whether two texts are the same JSON value, or one is missing and the other null.
func same(a, b json.RawMessage) bool {
	var x, y any
	return (len(a) == 0 || json.Unmarshal(a, &x) == nil) && (len(b) == 0 || json.Unmarshal(b, &y) == nil) &&
		reflect.DeepEqual(x, y)
}
