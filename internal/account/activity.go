package account

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/personal"
	"github.com/stepward/stepward/internal/takeout"
	"github.com/stepward/stepward/internal/web"
	"github.com/stepward/stepward/internal/words"
)

// activityLimit is how many events a page shows, and choiceLimit how many applications its filter offers.
const (
	activityLimit = 100
	choiceLimit   = 200
)

// An activity is one line of the page: what happened, with which passkey, when and where.
type activity struct {
	ID             string
	At             time.Time
	Words          words.Text
	Passkey        string // its name; empty: none was used, or Words already names it
	Agent, Address string
}

// A selected is one choice of a filter.
type selected struct {
	Value, Name string
	Text        words.Text // instead of Name
	On          bool
}

type activityPage struct {
	Events                     []activity
	Topics, Applications, Keys []selected
	Filtered                   bool
	Older, Newest, Export      string // links; Older and Newest are empty if there is nothing
}

// activities has the handlers of the events that users see.
type activities struct {
	*Account
	records *personal.Records
	takeout takeout.Writer
}

// topics are the choices of the filter by kind, in the order of the page: keys of texts.
var topics = []struct{ value, text string }{
	{"sign-in", "activity.topic.signin"},
	{"passkey", "activity.topic.passkey"},
	{"application", "activity.topic.application"},
	{"recovery", "activity.topic.recovery"},
	{"account", "activity.topic.account"},
}

// kindsOf returns the kinds of events with a topic; all that users see with another value.
func kindsOf(topic string) (kinds []idp.EventKind) {
	known := slices.ContainsFunc(topics, func(t struct{ value, text string }) bool { return t.value == topic })
	for kind, p := range phrases {
		if !known || p.topic == topic {
			kinds = append(kinds, kind)
		}
	}
	slices.Sort(kinds)
	return kinds
}

// filterOf reads the filter from the query. What it cannot mean selects nothing, or is ignored: it comes from a link.
func filterOf(q url.Values) personal.Filter {
	f := personal.Filter{
		Kinds: kindsOf(q.Get("kind")), ClientID: bounded(q.Get("application")), PasskeyID: bounded(q.Get("passkey")),
	}
	at, id, ok := strings.Cut(bounded(q.Get("before")), ".")
	if ms, err := strconv.ParseInt(at, 10, 64); ok && err == nil && ms > 0 {
		f.Before = personal.Position{At: time.UnixMilli(ms), ID: id}
	}
	return f
}

// maxFilter bounds a value of the filter: client IDs can be URLs.
const maxFilter = 2048

// bounded returns a value of the query that a stored ID can have; "" for others, which Postgres would reject.
func bounded(s string) string {
	if len(s) > maxFilter || !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
		return ""
	}
	return s
}

// linkTo returns the page's URL, or that of its export, with the query's filter and other values.
func linkTo(path string, q url.Values, more ...string) string {
	out := url.Values{}
	for _, name := range []string{"kind", "application", "passkey"} {
		if v := bounded(q.Get(name)); v != "" {
			out.Set(name, v)
		}
	}
	for pair := range slices.Chunk(more, 2) {
		out.Set(pair[0], pair[1])
	}
	if len(out) == 0 {
		return path
	}
	return path + "?" + out.Encode()
}

