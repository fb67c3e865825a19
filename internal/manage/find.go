package manage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store"
)

// FindUser finds a user by e-mail address or ID.
func FindUser(ctx context.Context, db *store.DB, name string) (idp.User, error) {
	user, err := db.UserByID(ctx, name)
	if email, ok := directory.NormalizeEmail(name); ok {
		user, err = db.UserByEmail(ctx, email)
	}
	if errors.Is(err, idp.ErrNotFound) {
		return user, fmt.Errorf("there is no user %s; see: stepward user list", name)
	}
	if err != nil {
		return user, fmt.Errorf("find user: %w", err)
	}
	return user, nil
}

// FindMember finds a user by e-mail address or ID.
func FindMember(ctx context.Context, ops *admin.Operations, name string) (idp.User, error) {
	u, err := ops.Users.Find(ctx, Operator, name)
	if errors.Is(err, idp.ErrNotFound) {
		return u, fmt.Errorf("there is no user %s; see: stepward user list", name)
	}
	return u, Told("find user", err)
}

// ClaimValues reads NAME=VALUE; an empty value removes.
func ClaimValues(ctx context.Context, ops *admin.Operations, given []string) (map[string]json.RawMessage, error) {
	claims, err := ops.Claims.List(ctx, Operator)
	if err != nil {
		return nil, err
	}
	values := map[string]json.RawMessage{}
	for _, text := range given {
		name, typed, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--claim %q: write NAME=VALUE, or NAME= to remove the value", text)
		}
		values[name] = nil
		for _, c := range claims {
			if c.Name == name && typed != "" {
				values[name] = c.ParseValue(typed)
			}
		}
	}
	return values, nil
}

func NamesOf(groups []directory.Group) []string {
	names := []string{}
	for _, g := range groups {
		names = append(names, g.Name)
	}
	return names
}
