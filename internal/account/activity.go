package account

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// activityLimit is how many events the page shows.
const activityLimit = 100

// An activity is one line of the page: what happened, with which passkey, when and where, and what to do about it.
type activity struct {
	At             time.Time
	Words          words.Text
	Passkey        string // its name; empty: none was used, or Words already names it
	Agent, Address string
	Remedy         remedy
}

// A remedy is a link to the page where the user can check or undo what happened. Text is the key of its label.
type remedy struct{ Text, URL string }

// Label returns the text of the link.
func (r remedy) Label() words.Text { return words.T(r.Text) }

// Removes reports whether the link leads to removing a passkey.
func (r remedy) Removes() bool { return r.Text == removeThis }

const removeThis = "activity.see.remove"

var (
	toProfile      = remedy{"activity.see.profile", "/account"}
	toPasskeys     = remedy{"activity.see.passkeys", "/account/passkeys"}
	toSessions     = remedy{"activity.see.sessions", "/account/sessions"}
	toCodes        = remedy{"activity.see.codes", "/account/codes"}
	toApplications = remedy{"activity.see.applications", "/account/applications"}
)

func (a *Account) showActivity(w http.ResponseWriter, r *http.Request, v visitor) error {
	events, err := a.cfg.DB.EventsOf(r.Context(), v.user.ID, activityLimit)
	if err != nil {
		return fmt.Errorf("load events: %w", err)
	}
	keys, err := a.cfg.DB.PasskeysOf(r.Context(), v.user.ID)
	if err != nil {
		return fmt.Errorf("load passkeys: %w", err)
	}
	names, present := map[string]string{}, map[string]bool{}
	for _, e := range events { // newest first, so a removed passkey gets its last name
		if name := e.Detail["name"]; name != "" && names[e.PasskeyID] == "" {
			names[e.PasskeyID] = name
		}
	}
	for _, k := range keys {
		names[k.ID], present[k.ID] = k.Name, true
	}
	var list []activity
	for _, e := range events {
		phrase, ok := phrases[e.Kind]
		if !ok {
			continue
		}
		line := activity{
			At: e.At, Words: a.describe(r, phrase, e, names), Agent: e.Agent, Address: e.Address, Remedy: phrase.remedy,
		}
		if !phrase.named {
			line.Passkey = names[e.PasskeyID]
		}
		if phrase.remedy == toPasskeys && present[e.PasskeyID] {
			line.Remedy = remedy{removeThis, "/account/passkeys/" + e.PasskeyID + "/remove"}
		}
		list = append(list, line)
	}
	return a.renderHouse(w, r, v, "activity", web.Page{Nav: "Activity", Data: list})
}

// A phrase tells users about an event of their account: keys of texts about a passkey, a client and an action.
type phrase struct {
	plain      string
	withClient string // for an event with a client; empty: as plain
	withAction string // for an event with an action class; empty: as above
	named      bool   // the text names the passkey
	remedy     remedy
}

// textFor returns the key of the most specific text that fits the event.
func (p phrase) textFor(e idp.Event) string {
	switch {
	case p.withAction != "" && actionClasses(e) != nil:
		return p.withAction
	case p.withClient != "" && e.ClientID != "":
		return p.withClient
	}
	return p.plain
}

// actionClasses returns the action classes of an event.
func actionClasses(e idp.Event) []string { return strings.Fields(e.Detail["class"]) }

// phrases has the events that users see. The others concern only the operator (keys, clients) or repeat one of these.
var phrases = map[idp.EventKind]phrase{
	idp.EventUserCreated:      {plain: "event.created", remedy: toProfile},
	idp.EventUserInvited:      {plain: "event.invited", remedy: toProfile},
	idp.EventUserChanged:      {plain: "event.changed", remedy: toProfile},
	idp.EventUserDisabled:     {plain: "event.disabled", remedy: toProfile},
	idp.EventUserEnabled:      {plain: "event.enabled", remedy: toProfile},
	idp.EventEmailVerified:    {plain: "event.confirmed", remedy: toProfile},
	idp.EventPasskeyAdded:     {plain: "event.added", named: true, remedy: toPasskeys},
	idp.EventPasskeyRenamed:   {plain: "event.renamed", named: true, remedy: toPasskeys},
	idp.EventPasskeyRemoved:   {plain: "event.removed", named: true, remedy: toPasskeys},
	idp.EventPasskeyRegressed: {plain: "event.copied", named: true, remedy: toPasskeys},
	idp.EventPasskeyRefused:   {plain: "event.refused", withClient: "event.refused.client", remedy: toPasskeys},
	idp.EventSignedIn:         {plain: "event.signin", withClient: "event.signin.client", remedy: toPasskeys},
	idp.EventSteppedUp: {
		plain: "event.stepup", withClient: "event.stepup.client", withAction: "event.stepup.action", remedy: toPasskeys,
	},
	idp.EventPasskeyKept:      {plain: "event.kept", named: true, remedy: toPasskeys},
	idp.EventPasskeyOffered:   {plain: "event.offered", remedy: toPasskeys},
	idp.EventOfferOpened:      {plain: "event.opened", remedy: toPasskeys},
	idp.EventOfferRefused:     {plain: "event.declined", remedy: toPasskeys},
	idp.EventCodesMade:        {plain: "event.codes", remedy: toCodes},
	idp.EventRecoveryAsked:    {plain: "event.recovery.asked", remedy: toCodes},
	idp.EventRecoveryRefused:  {plain: "event.recovery.refused", remedy: toCodes},
	idp.EventRecoveryOpened:   {plain: "event.recovery.opened", remedy: toPasskeys},
	idp.EventRecoveryLinkMade: {plain: "event.recovery.link", remedy: toPasskeys},
	idp.EventRecovered:        {plain: "event.recovered", named: true, remedy: toPasskeys},
	idp.EventSignedOut:        {plain: "event.signout", remedy: toSessions},
	idp.EventWindowClosed:     {plain: "event.withdrawn", withAction: "event.withdrawn.action", remedy: toSessions},
	idp.EventSessionRevoked:   {plain: "event.revoked", remedy: toSessions},
	idp.EventOfflineEnded:     {plain: "event.offline", remedy: toApplications},
	idp.EventConsentGranted:   {plain: "event.granted", remedy: toApplications},
	idp.EventConsentRevoked:   {plain: "event.withheld", remedy: toApplications},
	idp.EventCodeReused:       {plain: "event.code", remedy: toApplications},
	idp.EventRefreshReused:    {plain: "event.token", remedy: toApplications},
}

// describe returns the text about an event. If an application asked for an action, it adds the application's name.
func (a *Account) describe(r *http.Request, p phrase, e idp.Event, passkeys map[string]string) words.Text {
	var client any = words.T("activity.application")
	if e.ClientID != "" {
		client = e.ClientID
		if c, err := a.cfg.DB.Client(r.Context(), e.ClientID); err == nil { // cached; on an error the ID will do
			client = cmp.Or(c.Name, e.ClientID)
		}
	}
	var actions []words.Text
	for _, class := range actionClasses(e) {
		actions = append(actions, web.ActionWords(a.cfg.Policy, class))
	}
	var passkey words.Text
	if name := cmp.Or(e.Detail["name"], passkeys[e.PasskeyID]); name != "" {
		passkey = words.T("activity.named", "name", name)
	}
	key := p.textFor(e)
	text := words.T(key, "passkey", passkey, "client", client, "action", words.Join("list.and", actions...))
	if len(actions) > 0 && e.ClientID != "" && key != p.withClient {
		text = words.T("activity.for", "event", text, "client", client)
	}
	return text
}