func (a activities) showActivity(w http.ResponseWriter, r *http.Request, v visitor) error {
	q := r.URL.Query()
	f := filterOf(q)
	events, err := a.records.Events(r.Context(), v.User.ID, f, activityLimit+1)
	if err != nil {
		return fmt.Errorf("load events: %w", err)
	}
	keys, err := a.passkeyNames(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	clients, err := a.records.ClientsOf(r.Context(), v.User.ID, choiceLimit)
	if err != nil {
		return fmt.Errorf("load applications of events: %w", err)
	}
	p := activityPage{
		Filtered: linkTo("", q) != "", Export: linkTo("/account/activity/export", q), Keys: passkeyChoices(keys, f.PasskeyID),
	}
	if len(events) > activityLimit {
		events = events[:activityLimit]
		last := events[activityLimit-1]
		p.Older = linkTo("/account/activity", q, "before", fmt.Sprintf("%d.%s", last.At.UnixMilli(), last.ID))
	}
	if !f.Before.At.IsZero() {
		p.Newest = linkTo("/account/activity", q)
	}
	for _, t := range topics {
		p.Topics = append(p.Topics, selected{Value: t.value, Text: words.T(t.text), On: t.value == q.Get("kind")})
	}
	for _, id := range clients {
		p.Applications = append(p.Applications, selected{
			Value: id, Name: a.takeout.ClientName(r.Context(), id), On: id == f.ClientID,
		})
	}
	for _, e := range events {
		p.Events = append(p.Events, a.line(r.Context(), e, keys))
	}
	return a.renderHouse(w, r, v, "activity", web.Page{Nav: "Activity", Data: p})
}

// line returns the line about an event of a kind in phrases.
func (a activities) line(ctx context.Context, e idp.Event, keys takeout.Passkeys) activity {
	phrase := phrases[e.Kind]
	line := activity{
		ID: e.ID, At: e.At, Words: a.describe(ctx, phrase, e, keys.Names), Agent: e.Agent, Address: e.Address,
	}
	if !phrase.named {
		line.Passkey = keys.Names[e.PasskeyID]
	}
	return line
}

func (a activities) passkeyNames(ctx context.Context, userID string) (n takeout.Passkeys, err error) {
	n.Names = map[string]string{}
	named, err := a.records.Events(ctx, userID, personal.Filter{Kinds: []idp.EventKind{
		idp.EventPasskeyAdded, idp.EventPasskeyRenamed, idp.EventPasskeyRemoved, idp.EventRecovered,
	}}, choiceLimit)
	if err != nil {
		return n, fmt.Errorf("load events of passkeys: %w", err)
	}
	for _, e := range named { // newest first, so a removed passkey gets its last name
		if name := e.Detail["name"]; name != "" && e.PasskeyID != "" && n.Names[e.PasskeyID] == "" {
			n.Names[e.PasskeyID] = name
		}
	}
	if n.Present, err = a.cfg.DB.PasskeysOf(ctx, userID); err != nil {
		return n, fmt.Errorf("load passkeys: %w", err)
	}
	for _, k := range n.Present {
		n.Names[k.ID] = k.Name
	}
	return n, nil
}

// passkeyChoices returns the passkeys for the filter, by name.
func passkeyChoices(n takeout.Passkeys, on string) (list []selected) {
	for id, name := range n.Names {
		list = append(list, selected{Value: id, Name: name, On: id == on})
	}
	slices.SortFunc(list, func(a, b selected) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), strings.Compare(a.Value, b.Value))
	})
	return list
}

// export sends the events that the filter of the page selects, as a file.
func (a activities) export(w http.ResponseWriter, r *http.Request, v visitor) error {
	keys, err := a.passkeyNames(r.Context(), v.User.ID)
	if err != nil {
		return err
	}
	return a.takeout.Activity(r.Context(), w, v.User, filterOf(r.URL.Query()), keys)
}

