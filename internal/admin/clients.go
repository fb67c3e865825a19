package admin

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
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
	if _, err := s.cfg.DB.StoredClient(ctx, c.ID); err == nil {
		return directory.Faults{{Field: "client_id", Text: fmt.Sprintf("a client with the ID %s already exists", c.ID)}}
	} else if !errors.Is(err, idp.ErrNotFound) {
		return err
	}
	ev := s.event(by, idp.EventClientAdded, "")
	ev.ClientID = c.ID
	return s.cfg.DB.PutClient(ctx, c, ev)
}

// Change replaces the metadata of a client. Its ID, secrets and whether it is disabled stay. version is the UpdatedAt
// as the caller read it; zero: whatever it is now.
func (s *Clients) Change(
	ctx context.Context, by Actor, id string, c idp.Client, version time.Time,
) (idp.Client, error) {
	if _, err := s.admit(ctx, by, changing); err != nil {
		return c, err
	}
	was, err := s.cfg.DB.StoredClient(ctx, id)
	if err != nil {
		return c, err
	}
	if !version.IsZero() && !was.UpdatedAt.Equal(version) {
		return was, ErrStale
	}
	if c.ID != id {
		return was, directory.Faults{{Field: "client_id", Text: fmt.Sprintf("is %q; a client's ID cannot change", c.ID)}}
	}
	c.Secrets, c.DisabledAt, c.CreatedAt, c.UpdatedAt = was.Secrets, was.DisabledAt, was.CreatedAt, after(was.UpdatedAt)
	c.RegistrationHash, c.UsedAt = was.RegistrationHash, was.UsedAt
	if !c.Dynamic { // now the operator's own client: not removed when unused, and unable to change itself
		c.RegistrationHash, c.UsedAt = "", time.Time{}
	}
	if err := s.faults(ctx, c); err != nil {
		return was, err
	}
	ev := s.event(by, idp.EventClientChanged, "")
	ev.ClientID = id
	return c, s.cfg.DB.PutClient(ctx, c, ev)
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
	ev := s.event(by, idp.EventClientRemoved, "")
	ev.ClientID = id
	return s.cfg.DB.RemoveClient(ctx, id, ev)
}
