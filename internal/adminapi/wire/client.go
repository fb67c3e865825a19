package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/pubkey"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/pkg/adminapi"
)

// durations are the members that are seconds on the wire and nanoseconds in the store.
var durations = []string{"access_token_ttl", "default_max_age"}

// Client returns a client in its wire form. The two have the same members but for durations and what the server
// adds.
func Client(c idp.Client, used registry.Usage) (out adminapi.Client) {
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
	out.CreatedAt, out.UpdatedAt, out.DisabledAt = Moment(c.CreatedAt), Moment(c.UpdatedAt),
		Moment(c.DisabledAt)
	for _, s := range c.Secrets {
		out.Secrets = append(out.Secrets, Secret(s, used.Secrets[s.ID]))
	}
	out.Usage = &adminapi.ClientsUsage{
		SignInAt: Moment(used.SignInAt), TokensAt: Moment(used.TokensAt),
		ErrorAt: Moment(used.ErrorAt), Error: used.Error,
	}
	if g := out.GroupsClaim; g != nil && g.Name == "" && g.Prefix == "" && len(g.Only) == 0 && !g.Objects {
		out.GroupsClaim = nil
	}
	return out
}

// ClientOf returns the client that a caller describes. What the server sets is left out.
func ClientOf(in adminapi.Client) (c idp.Client, err error) {
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

// Secret returns a secret of a client, without its hash.
func Secret(s idp.ClientSecret, used time.Time) adminapi.Secret {
	return adminapi.Secret{
		ID: s.ID, Name: s.Name, CreatedAt: s.CreatedAt.UTC(),
		ExpiresAt: Moment(s.ExpiresAt), LastUsedAt: Moment(used),
	}
}