// A phrase tells users about an event of their account: keys of texts about a passkey, a client and an action.
type phrase struct {
	plain      string
	withClient string // for an event with a client; empty: as plain
	withAction string // for an event with an action class; empty: as above
	named      bool   // the text names the passkey
	topic      string // of topics, for the filter
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
	idp.EventUserCreated:      {plain: "event.created", topic: "account"},
	idp.EventUserInvited:      {plain: "event.invited", topic: "account"},
	idp.EventUserChanged:      {plain: "event.changed", topic: "account"},
	idp.EventUserDisabled:     {plain: "event.disabled", topic: "account"},
	idp.EventUserEnabled:      {plain: "event.enabled", topic: "account"},
	idp.EventEmailVerified:    {plain: "event.confirmed", topic: "account"},
	idp.EventEmailAdded:       {plain: "event.email.added", topic: "account"},
	idp.EventEmailRemoved:     {plain: "event.email.removed", topic: "account"},
	idp.EventEmailChanged:     {plain: "event.email.changed", topic: "account"},
	idp.EventEmailUndone:      {plain: "event.email.undone", topic: "account"},
	idp.EventNoticesChanged:   {plain: "event.notices", topic: "account"},
	idp.EventDeletionAsked:    {plain: "event.deletion.asked", topic: "account"},
	idp.EventDeletionStopped:  {plain: "event.deletion.stopped", topic: "account"},
	idp.EventPasskeyAdded:     {plain: "event.added", named: true, topic: "passkey"},
	idp.EventPasskeyRenamed:   {plain: "event.renamed", named: true, topic: "passkey"},
	idp.EventPasskeyRemoved:   {plain: "event.removed", named: true, topic: "passkey"},
	idp.EventPasskeyRegressed: {plain: "event.copied", named: true, topic: "passkey"},
	idp.EventPasskeyRefused:   {plain: "event.refused", withClient: "event.refused.client", topic: "sign-in"},
	idp.EventSignedIn:         {plain: "event.signin", withClient: "event.signin.client", topic: "sign-in"},
	idp.EventSteppedUp: {
		plain: "event.stepup", withClient: "event.stepup.client", withAction: "event.stepup.action", topic: "sign-in",
	},
	idp.EventPasskeyKept:      {plain: "event.kept", named: true, topic: "passkey"},
	idp.EventPasskeyOffered:   {plain: "event.offered", topic: "passkey"},
	idp.EventOfferOpened:      {plain: "event.opened", topic: "passkey"},
	idp.EventOfferRefused:     {plain: "event.declined", topic: "passkey"},
	idp.EventCodesMade:        {plain: "event.codes", topic: "recovery"},
	idp.EventRecoveryAsked:    {plain: "event.recovery.asked", topic: "recovery"},
	idp.EventRecoveryRefused:  {plain: "event.recovery.refused", topic: "recovery"},
	idp.EventRecoveryOpened:   {plain: "event.recovery.opened", topic: "recovery"},
	idp.EventRecoveryLinkMade: {plain: "event.recovery.link", topic: "recovery"},
	idp.EventRecoveryApproved: {plain: "event.recovery.approved", topic: "recovery"},
	idp.EventRecoveryHeld:     {plain: "event.recovery.held", topic: "recovery"},
	idp.EventRecoveryReminded: {plain: "event.recovery.reminded", topic: "recovery"},
	idp.EventRecoveryStopped:  {plain: "event.recovery.stopped", topic: "recovery"},
	idp.EventRecovered:        {plain: "event.recovered", named: true, topic: "recovery"},
	idp.EventSignedOut:        {plain: "event.signout", topic: "sign-in"},
	idp.EventWindowClosed:     {plain: "event.withdrawn", withAction: "event.withdrawn.action", topic: "sign-in"},
	idp.EventSessionRevoked:   {plain: "event.revoked", topic: "sign-in"},
	idp.EventOfflineEnded:     {plain: "event.offline", topic: "application"},
	idp.EventConsentGranted:   {plain: "event.granted", topic: "application"},
	idp.EventConsentRevoked:   {plain: "event.withheld", topic: "application"},
	idp.EventCodeReused:       {plain: "event.code", topic: "application"},
	idp.EventRefreshReused:    {plain: "event.token", topic: "application"},
}

// describe returns the text about an event. If an application asked for an action, it adds the application's name.
func (a activities) describe(ctx context.Context, p phrase, e idp.Event, passkeys map[string]string) words.Text {
	var client any = words.T("activity.application")
	if e.ClientID != "" {
		client = a.takeout.ClientName(ctx, e.ClientID)
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
