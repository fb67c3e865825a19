package admin

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/admin/revision"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/policies"
)

// Policy are the operations on the policy in the store: scopes, resources, action classes, types of
// authorization_details, acr names, and the settings about passkeys, sign-up, recovery and branding.
type Policy struct {
	office
	versions *policies.Policies
}

// A PolicyState is the policy as it counts.
type PolicyState struct {
	Version   int64            `json:"version"` // 0: nothing was ever stored
	Sections  []config.Section `json:"sections"`
	Stored    config.Document  `json:"stored"` // what the store has, also of sections that are locked and do not count
	ActorID   string           `json:"actor,omitempty"`
	ChangedAt time.Time        `json:"changed_at,omitzero"`
	Changes   []string         `json:"changes,omitempty"` // of this version, in words
	Effective idp.Policy       `json:"-"`

	Files map[string]string `json:"-"` // which file manages a section (stepward apply), by key
}

// Get returns the policy as it counts.
func (s *Policy) Get(ctx context.Context, by Actor) (PolicyState, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return PolicyState{}, err
	}
	v, err := s.versions.Current(ctx)
	if err != nil {
		return PolicyState{}, err
	}
	return s.state(ctx, v)
}

func (s *Policy) state(ctx context.Context, v policies.Version) (PolicyState, error) {
	effective, err := v.Over(s.cfg.Settings)
	if err != nil {
		return PolicyState{}, err
	}
	stored, err := v.Sections()
	if err != nil {
		return PolicyState{}, err
	}
	files, err := s.marks.Sources(ctx, declared.Policy, config.PolicyKeys()...)
	return PolicyState{
		Version: v.Number, Sections: effective.Sections(), Stored: stored, ActorID: v.ActorID, ChangedAt: v.ChangedAt,
		Changes: v.Lines(), Effective: effective.Policy, Files: files,
	}, err
}

// History returns the kept versions below before, newest first; before 0: from the newest.
func (s *Policy) History(ctx context.Context, by Actor, before int64, limit int) ([]policies.Version, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.versions.History(ctx, before, limit)
}

// Version returns a version that is kept; idp.ErrNotFound.
func (s *Policy) Version(ctx context.Context, by Actor, number int64) (policies.Version, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return policies.Version{}, err
	}
	return s.versions.Version(ctx, number)
}

// Back returns the change that brings back what a former version stored; idp.ErrNotFound if it is not kept. Sections
// that are locked now stay as they are stored.
func (s *Policy) Back(ctx context.Context, by Actor, number int64) (config.Document, error) {
	v, err := s.Version(ctx, by, number)
	if err != nil {
		return nil, err
	}
	wanted, err := v.Sections()
	if err != nil {
		return nil, err
	}
	change, err := s.change(ctx, wanted)
	maps.DeleteFunc(change, func(key string, _ json.RawMessage) bool { return s.cfg.Settings.Locked(key) != "" })
	return change, err
}

// Whole returns the change after which the store has these sections and no others.
func (s *Policy) Whole(ctx context.Context, by Actor, wanted config.Document) (config.Document, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.change(ctx, wanted)
}

func (s *Policy) change(ctx context.Context, wanted config.Document) (config.Document, error) {
	v, err := s.versions.Current(ctx)
	if err != nil {
		return nil, err
	}
	return revision.Change(v, wanted)
}

// Check returns what a change would do, in words, or everything that is wrong with it (directory.Faults).
func (s *Policy) Check(ctx context.Context, by Actor, sections config.Document) ([]string, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	v, err := s.versions.Current(ctx)
	if err != nil {
		return nil, err
	}
	next, err := s.drafts().Next(ctx, v, sections)
	return next.Lines(), err
}

func (s *Policy) drafts() revision.Drafts {
	return revision.Drafts{DB: s.cfg.DB, Settings: s.cfg.Settings}
}

// Change stores a new version in which these sections are replaced; null gives a section its default back, and sections
// that are not named stay. expected is the version that the caller has read: ErrStale if it is no longer the newest.
// Everything that is wrong with the change is returned at once (directory.Faults). A change that changes nothing makes
// no version. Every replica answers new requests by the new version within 5 seconds.
//
// Only an owner lets recovery links of admins work without the approval of a second one: otherwise an admin could
// change the rule that binds them, and change it back.
func (s *Policy) Change(
	ctx context.Context, by Actor, expected int64, sections config.Document,
) (PolicyState, error) {
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return PolicyState{}, err
	}
	v, err := s.versions.Current(ctx)
	if err != nil {
		return PolicyState{}, err
	}
	if v.Number != expected {
		return PolicyState{}, ErrStale
	}
	for key := range sections {
		if err := s.free(ctx, by, declared.Policy, key); err != nil {
			return PolicyState{}, err
		}
	}
	next, err := s.drafts().Next(ctx, v, sections)
	if err != nil {
		return PolicyState{}, err
	}
	if next.Changes == "" {
		return s.state(ctx, v)
	}
	if role != directory.RoleOwner && next.Alone {
		return PolicyState{}, &Denied{"owner", "only an owner may let recovery links work without a second admin"}
	}
	next.ActorID = by.UserID
	err = s.versions.Put(ctx, next.Version, s.event(by, idp.EventPolicyChanged, "",
		"version", strconv.FormatInt(next.Number, 10), "changes", policies.Shortened(next.Changes, 1000)))
	if errors.Is(err, idp.ErrConflict) {
		return PolicyState{}, ErrStale
	}
	if err != nil {
		return PolicyState{}, err
	}
	if s.cfg.PolicyChanged != nil {
		s.cfg.PolicyChanged(ctx)
	}
	return s.state(ctx, next.Version)
}
