package console

import (
	"cmp"
	"context"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/desk"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/lookup"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

const eventsPath = Path + "/events"

// events has the page of events.
type events struct{ *Console }

func (c events) mount(m desk.Mounting) { m.Get("GET "+eventsPath, c.list) }

// topics are the choices of the filter by kind: the part before the dot, with those that belong together.
var topics = map[string][]idp.EventKind{
	"people": {
		idp.EventUserCreated, idp.EventUserInvited, idp.EventUserChanged, idp.EventUserDisabled, idp.EventUserRemoved,
		idp.EventUserEnabled, idp.EventEmailVerified, idp.EventEmailAdded, idp.EventEmailRemoved, idp.EventEmailChanged,
		idp.EventEmailUndone, idp.EventNoticesChanged, idp.EventDeletionAsked, idp.EventDeletionStopped,
	},
	"passkeys": {
		idp.EventPasskeyAdded, idp.EventPasskeyRenamed, idp.EventPasskeyRemoved, idp.EventPasskeyRegressed,
		idp.EventPasskeyRefused, idp.EventPasskeyKept, idp.EventPasskeyOffered, idp.EventOfferOpened, idp.EventOfferRefused,
	},
	"recovery": {
		idp.EventCodesMade, idp.EventRecoveryAsked, idp.EventRecoveryRefused, idp.EventRecoveryHeld,
		idp.EventRecoveryReminded, idp.EventRecoveryStopped, idp.EventRecoveryOpened,
		idp.EventRecoveryLinkMade, idp.EventRecoveryApproved,
		idp.EventRecovered,
	},
	"sessions": {
		idp.EventSignedIn, idp.EventSteppedUp, idp.EventSignedOut, idp.EventWindowClosed, idp.EventSessionRevoked,
		idp.EventLogoutGivenUp,
	},
	"tokens": {
		idp.EventConsentGranted, idp.EventConsentRevoked, idp.EventOfflineEnded, idp.EventTokensIssued,
		idp.EventTokensExchanged, idp.EventTokensRevoked, idp.EventCodeReused, idp.EventRefreshReused,
	},
	"clients": {
		idp.EventClientAdded, idp.EventClientChanged, idp.EventClientDisabled, idp.EventClientEnabled,
		idp.EventClientRemoved, idp.EventClientAuthRefused, idp.EventClientRefused,
		idp.EventProvisionChanged, idp.EventProvisionPaused, idp.EventProvisionResumed, idp.EventClientTried,
	},
	"groups": {
		idp.EventGroupCreated, idp.EventGroupChanged, idp.EventGroupRemoved, idp.EventGroupMembers, idp.EventGroupNested,
		idp.EventClaimDefined, idp.EventClaimRemoved, idp.EventClaimsSet,
	},
	"keys":   {idp.EventKeyAdded, idp.EventKeyRetired, idp.EventKeyWithdrawn, idp.EventOperatorKey},
	"policy": {idp.EventPolicyChanged, idp.EventRestored, idp.EventMovedIn},
}

var topicOrder = []string{"sessions", "people", "passkeys", "recovery", "tokens", "clients", "groups", "policy", "keys"}

// An eventLine is an event as the pages show it.
type eventLine struct {
	idp.Event
	User, Actor, Client string // names; empty: nobody
	Details             string
}

// lines adds names to events.
func (c *Console) lines(ctx context.Context, list []idp.Event) (lines []eventLine) {
	people := map[string]string{"": ""}
	name := func(id string) string {
		if _, known := people[id]; !known {
			people[id] = id
			if u, err := c.cfg.DB.UserByID(ctx, id); err == nil { // gone: the ID will do
				people[id] = u.Email
			}
		}
		return people[id]
	}
	for _, e := range list {
		line := eventLine{Event: e, User: name(e.UserID), Actor: name(e.ActorID)}
		if e.ClientID != "" {
			cl, err := c.cfg.DB.Client(ctx, e.ClientID) // cached
			line.Client = e.ClientID
			if err == nil {
				line.Client = cmp.Or(cl.Name, e.ClientID)
			}
		}
		var details []string
		for _, key := range slices.Sorted(maps.Keys(e.Detail)) {
			details = append(details, key+"="+e.Detail[key])
		}
		line.Details = strings.Join(details, "  ")
		lines = append(lines, line)
	}
	return lines
}

type eventsPage struct {
	Events              []eventLine
	Topics              []desk.Choice
	User, Client, Until string
	Filtered            bool
	Newest, Further     string
}

func (c events) list(w http.ResponseWriter, r *http.Request, v desk.Visitor) error {
	q := r.URL.Query()
	p := eventsPage{User: desk.Query(q, "user"), Client: desk.Query(q, "client"), Until: desk.Query(q, "until")}
	topic, after := desk.Query(q, "topic"), desk.Query(q, "after")
	f := lookup.Filter{Kinds: topics[topic], ClientID: p.Client}
	var nobody bool
	if p.User != "" {
		u, err := c.cfg.Operations.Users.Find(r.Context(), v.Actor, p.User)
		switch {
		case err == nil:
			f.UserID, p.User = u.ID, u.Email
		case !errors.Is(err, idp.ErrNotFound):
			return err
		default:
			f.UserID = p.User // a user who was removed has events
			nobody = strings.Contains(p.User, "@")
		}
	}
	if day, err := time.Parse(time.DateOnly, p.Until); err == nil {
		f.Until = day.AddDate(0, 0, 1)
	} else {
		p.Until = ""
	}
	var found []idp.Event
	var next string
	var err error
	if !nobody {
		if found, next, err = c.cfg.Operations.Events.Search(r.Context(), v.Actor, f, after, pageSize); err != nil {
			return err
		}
	}
	link := func(after string) string {
		return desk.LinkTo(eventsPath, "topic", topic, "user", p.User, "client", p.Client, "until", p.Until, "after", after)
	}
	p.Filtered = link("") != eventsPath
	if next != "" {
		p.Further = link(next)
	}
	if after != "" {
		p.Newest = link("")
	}
	for _, name := range topicOrder {
		p.Topics = append(p.Topics, desk.Choice{Value: name, Text: words.T("console.topic." + name), On: name == topic})
	}
	p.Events = c.lines(r.Context(), found)
	return c.render(w, r, v, "events", web.Page{Nav: "Events", Data: p})
}
