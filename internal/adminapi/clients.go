package adminapi

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/pkg/adminapi"
)

// A ClientAnswer is the answer with a client.
type ClientAnswer struct {
	ETag string `header:"ETag"`
	Body adminapi.Client
}

// A CreatedClient is the answer with a new client and its secret.
type CreatedClient struct {
	ETag     string `header:"ETag"`
	Location string `header:"Location"`
	Body     adminapi.MadeClient
}

// clients adds the operations on clients.
func (a *API) clients(api huma.API) {
	ops := a.cfg.Operations.Clients
	read, write := adminapi.ScopeClientsRead, adminapi.ScopeClientsWrite
	const tag = "clients"
	type search struct {
		By
		Part
		Query string `query:"q" maxLength:"200" doc:"Part of the ID, name or a redirect URI; missing: all clients."`
	}
	register(api, operation{"list-clients", "GET", "/clients", "Search clients by ID", tag, read, 0, false},
		func(ctx context.Context, in *search) (*Listed[adminapi.Client], error) {
			place, err := in.place()
			if err != nil {
				return nil, err
			}
			clients, err := ops.Search(ctx, in.actor, in.Query, place, in.Limit)
			if err != nil {
				return nil, err
			}
			next, ids := "", []string{}
			for _, c := range clients {
				ids = append(ids, c.ID)
			}
			if len(clients) == in.Limit {
				next = ids[len(ids)-1]
			}
			used, err := ops.Usage(ctx, in.actor, ids...)
			if err != nil {
				return nil, err
			}
			files, err := a.marks.Sources(ctx, declared.Client, ids...)
			return listed(clients, next, func(c idp.Client) adminapi.Client {
				out := wire.Client(c, used[c.ID])
				out.ManagedBy = files[c.ID]
				return out
			}), err
		})
	type create struct {
		By
		Body adminapi.Client
	}
	register(api, operation{
		"create-client", "POST", "/clients", "Register a client; the answer shows its secret once", tag, write, 201, false,
	}, func(ctx context.Context, in *create) (*CreatedClient, error) {
		return a.createClient(ctx, in.By, in.Body)
	})
	register(api, operation{"get-client", "GET", "/clients/{id}", "Read a client", tag, read, 0, false},
		func(ctx context.Context, in *OfID) (*ClientAnswer, error) { return a.client(ctx, in) })
	type replace struct {
		OfID
		Versioned
		Body adminapi.Client
	}
	register(api, operation{
		"replace-client", "PUT", "/clients/{id}", "Replace the metadata of a client", tag, write, 0, true,
	}, func(ctx context.Context, in *replace) (*ClientAnswer, error) {
		version, err := in.version()
		if err != nil {
			return nil, err
		}
		c, err := wire.ClientOf(in.Body)
		if err != nil {
			return nil, err
		}
		was, err := a.reach(ctx, &in.OfID)
		if err != nil {
			return nil, err
		}
		if err := in.mayScope(c.Scopes); err != nil {
			return nil, err
		}
		c.ID = cmp.Or(c.ID, in.ID)
		c.Dynamic, c.DocumentUntil = was.Dynamic, was.DocumentUntil
		if version.IsZero() { // what was read just now must not be written over somebody else's change
			version = was.UpdatedAt
		}
		if _, err := ops.Change(ctx, in.actor, in.ID, c, version); err != nil {
			return nil, err
		}
		return a.client(ctx, &in.OfID)
	})
	register(api, operation{
		"remove-client", "DELETE", "/clients/{id}", "Remove a client; its tokens end", tag, write, http.StatusNoContent,
		false,
	}, func(ctx context.Context, in *OnClient) (*Empty, error) {
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		return &Empty{}, ops.Remove(ctx, in.actor, in.ID)
	})
	for name, change := range map[string]func(context.Context, admin.Actor, string) error{
		"disable": ops.Disable, "enable": ops.Enable,
	} {
		register(api, operation{
			name + "-client", "POST", "/clients/{id}/" + name, strings.ToUpper(name[:1]) + name[1:] + " a client", tag, write, 0,
			false,
		}, func(ctx context.Context, in *OnClient) (*ClientAnswer, error) {
			if _, err := a.reach(ctx, &in.OfID); err != nil {
				return nil, err
			}
			if err := change(ctx, in.actor, in.ID); err != nil {
				return nil, err
			}
			return a.client(ctx, &in.OfID)
		})
	}
	a.secrets(api)
}

