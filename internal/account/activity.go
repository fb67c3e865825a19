package account

import (
	"cmp"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

// activityLimit is how many events the page shows.
const activityLimit = 100

// An activity is one line of the page: what happened, by which passkey, when and where, and what to do if it was not them.
type activity struct {
	At             time.Time
	Words          string
	Passkey        string // its name, where Words does not say it; empty: none was used
	Agent, Address string
	Remedy         remedy
}

// A remedy is a page on which what happened can be looked at or taken back.
type remedy struct{ Text, URL string }

// Removes says that the page takes something away.
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
	for _, e := range events { // newest first: the last name of one that was removed
		if name := e.Detail["name"]; name != "" && names[e.PasskeyID] == "" {
			names[e.PasskeyID] = name
		}
	}
	for _, k := range keys {
		names[k.ID], present[k.ID] = k.Name, true
	}
	var list []activity
	for _, e := range events {
		told, ok := inWords[e.Kind]
		if !ok {
			continue
		}
		line := activity{At: e.At, Words: a.sentence(r, told.words(e), e, names), Agent: e.Agent, Address: e.Address, Remedy: told.remedy}
		if !strings.Contains(told.words(e), "{passkey}") {
			line.Passkey = names[e.PasskeyID]
		}
		if told.remedy == toPasskeys && present[e.PasskeyID] {
			line.Remedy = remedy{removeThis, "/account/passkeys/" + e.PasskeyID + "/remove"}
		}
		list = append(list, line)
	}
	return a.house(w, r, v, http.StatusOK, "activity", "Activity", "Recent activity", list)
}

// A telling is an event in words, to the person it happened to. The braces hold {passkey}, {client} and {action}.
type telling struct {
	plain    string
	to       string // with an application; empty: as plain
	inAction string // with an action class; empty: as above
	remedy   remedy
}

func (t telling) words(e idp.Event) string {
	switch {
	case t.inAction != "" && actionClasses(e) != nil:
		return t.inAction
	case t.to != "" && e.ClientID != "":
		return t.to
	}
	return t.plain
}

// actionClasses are those that an event was about.
func actionClasses(e idp.Event) []string { return strings.Fields(e.Detail["class"]) }

// inWords says what happened. An event that is not here is no business of theirs (the operator's keys and clients), or says
// nothing that another does not say.
var inWords = map[idp.EventKind]telling{
	idp.EventUserCreated:      {plain: "You created your account", remedy: toProfile},
	idp.EventUserInvited:      {plain: "You were invited", remedy: toProfile},
	idp.EventUserChanged:      {plain: "Your profile was changed", remedy: toProfile},
	idp.EventUserDisabled:     {plain: "Your account was closed", remedy: toProfile},
	idp.EventUserEnabled:      {plain: "Your account was opened again", remedy: toProfile},
	idp.EventEmailVerified:    {plain: "You confirmed your e-mail address", remedy: toProfile},
	idp.EventPasskeyAdded:     {plain: "The passkey {passkey} was added", remedy: toPasskeys},
	idp.EventPasskeyRenamed:   {plain: "A passkey was renamed to {passkey}", remedy: toPasskeys},
	idp.EventPasskeyRemoved:   {plain: "The passkey {passkey} was removed", remedy: toPasskeys},
	idp.EventPasskeyRegressed: {plain: "The counter of the passkey {passkey} did not go up, as with a copy of it", remedy: toPasskeys},
	idp.EventPasskeyRefused:   {plain: "A sign-in was refused", to: "A sign-in to {client} was refused", remedy: toPasskeys},
	idp.EventSignedIn:         {plain: "You signed in to your account", to: "You signed in to {client}", remedy: toPasskeys},
	idp.EventSteppedUp: {
		plain: "You confirmed it’s you", to: "You confirmed it’s you for {client}",
		inAction: "You confirmed it’s you to {action}", remedy: toPasskeys,
	},
	idp.EventPasskeyKept:     {plain: "The passkey {passkey} was taken off hold", remedy: toPasskeys},
	idp.EventCodesMade:       {plain: "You made new recovery codes", remedy: toCodes},
	idp.EventRecoveryAsked:   {plain: "Somebody asked to recover this account", remedy: toCodes},
	idp.EventRecoveryRefused: {plain: "Somebody typed wrong codes to recover this account", remedy: toCodes},
	idp.EventRecoveryOpened:  {plain: "Somebody proved that they may recover this account", remedy: toPasskeys},
	idp.EventRecoveryLinkMade: {
		plain: "The people who run this service made a link to recover this account", remedy: toPasskeys,
	},
	idp.EventRecovered: {plain: "This account was recovered with the passkey {passkey}", remedy: toPasskeys},
	idp.EventSignedOut: {plain: "You signed out", remedy: toSessions},
	idp.EventWindowClosed: {
		plain: "You took back that you had confirmed something", inAction: "You took back that you had confirmed it’s you to {action}", remedy: toSessions,
	},
	idp.EventSessionRevoked: {plain: "A session was signed out", remedy: toSessions},
	idp.EventOfflineEnded:   {plain: "You ended what applications may do while you are away", remedy: toApplications},
	idp.EventConsentGranted: {plain: "You gave {client} access", remedy: toApplications},
	idp.EventConsentRevoked: {plain: "You removed the access of {client}", remedy: toApplications},
	idp.EventCodeReused:     {plain: "A sign-in code of {client} was used twice, so its access ended", remedy: toApplications},
	idp.EventRefreshReused:  {plain: "A token of {client} was used twice, so its access ended", remedy: toApplications},
}

// sentence fills in the names. An action that an application asked for names the application as well.
func (a *Account) sentence(r *http.Request, words string, e idp.Event, passkeys map[string]string) string {
	client := "an application"
	if e.ClientID != "" {
		client = e.ClientID
		if c, err := a.cfg.DB.Client(r.Context(), e.ClientID); err == nil { // cached; without it the ID has to do
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
