package manage

import (
	"encoding/json"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Collect returns the first things of a list; limit 0: all of them.
func Collect[T any](list iter.Seq2[T, error], limit int) ([]T, error) {
	all := []T{}
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		if all = append(all, v); len(all) == limit {
			break
		}
	}
	return all, nil
}

// Day writes the day of a time in UTC; "" for none.
func Day(at *time.Time) string {
	if at == nil {
		return ""
	}
	return at.UTC().Format(time.DateOnly)
}

// FindUser finds a user by e-mail address or ID.
func FindUser(api *API, name string) (adminapi.User, error) {
	u, err := api.Users.Find(api.Context, name)
	if Refused(err, "not_found") {
		return u, fmt.Errorf("there is no user %s; see: stepward user list", name)
	}
	return u, err
}

// FindGroup finds a group by name or ID.
func FindGroup(api *API, name string) (adminapi.Group, error) {
	g, err := api.Groups.Find(api.Context, name)
	if Refused(err, "not_found") {
		return g, fmt.Errorf("there is no group %s; see: stepward group list", name)
	}
	return g, err
}

// ClaimValues reads NAME=VALUE; an empty value removes.
func ClaimValues(api *API, given []string) (adminapi.ClaimValues, error) {
	defined, err := Collect(api.Claims.All(api.Context), 0)
	if err != nil {
		return nil, err
	}
	values := adminapi.ClaimValues{}
	for _, text := range given {
		name, typed, found := strings.Cut(text, "=")
		if !found {
			return nil, fmt.Errorf("--claim %q: write NAME=VALUE, or NAME= to remove the value", text)
		}
		values[name] = json.RawMessage("null")
		for _, c := range defined {
			if c.Name == name && typed != "" {
				values[name] = directory.Claim{Name: c.Name, Type: directory.ClaimType(c.Type)}.ParseValue(typed)
			}
		}
	}
	return values, nil
}