// secrets adds the operations on the secrets of clients.
func (a *API) secrets(api huma.API) {
	ops := a.cfg.Operations.Clients
	const tag, write = "clients", adminapi.ScopeClientsWrite
	type add struct {
		OnClient
		Body adminapi.NewSecret
	}
	type made struct{ Body adminapi.MadeSecret }
	register(api, operation{
		"add-secret", "POST", "/clients/{id}/secrets", "Add a secret; the others stay valid", tag, write, 201, false,
	}, func(ctx context.Context, in *add) (*made, error) {
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		value, s, err := ops.AddSecret(ctx, in.actor, in.ID,
			admin.NewSecret{Name: in.Body.Name, ExpiresAt: wire.TimeOf(in.Body.ExpiresAt)}, in.version)
		return &made{adminapi.MadeSecret{Secret: wire.Secret(s, time.Time{}), Value: value.Reveal()}}, err
	})
	type ofSecret struct {
		OnClient
		Secret string `path:"secret" maxLength:"256"`
	}
	type change struct {
		OnClient
		Secret string `path:"secret" maxLength:"256"`
		Body   adminapi.SecretChange
	}
	type changed struct{ Body adminapi.Secret }
	register(api, operation{
		"expire-secret", "PATCH", "/clients/{id}/secrets/{secret}", "Set when a secret stops working", tag, write, 0, false,
	}, func(ctx context.Context, in *change) (*changed, error) {
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		s, err := ops.ExpireSecret(ctx, in.actor, in.ID, in.Secret, wire.TimeOf(in.Body.ExpiresAt), in.version)
		return &changed{wire.Secret(s, time.Time{})}, err
	})
	register(api, operation{
		"remove-secret", "DELETE", "/clients/{id}/secrets/{secret}", "End a secret at once", tag, write, http.StatusNoContent,
		false,
	}, func(ctx context.Context, in *ofSecret) (*Empty, error) {
		if _, err := a.reach(ctx, &in.OfID); err != nil {
			return nil, err
		}
		return &Empty{}, ops.RemoveSecret(ctx, in.actor, in.ID, in.Secret, in.version)
	})
}

// client returns the answer with a client.
func (a *API) client(ctx context.Context, in *OfID) (*ClientAnswer, error) {
	c, err := a.cfg.Operations.Clients.Get(ctx, in.actor, in.ID)
	if err != nil {
		return nil, err
	}
	used, err := a.cfg.Operations.Clients.Usage(ctx, in.actor, c.ID)
	if err != nil {
		return nil, err
	}
	out := wire.Client(c, used[c.ID])
	out.ManagedBy, err = a.marks.Of(ctx, declared.Client, c.ID)
	return &ClientAnswer{etag(c.UpdatedAt), out}, err
}

// reach returns a client that the token may change: a client that may manage the server itself needs the widest scope,
// because its secret, its keys and its redirect URIs lead to everything.
func (a *API) reach(ctx context.Context, in *OfID) (idp.Client, error) {
	c, err := a.cfg.Operations.Clients.Get(ctx, in.actor, in.ID)
	if err != nil {
		return c, err
	}
	return c, in.mayScope(c.Scopes)
}

// ownScopes begin the scopes of this API and of SCIM.
const ownScopes = "stepward:"

// mayScope returns a problem if the token is not enough for a client with these scopes.
func (b *By) mayScope(scopes []string) error {
	if slices.ContainsFunc(scopes, func(s string) bool { return strings.HasPrefix(s, ownScopes) }) {
		return b.needs(adminapi.ScopeWrite, "a client with scopes of Stepward")
	}
	return nil
}

func (a *API) createClient(ctx context.Context, by By, in adminapi.Client) (*CreatedClient, error) {
	c, err := wire.ClientOf(in)
	if err != nil {
		return nil, err
	}
	if err := by.mayScope(c.Scopes); err != nil {
		return nil, err
	}
	now := time.Now().Truncate(time.Millisecond)
	c.ID, c.CreatedAt, c.UpdatedAt = cmp.Or(c.ID, idp.NewID()), now, now
	var secret idp.Secret
	if c.AuthMethod == idp.AuthMethodBasic || c.AuthMethod == idp.AuthMethodPost {
		secret = c.AddSecret(now)
	}
	if err := a.cfg.Operations.Clients.Add(ctx, by.actor, c); err != nil {
		return nil, err
	}
	return &CreatedClient{
		ETag: etag(c.UpdatedAt), Location: a.location("clients", c.ID),
		Body: adminapi.MadeClient{Client: wire.Client(c, registry.Usage{}), Value: secret.Reveal()},
	}, nil
}
