// Package takeout writes what is kept about a person into files for them (docs/data.md).
package takeout

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/personal"
)

// A Writer writes the files. All fields are needed.
type Writer struct {
	DB       *store.DB
	Records  *personal.Records
	Sessions *session.Sessions
	Issuer   string
	// Usable returns those of a user's recovery codes that still work.
	Usable func([]idp.RecoveryCode) []idp.RecoveryCode
}

// Passkeys are a user's passkeys, and the names of all that they ever had, by ID.
type Passkeys struct {
	Names   map[string]string
	Present []idp.Passkey
}

// A savedEvent is an event in a file for its user (docs/data.md).
type savedEvent struct {
	ID          string            `json:"id"`
	At          time.Time         `json:"at"`
	Kind        idp.EventKind     `json:"kind"`
	ClientID    string            `json:"client_id,omitempty"`
	ClientName  string            `json:"client_name,omitempty"`
	PasskeyID   string            `json:"passkey_id,omitempty"`
	PasskeyName string            `json:"passkey_name,omitempty"`
	SessionID   string            `json:"session_id,omitempty"`
	Agent       string            `json:"browser,omitempty"`
	Address     string            `json:"address,omitempty"`
	RequestID   string            `json:"request_id,omitempty"`
	Detail      map[string]string `json:"detail,omitempty"`
}

// Activity sends the user's events that the filter selects.
func (t Writer) Activity(
	ctx context.Context, w http.ResponseWriter, u idp.User, f personal.Filter, keys Passkeys,
) error {
	out := newFile(w, "activity.json")
	out.member("format", 1)
	out.member("issuer", t.Issuer)
	out.member("made_at", time.Now().UTC())
	out.member("sub", u.ID)
	t.events(ctx, out, u, f, keys)
	return out.close()
}

// events writes the member "events", a page at a time.
func (t Writer) events(ctx context.Context, out *file, u idp.User, f personal.Filter, keys Passkeys) {
	clients := map[string]string{}
	out.list("events", func(item func(any)) error {
		return t.Records.EachEvent(ctx, u.ID, f, func(e idp.Event) error {
			if _, ok := clients[e.ClientID]; !ok && e.ClientID != "" {
				clients[e.ClientID] = t.ClientName(ctx, e.ClientID)
			}
			item(savedEvent{
				ID: e.ID, At: e.At.UTC(), Kind: e.Kind, ClientID: e.ClientID, ClientName: clients[e.ClientID],
				PasskeyID: e.PasskeyID, PasskeyName: keys.Names[e.PasskeyID], SessionID: e.SessionID, Agent: e.Agent,
				Address: e.Address, RequestID: e.RequestID, Detail: e.Detail,
			})
			return out.err
		})
	})
}

// ClientName returns the name of a client; its ID if it has none, or is gone or disabled.
func (t Writer) ClientName(ctx context.Context, id string) string {
	c, err := t.DB.Client(ctx, id) // cached; on an error the ID will do
	if err != nil {
		return id
	}
	return cmp.Or(c.Name, id)
}
