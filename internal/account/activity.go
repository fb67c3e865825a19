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

type activity struct {
	At             time.Time
	Words          string
	Agent, Address string
}

func (a *Account) showActivity(w http.ResponseWriter, r *http.Request, v visitor) error {
	events, err := a.cfg.DB.EventsOf(r.Context(), v.user.ID, activityLimit)
	if err != nil {
		return fmt.Errorf("load events: %w", err)
	}
	var list []activity
	for _, e := range events {
		if words, ok := inWords[e.Kind]; ok {
			list = append(list, activity{e.At, a.sentence(r, words, e), e.Agent, e.Address})
		}
	}
	return a.house(w, r, v, http.StatusOK, "activity", "Activity", "Recent activity", list)
}

// inWords says what happened, to whom it happened. An event that is not here is no business of theirs (the operator's
// keys and clients), or says nothing that another does not say.
var inWords = map[idp.EventKind]string{
	idp.EventUserCreated:      "You created your account",
	idp.EventUserInvited:      "You were invited",
	idp.EventUserChanged:      "Your profile was changed",
	idp.EventUserDisabled:     "Your account was closed",
	idp.EventUserEnabled:      "Your account was opened again",
	idp.EventEmailVerified:    "You confirmed your e-mail address",
	idp.EventPasskeyAdded:     "The passkey {passkey} was added",
	idp.EventPasskeyRenamed:   "A passkey was renamed {passkey}",
	idp.EventPasskeyRemoved:   "The passkey {passkey} was removed",
	idp.EventPasskeyRegressed: "A passkey’s counter did not go up, as with a copy of it",
	idp.EventPasskeyRefused:   "A sign-in with a passkey was refused",
	idp.EventSignedIn:         "You signed in",
	idp.EventSteppedUp:        "You confirmed it's you",
	idp.EventSignedOut:        "You signed out",
	idp.EventWindowClosed:     "You took back that you had confirmed something",
	idp.EventSessionRevoked:   "A session was signed out",
	idp.EventOfflineEnded:     "You ended what applications may do while you are away",
	idp.EventConsentGranted:   "You gave {client} access",
	idp.EventConsentRevoked:   "You removed the access of {client}",
	idp.EventCodeReused:       "A sign-in code of {client} was used twice, so its access ended",
	idp.EventRefreshReused:    "A token of {client} was used twice, so its access ended",
}

func (a *Account) sentence(r *http.Request, words string, e idp.Event) string {
	name := e.ClientID
	if strings.Contains(words, "{client}") {
		if c, err := a.cfg.DB.Client(r.Context(), e.ClientID); err == nil { // cached; without it the ID has to do
			name = c.Name
		}
	}
	passkey := "“" + e.Detail["name"] + "”"
	if e.Detail["name"] == "" {
		passkey = ""
	}
	return strings.Join(strings.Fields(strings.NewReplacer(
		"{passkey}", passkey, "{client}", cmp.Or(name, "an application"),
	).Replace(words)), " ")
}
