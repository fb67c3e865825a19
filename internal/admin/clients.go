package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/internal/store/registry"
)

// Clients are the operations on clients.
type Clients struct{ office }

// Get returns a client as it is stored now, disabled or not; idp.ErrNotFound.
func (s *Clients) Get(ctx context.Context, by Actor, id string) (idp.Client, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return idp.Client{}, err
	}
	return s.cfg.DB.StoredClient(ctx, id)
}

// List returns all clients by ID, disabled ones too.
func (s *Clients) List(ctx context.Context, by Actor) ([]idp.Client, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.cfg.DB.Clients(ctx)
}

// Search returns clients by ID after that one, disabled ones too, whose ID, name or redirect URI contains the text; ""
// finds all.
func (s *Clients) Search(ctx context.Context, by Actor, text, afterID string, limit int) ([]idp.Client, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.registry.Search(ctx, text, afterID, limit)
}

// Usage returns what clients did last, to the minute, by client ID.
func (s *Clients) Usage(ctx context.Context, by Actor, ids ...string) (map[string]registry.Usage, error) {
	if _, err := s.admit(ctx, by, reading); err != nil {
		return nil, err
	}
	return s.registry.Usage(ctx, ids...)
}

// faults returns what is wrong with a client.
func (s *Clients) faults(ctx context.Context, c idp.Client) error {
	var faults directory.Faults
	for _, sentence := range c.Faults(s.cfg.Policy) {
		field, text, _ := strings.Cut(sentence, " ")
		faults = append(faults, directory.Fault{Field: field, Text: text})
	}
	for field, names := range map[string][]string{
		"allowed_groups": c.AllowedGroups, "groups_claim.only": c.GroupsClaim.Only,
	} {
		for _, name := range names {
			g, err := s.roster.GroupByName(ctx, name)
			switch {
			case errors.Is(err, idp.ErrNotFound):
				faults = append(faults, directory.Fault{Field: field, Text: fmt.Sprintf("there is no group %q", name)})
			case err != nil:
				return err
			case g.Name != name:
				faults = append(faults, directory.Fault{Field: field, Text: fmt.Sprintf("%q is spelt %q", name, g.Name)})
			}
		}
	}
	if len(faults) == 0 && s.cfg.CheckClient != nil { // it may use the network
		faults = s.cfg.CheckClient(ctx, c)
	}
	return faults.Err()
}

// Add registers a client. Its secrets, if any, are in it, hashed; the caller shows them once.
func (s *Clients) Add(ctx context.Context, by Actor, c idp.Client) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	if err := s.faults(ctx, c); err != nil {
		return err
	}
	ev := s.event(by, idp.EventClientAdded, "")
	ev.ClientID = c.ID
	err := registrations.Register(ctx, s.cfg.DB, c, "", c.CreatedAt, ev)
	if errors.Is(err, idp.ErrConflict) {
		return directory.Faults{{Field: "client_id", Text: fmt.Sprintf("a client with the ID %s already exists", c.ID)}}
	}
	return err
}

// Change replaces the metadata of a client. Its ID, secrets, what it said of its software and whether it is disabled
// stay; a file may list its secrets, which then are all that it has. version is the UpdatedAt as the caller read it;
// zero: whatever it is now. ErrStale, idp.ErrNotFound.
func (s *Clients) Change(
	ctx context.Context, by Actor, id string, c idp.Client, version time.Time,
) (idp.Client, error) {
	if c.ID != id {
		return c, directory.Faults{{Field: "client_id", Text: fmt.Sprintf("is %q; a client's ID cannot change", c.ID)}}
	}
	if err := s.free(ctx, by, declared.Client, id); err != nil {
		return c, err
	}
	return s.edit(ctx, by, id, version, func(was idp.Client) (idp.Client, []string, error) {
		c := c
		if by.Channel != ChannelApply || c.Secrets == nil {
			c.Secrets = was.Secrets
		}
		c.RegistrationHash, c.UsedAt, c.Software = was.RegistrationHash, was.UsedAt, was.Software
		if !c.Dynamic { // now the operator's own client: not removed when unused, and unable to change itself
			c.RegistrationHash, c.UsedAt = "", time.Time{}
		}
		fields := changedFields(was, c)
		if !slices.Equal(was.Secrets, c.Secrets) {
			fields = append(fields, "secrets")
		}
		return c, []string{"fields", strings.Join(fields, " ")}, nil
	})
}

