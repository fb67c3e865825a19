package sample

import (
	"net/http"
)

// A problem is what a person reads when something did not work: what happened, and a way on.
type problem struct {
	Status      int
	Title, Text string
	Next, To    string // the way on; To empty: a button that signs in
}

var (
	unreachable        = problem{http.StatusBadGateway, "We can’t reach the sign-in service", "Nothing was changed. Wait a moment and try again.", "Back to the start", "/"}
	notBegunHere       = problem{http.StatusBadRequest, "This sign-in can’t be finished", "It was begun in another browser, took too long, or was finished already.", "Sign in again", ""}
	badTokens          = problem{http.StatusBadGateway, "The sign-in didn’t work", "What the sign-in service sent back could not be accepted. Nothing was changed.", "Try again", ""}
	notMet             = problem{http.StatusForbidden, "The money was not paid out", "The bank needs a fresh confirmation from the same person, and that is not what came back.", "Back to the payout", "/payout"}
	apiFault           = problem{http.StatusBadGateway, "The money was not paid out", "The bank could not take the order just now.", "Back to the payout", "/payout"}
	signedOutMeanwhile = problem{http.StatusUnauthorized, "You’re not signed in any more", "Sign in again to pay out money. Nothing was paid.", "Sign in", ""}
)

// refusal puts an error of the authorization response (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6) into words. The provider's
// error_description is for developers, and anybody can put one into a link: it is not shown.
func refusal(code string, steppingUp bool) problem {
	p := problem{http.StatusForbidden, "You’re not signed in", "", "Try again", ""}
	if steppingUp {
		p.Title, p.Next, p.To = "The money was not paid out", "Back to the payout", "/payout"
	}
	switch code {
	case "access_denied":
		p.Text = "You chose not to go on, and that’s fine."
	case "unmet_authentication_requirements":
		p.Text = "None of your passkeys can give the confirmation that is needed. You can add another one."
	case "login_required", "interaction_required", "account_selection_required":
		p.Text = "The sign-in service needs you to sign in yourself."
	case "consent_required":
		p.Text = "The sign-in service needs your permission first."
	case "temporarily_unavailable", "server_error":
		p.Status, p.Text = http.StatusBadGateway, "The sign-in service has a problem at the moment. Try again a little later."
	default: // invalid_request, unauthorized_client, invalid_scope, …: ours to repair
		p.Status, p.Text = http.StatusBadGateway, "The sign-in service did not accept our request. That is our mistake, not yours."
	}
	return p
}

// fail shows the problem; the error is for the log.
func (a *app) fail(w http.ResponseWriter, r *http.Request, p problem, err error) {
	if err != nil {
		a.Logger.WarnContext(r.Context(), "sample: "+p.Title, "error", err)
	}
	a.render(w, r, p.Status, page{Name: "problem", Title: p.Title, Problem: p})
}

func (a *app) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problem{http.StatusNotFound, "There is nothing here", "The address may be mistyped.", "To the start", "/"}, nil)
}

func (a *app) crossOrigin(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problem{http.StatusForbidden, "That came from another site", "For your safety it was not carried out. Begin it here.", "To the start", "/"}, nil)
}
