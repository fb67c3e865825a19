package oauth

import (
	"context"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// ClientEvent returns an event caused by a client.
func ClientEvent(ctx context.Context, kind idp.EventKind, userID, clientID string, now time.Time) idp.Event {
	e := idp.NewEvent(kind, userID, now)
	e.ClientID, e.RequestID, e.Policy = clientID, web.RequestID(ctx), web.PolicyVersion(ctx)
	return e
}