// triesOfEdit is how often an edit without a version is made again if another one was faster.
const triesOfEdit = 5

// edit changes a client, unless somebody else has changed it meanwhile. change also returns what the event says.
func (s *Clients) edit(
	ctx context.Context, by Actor, id string, version time.Time,
	change func(was idp.Client) (c idp.Client, detail []string, err error),
) (idp.Client, error) {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return idp.Client{}, err
	}
	for try := 1; ; try++ {
		was, err := s.cfg.DB.StoredClient(ctx, id)
		if err != nil {
			return was, err
		}
		if !version.IsZero() && !was.UpdatedAt.Equal(version) {
			return was, ErrStale
		}
		c, detail, err := change(was)
		if err != nil {
			return was, err
		}
		c.DisabledAt, c.CreatedAt, c.UpdatedAt = was.DisabledAt, was.CreatedAt, after(was.UpdatedAt)
		if err := s.faults(ctx, c); err != nil {
			return was, err
		}
		ev := s.event(by, idp.EventClientChanged, "", detail...)
		ev.ClientID = id
		err = s.registry.Replace(ctx, was, c, ev)
		switch {
		case err == nil:
			return c, nil
		case !errors.Is(err, idp.ErrConflict):
			return was, err
		case !version.IsZero() || try == triesOfEdit:
			return was, ErrStale
		}
	}
}

// changedFields returns the names of the members in which two clients differ.
func changedFields(was, is idp.Client) (fields []string) {
	before, after := members(was), members(is)
	for name, value := range after {
		if !bytes.Equal(before[name], value) {
			fields = append(fields, name)
		}
	}
	for name := range before {
		if _, kept := after[name]; !kept {
			fields = append(fields, name)
		}
	}
	slices.Sort(fields)
	return fields
}

func members(c idp.Client) (m map[string]json.RawMessage) {
	text, err := json.Marshal(c)
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil { // a client comes from JSON or from the store, so it can be written
		panic(err)
	}
	return m
}

// ErrAlready says that the object is in the state that was asked for.
var ErrAlready = errors.New("already so")

// Disable disables a client and revokes its tokens; ErrAlready, idp.ErrNotFound.
func (s *Clients) Disable(ctx context.Context, by Actor, id string) error {
	return s.flip(ctx, by, id, idp.EventClientDisabled, s.cfg.DB.DisableClient)
}

// Enable enables a disabled client; ErrAlready, idp.ErrNotFound.
func (s *Clients) Enable(ctx context.Context, by Actor, id string) error {
	return s.flip(ctx, by, id, idp.EventClientEnabled, s.cfg.DB.EnableClient)
}

func (s *Clients) flip(
	ctx context.Context, by Actor, id string, kind idp.EventKind,
	change func(context.Context, string, time.Time, ...idp.Event) error,
) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	if _, err := s.cfg.DB.StoredClient(ctx, id); err != nil {
		return err
	}
	ev := s.event(by, kind, "")
	ev.ClientID = id
	err := change(ctx, id, time.Now(), ev)
	if errors.Is(err, idp.ErrNotFound) {
		return ErrAlready
	}
	return err
}

// Remove removes a client with all grants and tokens; idp.ErrNotFound.
func (s *Clients) Remove(ctx context.Context, by Actor, id string) error {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return err
	}
	if err := s.free(ctx, by, declared.Client, id); err != nil {
		return err
	}
	ev := s.event(by, idp.EventClientRemoved, "")
	ev.ClientID = id
	return s.cfg.DB.RemoveClient(ctx, id, ev)
}
