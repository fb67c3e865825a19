package desired

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// clients adds and changes clients.
func (w *work) clients(ctx context.Context) error {
	list, err := w.ops.Clients.List(ctx, w.by)
	if err != nil {
		return err
	}
	stored := map[string]idp.Client{}
	for _, c := range list {
		stored[c.ID] = c
	}
	for i, c := range w.state.Clients {
		was, known := stored[c.ID]
		if err := w.client(ctx, fmt.Sprintf("clients[%d]", i), c, was, known); err != nil {
			return err
		}
	}
	return nil
}

func (w *work) client(ctx context.Context, path string, c Client, was idp.Client, known bool) error {
	k := key{declared.Client, c.ID}
	if c.Secrets != nil {
		w.kept[key{declared.Secrets, c.ID}] = true
		c.Secrets = sameSecrets(was.Secrets, c.Secrets)
	}
	if !known {
		w.claim(k, path)
		now := time.Now().Truncate(time.Millisecond)
		c.CreatedAt, c.UpdatedAt = now, now
		w.note(adminapi.PlannedChange{Action: adminapi.ActionAdd, Kind: "client", Name: c.ID}, "")
		w.changedClients[c.ID] = true
		if err := w.ops.Clients.Add(ctx, w.by, c.Client); err != nil {
			return w.failed(path, err)
		}
		return w.disable(ctx, path, c, false)
	}
	c.Software = was.Software // no file says it
	fields := inSeconds(between(Normal(was), c.Client))
	if c.Secrets != nil {
		fields = append(fields, secretsBetween(was.Secrets, c.Secrets)...)
		if _, marked := w.marks[key{declared.Secrets, c.ID}]; !marked && len(fields) == 0 {
			fields = append(fields, adminapi.FieldChange{Name: "secrets", To: json.RawMessage(`"managed from now on"`)})
		}
	}
	flips := c.Disabled != nil && *c.Disabled == was.DisabledAt.IsZero()
	metadata := len(fields) > 0
	if flips {
		fields = append(fields, adminapi.FieldChange{
			Name: "disabled", From: flag(!*c.Disabled), To: flag(*c.Disabled),
		})
	}
	if !w.settle(k, path, c.ID, fields, was.UpdatedAt) {
		return nil
	}
	w.changedClients[c.ID] = true
	if metadata {
		if _, err := w.ops.Clients.Change(ctx, w.by, c.ID, c.Client, was.UpdatedAt); err != nil {
			return w.failed(path, err)
		}
	}
	if flips {
		return w.disable(ctx, path, c, !*c.Disabled)
	}
	return nil
}

// inSeconds writes durations as files have them: in the store they are nanoseconds.
func inSeconds(fields []adminapi.FieldChange) []adminapi.FieldChange {
	for i := range fields {
		if f := &fields[i]; f.Name == "default_max_age" || f.Name == "access_token_ttl" {
			for _, v := range []*json.RawMessage{&f.From, &f.To} {
				if n, err := strconv.ParseInt(string(*v), 10, 64); err == nil {
					*v = json.RawMessage(strconv.FormatInt(n/int64(time.Second), 10))
				}
			}
		}
	}
	return fields
}

func flag(on bool) json.RawMessage { return json.RawMessage(strconv.FormatBool(on)) }

// disable brings a client into the state that is described.
func (w *work) disable(ctx context.Context, path string, c Client, is bool) error {
	switch {
	case c.Disabled == nil || *c.Disabled == is:
		return nil
	case *c.Disabled:
		return w.failed(path, w.ops.Clients.Disable(ctx, w.by, c.ID))
	}
	return w.failed(path, w.ops.Clients.Enable(ctx, w.by, c.ID))
}

// sameSecrets returns the described secrets; those that the client has already stay the same.
func sameSecrets(was, described []idp.ClientSecret) []idp.ClientSecret {
	secrets := []idp.ClientSecret{}
	for _, s := range described {
		s.ID, s.CreatedAt = idp.NewID(), time.Now().Truncate(time.Millisecond)
		if i := slices.IndexFunc(was, func(old idp.ClientSecret) bool { return old.Hash == s.Hash }); i >= 0 {
			s.ID, s.CreatedAt = was[i].ID, was[i].CreatedAt
		}
		secrets = append(secrets, s)
	}
	return secrets
}

// secretsBetween says which secrets differ, by their names.
func secretsBetween(was, is []idp.ClientSecret) []adminapi.FieldChange {
	name := func(s idp.ClientSecret) string {
		if s.Name == "" {
			return "without a name"
		}
		return s.Name
	}
	change := adminapi.FieldChange{Name: "secrets"}
	of := func(list []idp.ClientSecret, like idp.ClientSecret) bool {
		return slices.ContainsFunc(list, func(s idp.ClientSecret) bool {
			return s.Hash == like.Hash && s.Name == like.Name && s.ExpiresAt.Equal(like.ExpiresAt)
		})
	}
	for _, s := range is {
		if !of(was, s) {
			change.Added = append(change.Added, name(s))
		}
	}
	for _, s := range was {
		if !of(is, s) {
			change.Removed = append(change.Removed, name(s))
		}
	}
	if len(change.Added)+len(change.Removed) == 0 {
		return nil
	}
	return []adminapi.FieldChange{change}
}

// leaveClients removes the clients that are no longer described.
func (w *work) leaveClients(ctx context.Context) error {
	for _, id := range w.left(declared.Client) {
		_, err := w.ops.Clients.Get(ctx, w.by, id)
		if errors.Is(err, idp.ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if !w.leave(key{declared.Client, id}, id) {
			secrets := key{declared.Secrets, id}
			if _, marked := w.marks[secrets]; marked {
				w.kept[secrets] = true
			}
			continue
		}
		if err := w.failed("clients", gone(w.ops.Clients.Remove(ctx, w.by, id))); err != nil {
			return err
		}
	}
	return nil
}
