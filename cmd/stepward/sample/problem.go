package sample

import (
	"net/http"
)

// A problem is a message for a person when something failed: what happened, and what to do next.
type problem struct {
	Status      int
	Title, Text string
	Next, To    string // label and target of the next step; To empty: a button that signs in
}

var (
	unreachable = problem{
		http.StatusBadGateway, "We can’t reach the sign-in service",
		"Nothing was changed. Wait a moment and try again.", "Back to the start", "/",
	}
	unknownSignIn = problem{
		http.StatusBadRequest, "This sign-in can’t be finished",
		"It began in another browser, took too long, or is already finished.", "Sign in again", "",
	}
	badTokens = problem{
		http.StatusBadGateway, "The sign-in didn’t work",
		"We couldn’t accept the response of the sign-in service. Nothing was changed.", "Try again", "",
	}
	notMet = problem{
		http.StatusForbidden, "The money was not paid out",
		"The bank needs a new confirmation from the same person, and didn’t get one.", "Back to the payout", "/payout",
	}
	apiFault = problem{
		http.StatusBadGateway, "The money was not paid out",
		"The bank could not take the order just now.", "Back to the payout", "/payout",
	}
	signedOutMeanwhile = problem{
		http.StatusUnauthorized, "You’re no longer signed in",
		"Sign in again to pay out money. Nothing was paid.", "Sign in", "",
	}
)

// refusal describes an error of the authorization response (RFC 6749 §4.1.2.1, OIDC Core §3.1.2.6). It does not show
// the provider's error_description, which is for developers and can be put into a link by anyone.
func refusal(code string, steppingUp bool) problem {
	p := problem{http.StatusForbidden, "You’re not signed in", "", "Try again", ""}
	if steppingUp {
		p.Title, p.Next, p.To = "The money was not paid out", "Back to the payout", "/payout"
	}
	switch code {
	case "access_denied":
		p.Text = "You chose not to continue, and that’s fine."
	case "unmet_authentication_requirements":
		p.Text = "None of your passkeys is strong enough for this. You can add another one."
	case "login_required", "interaction_required", "account_selection_required":
		p.Text = "The sign-in service needs you to sign in yourself."
	case "consent_required":
		p.Text = "The sign-in service needs your permission first."
	case "temporarily_unavailable", "server_error":
		p.Status, p.Text = http.StatusBadGateway, "The sign-in service has a problem right now. Try again later."
	default: // invalid_request, unauthorized_client, invalid_scope, …: our mistake
		p.Status = http.StatusBadGateway
		p.Text = "The sign-in service did not accept our request. That is our mistake, not yours."
	}
	return p
}

// fail shows the problem to the user and logs the error.
func (a *app) fail(w http.ResponseWriter, r *http.Request, p problem, err error) {
	if err != nil {
		a.Logger.WarnContext(r.Context(), "sample: "+p.Title, "error", err)
	}
	a.render(w, r, p.Status, page{Name: "problem", Title: p.Title, Problem: p})
}

func (a *app) notFound(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problem{
		http.StatusNotFound, "There is nothing here", "The address may be mistyped.", "Back to the start", "/",
	}, nil)
}

func (a *app) crossOrigin(w http.ResponseWriter, r *http.Request) {
	a.fail(w, r, problem{
		http.StatusForbidden, "That request came from another site",
		"For your safety we did not carry it out. Begin here instead.", "Back to the start", "/",
	}, nil)
}
