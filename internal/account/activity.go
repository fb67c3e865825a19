package account

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// activityLimit is how many events the page shows.
const activityLimit = 100

// An activity is one line of the page: what happened, with which passkey, when and where, and what to do about it.
type activity struct {
	At             time.Time
	Words          string
	Passkey        string // its name; empty: none was used, or Words already names it
	Agent, Address string
	Remedy         remedy
}

// A remedy is a link to the page where the user can check or undo what happened.
type remedy struct{ Text, URL string }

// Removes reports whether the link leads to removing a passkey.
func (r remedy) Removes() bool { return r.Text == removeThis }

const removeThis = "Remove this passkey"

var (
	toProfile      = remedy{"See your profile", "/account"}
	toPasskeys     = remedy{"See your passkeys", "/account/passkeys"}
	toSessions     = remedy{"See your sessions", "/account/sessions"}
	toCodes        = remedy{"See your recovery codes", "/account/codes"}
	toApplications = remedy{"See your applications", "/account/applications"}
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
		text := phrase.textFor(e)
		line := activity{
			At: e.At, Words: a.fillIn(r, text, e, names), Agent: e.Agent, Address: e.Address, Remedy: phrase.remedy,
		}
		if !strings.Contains(text, "{passkey}") {
			line.Passkey = names[e.PasskeyID]
		}
		if phrase.remedy == toPasskeys && present[e.PasskeyID] {
			line.Remedy = remedy{removeThis, "/account/passkeys/" + e.PasskeyID + "/remove"}
		}
		list = append(list, line)
	}
	return a.renderHouse(w, r, v, "activity", web.Page{Nav: "Activity", Title: "Recent activity", Data: list})
}

// A phrase tells users about an event of their account. It may contain {passkey}, {client} and {action}.
type phrase struct {
	plain      string
	withClient string // for an event with a client; empty: as plain
	withAction string // for an event with an action class; empty: as above
	remedy     remedy
}

// textFor returns the most specific text that fits the event.
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
	idp.EventUserCreated:    {plain: "You created your account", remedy: toProfile},
	idp.EventUserInvited:    {plain: "You were invited", remedy: toProfile},
	idp.EventUserChanged:    {plain: "Your profile was changed", remedy: toProfile},
	idp.EventUserDisabled:   {plain: "Your account was disabled", remedy: toProfile},
	idp.EventUserEnabled:    {plain: "Your account was enabled again", remedy: toProfile},
	idp.EventEmailVerified:  {plain: "You confirmed your e-mail address", remedy: toProfile},
	idp.EventPasskeyAdded:   {plain: "The passkey {passkey} was added", remedy: toPasskeys},
	idp.EventPasskeyRenamed: {plain: "A passkey was renamed to {passkey}", remedy: toPasskeys},
	idp.EventPasskeyRemoved: {plain: "The passkey {passkey} was removed", remedy: toPasskeys},
	idp.EventPasskeyRegressed: {
		plain:  "The passkey {passkey} may have been copied: its counter did not go up",
		remedy: toPasskeys,
	},
	idp.EventPasskeyRefused: {
		plain: "A sign-in was refused", withClient: "A sign-in to {client} was refused",
		remedy: toPasskeys,
	},
	idp.EventSignedIn: {
		plain: "You signed in to your account", withClient: "You signed in to {client}",
		remedy: toPasskeys,
	},
	idp.EventSteppedUp: {
		plain: "You confirmed it’s you", withClient: "You confirmed it’s you for {client}",
		withAction: "You confirmed it’s you to {action}", remedy: toPasskeys,
	},
	idp.EventPasskeyKept:     {plain: "The passkey {passkey} was taken off hold", remedy: toPasskeys},
	idp.EventCodesMade:       {plain: "You made new recovery codes", remedy: toCodes},
	idp.EventRecoveryAsked:   {plain: "Someone asked to recover this account", remedy: toCodes},
	idp.EventRecoveryRefused: {plain: "Someone typed wrong codes to recover this account", remedy: toCodes},
	idp.EventRecoveryOpened:  {plain: "Someone passed the checks to recover this account", remedy: toPasskeys},
	idp.EventRecoveryLinkMade: {
		plain: "The people who run this service created a link to recover this account", remedy: toPasskeys,
	},
	idp.EventRecovered: {plain: "This account was recovered with the passkey {passkey}", remedy: toPasskeys},
	idp.EventSignedOut: {plain: "You signed out", remedy: toSessions},
	idp.EventWindowClosed: {
		plain: "You withdrew a confirmation", withAction: "You withdrew your confirmation to {action}", remedy: toSessions,
	},
	idp.EventSessionRevoked: {plain: "A session was signed out", remedy: toSessions},
	idp.EventOfflineEnded:   {plain: "You ended the access of applications while you are away", remedy: toApplications},
	idp.EventConsentGranted: {plain: "You gave {client} access", remedy: toApplications},
	idp.EventConsentRevoked: {plain: "You removed the access of {client}", remedy: toApplications},
	idp.EventCodeReused: {
		plain:  "A sign-in code of {client} was used twice, so its access ended",
		remedy: toApplications,
	},
	idp.EventRefreshReused: {plain: "A token of {client} was used twice, so its access ended", remedy: toApplications},
}

// fillIn replaces the placeholders of a phrase. If an application asked for an action, it adds the application's name.
func (a *Account) fillIn(r *http.Request, words string, e idp.Event, passkeys map[string]string) string {
	client := "an application"
	if e.ClientID != "" {
		client = e.ClientID
		if c, err := a.cfg.DB.Client(r.Context(), e.ClientID); err == nil { // cached; on an error the ID will do
			client = cmp.Or(c.Name, e.ClientID)
		}
	}
	var actions []string
	for _, class := range actionClasses(e) {
		actions = append(actions, cmp.Or(a.cfg.Policy.ActionClasses[class].Description, class))
	}
	if len(actions) > 0 && e.ClientID != "" && !strings.Contains(words, "{client}") {
		words += " ({client})"
	}
	passkey := ""
	if name := cmp.Or(e.Detail["name"], passkeys[e.PasskeyID]); name != "" {
		passkey = "“" + name + "”"
	}
	return strings.Join(strings.Fields(strings.NewReplacer(
		"{passkey}", passkey, "{client}", client, "{action}", strings.Join(actions, " and "),
	).Replace(words)), " ")
}
