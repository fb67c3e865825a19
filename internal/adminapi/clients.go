package adminapi

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/wire"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/pubkey"
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
				out := wireClient(c, used[c.ID])
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
		c, err := clientOf(in.Body)
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
			admin.NewSecret{Name: in.Body.Name, ExpiresAt: timeOf(in.Body.ExpiresAt)}, in.version)
		return &made{adminapi.MadeSecret{Secret: wireSecret(s, time.Time{}), Value: value.Reveal()}}, err
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
		s, err := ops.ExpireSecret(ctx, in.actor, in.ID, in.Secret, timeOf(in.Body.ExpiresAt), in.version)
		return &changed{wireSecret(s, time.Time{})}, err
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
	out := wireClient(c, used[c.ID])
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
	c, err := clientOf(in)
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
		Body: adminapi.MadeClient{Client: wireClient(c, registry.Usage{}), Value: secret.Reveal()},
	}, nil
}

// durations are the members that are seconds on the wire and nanoseconds in the store.
var durations = []string{"access_token_ttl", "default_max_age"}

// wireClient returns a client in its wire form. The two have the same members but for durations and what the server
// adds.
func wireClient(c idp.Client, used registry.Usage) (out adminapi.Client) {
	text, err := json.Marshal(c)
	if err == nil {
		text, err = scaled(text, func(v int64) int64 { return v / int64(time.Second) })
	}
	if err == nil {
		err = json.Unmarshal(text, &out)
	}
	if err != nil { // a client comes from JSON, so it can be written
		panic(err)
	}
	out.CreatedAt, out.UpdatedAt, out.DisabledAt = wire.Moment(c.CreatedAt), wire.Moment(c.UpdatedAt),
		wire.Moment(c.DisabledAt)
	for _, s := range c.Secrets {
		out.Secrets = append(out.Secrets, wireSecret(s, used.Secrets[s.ID]))
	}
	out.Usage = &adminapi.ClientsUsage{
		SignInAt: wire.Moment(used.SignInAt), TokensAt: wire.Moment(used.TokensAt),
		ErrorAt: wire.Moment(used.ErrorAt), Error: used.Error,
	}
	if g := out.GroupsClaim; g != nil && g.Name == "" && g.Prefix == "" && len(g.Only) == 0 && !g.Objects {
		out.GroupsClaim = nil
	}
	return out
}

// clientOf returns the client that a caller describes. What the server sets is left out.
func clientOf(in adminapi.Client) (c idp.Client, err error) {
	in.Dynamic, in.Secrets, in.CreatedAt, in.UpdatedAt, in.DisabledAt, in.Usage = false, nil, nil, nil, nil, nil
	in.ManagedBy = ""
	keys := in.JWKS
	in.JWKS = nil
	text, err := json.Marshal(in)
	if err == nil {
		text, err = scaled(text, func(v int64) int64 { return v * int64(time.Second) })
	}
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("read client: %w", err)
	}
	if keys != nil {
		document, err := json.Marshal(keys)
		if err != nil {
			return c, fmt.Errorf("read keys: %w", err)
		}
		if c.JWKS, err = pubkey.Registered(document); err != nil {
			return c, directory.Faults{{Field: "jwks", Text: err.Error()}}
		}
	}
	return c, nil
}

// scaled returns a client's JSON with each duration changed.
func scaled(text []byte, change func(int64) int64) ([]byte, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(text, &members); err != nil {
		return nil, err
	}
	for _, name := range durations {
		if value, ok := members[name]; ok {
			var v int64
			if err := json.Unmarshal(value, &v); err != nil {
				return nil, err
			}
			members[name] = json.RawMessage(fmt.Sprint(change(v)))
		}
	}
	return json.Marshal(members)
}

func wireSecret(s idp.ClientSecret, used time.Time) adminapi.Secret {
	return adminapi.Secret{
		ID: s.ID, Name: s.Name, CreatedAt: s.CreatedAt.UTC(),
		ExpiresAt: wire.Moment(s.ExpiresAt), LastUsedAt: wire.Moment(used),
	}
}
