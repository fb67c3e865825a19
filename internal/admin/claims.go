package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/roster"
)

// Claims are the operations on claims that admins define, and on their values.
type Claims struct{ office }

// Scopes returns the scopes that can release claims: the standard ones with claims, and the configured ones.
func (s *Claims) Scopes() []string {
	scopes := slices.Clone(idp.ClaimScopes)
	for _, name := range slices.Sorted(maps.Keys(s.cfg.Policy.Scopes)) {
		if !slices.Contains(idp.StandardScopes, name) {
			scopes = append(scopes, name)
		}
	}
	return scopes
}

// List returns all claims, by name.
func (s *Claims) List(ctx context.Context, by Actor) ([]directory.Claim, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.roster.Claims(ctx)
}

// Define defines a claim, or changes its definition. Its type cannot change while there are values.
func (s *Claims) Define(ctx context.Context, by Actor, c directory.Claim) (directory.Claim, error) {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return c, err
	}
	if err := c.Faults(s.Scopes()).Err(); err != nil {
		return c, err
	}
	if err := s.free(ctx, by, declared.Claim, c.Name); err != nil {
		return c, err
	}
	c.CreatedAt = after(time.Time{})
	c.UpdatedAt = c.CreatedAt
	err := s.roster.PutClaim(ctx, c, s.event(by, idp.EventClaimDefined, "", "claim", c.Name))
	switch {
	case errors.Is(err, roster.ErrInUse):
		return c, directory.Faults{{Field: "type", Text: "cannot change while there are values; remove the claim first"}}
	case errors.Is(err, roster.ErrTooMany):
		return c, directory.Faults{{Text: fmt.Sprintf("there can be %d claims", directory.MaxClaims)}}
	}
	return c, err
}

// Remove removes a claim with all its values; idp.ErrNotFound.
func (s *Claims) Remove(ctx context.Context, by Actor, name string) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	if err := s.free(ctx, by, declared.Claim, name); err != nil {
		return err
	}
	return s.roster.RemoveClaim(ctx, name, s.event(by, idp.EventClaimRemoved, "", "claim", name))
}

// party is who the actor is to a claim.
func party(by Actor) directory.Party {
	if by.Channel == ChannelSCIM {
		return directory.PartySCIM
	}
	return directory.PartyAdmin
}

// OfUser returns the user's own values that the actor may see; OfGroup those of a group.
func (s *Claims) OfUser(ctx context.Context, by Actor, userID string) ([]directory.Value, error) {
	return s.values(ctx, by, userID, s.roster.UserClaims)
}

// OfGroup is described at OfUser.
func (s *Claims) OfGroup(ctx context.Context, by Actor, groupID string) ([]directory.Value, error) {
	return s.values(ctx, by, groupID, s.roster.GroupClaims)
}

func (s *Claims) values(
	ctx context.Context, by Actor, id string, load func(context.Context, string) ([]directory.Value, error),
) ([]directory.Value, error) {
	defined, err := s.defined(ctx, by, reading)
	if err != nil {
		return nil, err
	}
	values, err := load(ctx, id)
	return slices.DeleteFunc(values, func(v directory.Value) bool { return !defined[v.Claim].MaySee(party(by)) }), err
}

func (s *Claims) defined(ctx context.Context, by Actor, p power) (map[string]directory.Claim, error) {
	if _, err := s.admit(ctx, by, p); err != nil {
		return nil, err
	}
	claims, err := s.roster.Claims(ctx)
	byName := map[string]directory.Claim{}
	for _, c := range claims {
		byName[c.Name] = c
	}
	return byName, err
}

// SetUser changes values of a user, and leaves those that are not named; a nil value removes one.
func (s *Claims) SetUser(ctx context.Context, by Actor, userID string, values map[string]json.RawMessage) error {
	defined, err := s.defined(ctx, by, changing)
	if err != nil {
		return err
	}
	u, err := s.cfg.DB.UserByID(ctx, userID)
	if err != nil {
		return err
	}
	role, err := s.admit(ctx, by, changing)
	if err != nil {
		return err
	}
	if err := s.touch(by, role, u); err != nil {
		return err
	}
	set, types, err := CheckValues(defined, party(by), values)
	if err != nil {
		return err
	}
	return s.roster.SetUserClaims(ctx, userID, types, set, time.Now(),
		s.event(by, idp.EventClaimsSet, userID, "claims", named(values)))
}

// SetGroup is SetUser for a group: its members inherit the values.
func (s *Claims) SetGroup(ctx context.Context, by Actor, groupID string, values map[string]json.RawMessage) error {
	defined, err := s.defined(ctx, by, changing)
	if err == nil {
		err = s.free(ctx, by, declared.Group, groupID)
	}
	if err != nil {
		return err
	}
	set, types, err := CheckValues(defined, party(by), values)
	if err != nil {
		return err
	}
	return s.roster.SetGroupClaims(ctx, groupID, types, set, time.Now(),
		s.event(by, idp.EventClaimsSet, "", "group", groupID, "claims", named(values)))
}

func named(values map[string]json.RawMessage) string {
	return strings.Join(slices.Sorted(maps.Keys(values)), " ")
}

// CheckValues returns the values to store, or what is wrong with them, by claim. The party must be allowed to edit
// them.
func CheckValues(
	defined map[string]directory.Claim, by directory.Party, values map[string]json.RawMessage,
) (roster.Values, map[string]directory.ClaimType, error) {
	var faults directory.Faults
	set, types := roster.Values{}, map[string]directory.ClaimType{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		c, known := defined[name]
		switch {
		case !known:
			faults = append(faults, directory.Fault{Field: name, Text: "is not defined"})
		case !c.MayEdit(by):
			faults = append(faults, directory.Fault{Field: name, Text: "cannot be edited by " + string(by)})
		case values[name] == nil:
			set[name] = ""
		default:
			normal, fault := c.Normalize(values[name])
			if fault != "" {
				faults = append(faults, directory.Fault{Field: name, Text: fault})
			}
			set[name], types[name] = normal, c.Type
		}
	}
	return set, types, faults.Err()
}
