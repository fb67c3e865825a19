package sample

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/stepward/stepward/pkg/stepup"
)

var theOrder = order{Amount: "250.00", Currency: "EUR", To: "Ada"}

// details returns the order as authorization_details (RFC 9396): what the user reads when they confirm.
func (o order) details() string {
	text, err := json.Marshal([]map[string]string{{
		"type": DetailPayout, "currency": o.Currency, "amount": o.Amount, "creditor": o.To,
	}})
	if err != nil {
		panic(err) // texts marshal
	}
	return string(text)
}

// payout handles the button: it calls the API and, if challenged, sends the user to meet the challenge.
func (a *app) payout(w http.ResponseWriter, r *http.Request) {
	u := a.sessions.current(r).user
	if u == nil {
		a.fail(w, r, signedOutMeanwhile, nil)
		return
	}
	a.sessions.keepResult(r, nil) // an earlier receipt must not be taken for this one
	result, challenged, err := a.callAPI(r.Context(), u.accessToken)
	switch {
	case err != nil:
		a.fail(w, r, apiFault, err)
	case challenged != nil:
		attempt := &stepup.Attempt{Challenge: *challenged, Subject: u.subject, At: time.Now()}
		a.authorize(w, r, attempt, challenged.String())
	default:
		a.sessions.keepResult(r, result)
		http.Redirect(w, r, "/payout", http.StatusSeeOther)
	}
}

// finishPayout calls the API again with the token of the step-up. The user pressed the button before they left, and the
// state of the response belongs to that press, so no further confirmation is needed. A second challenge ends here
// instead of looping, because another step-up would not help.
func (a *app) finishPayout(w http.ResponseWriter, r *http.Request, u *user) {
	result, challenged, err := a.callAPI(r.Context(), u.accessToken)
	if err == nil && challenged != nil {
		err = fmt.Errorf("challenged again: %v", challenged)
	}
	here := a.sessions.current(r) // keep the pending requests of other tabs
	here.user = u
	if err != nil {
		a.sessions.start(w, r, here)
		a.fail(w, r, apiFault, err)
		return
	}
	here.result = result
	a.sessions.start(w, r, here)
	http.Redirect(w, r, "/payout", http.StatusSeeOther)
}

// callAPI places the order over HTTP, as if the API belonged to another team.
func (a *app) callAPI(ctx context.Context, token string) (json.RawMessage, *stepup.Challenge, error) {
	body, err := json.Marshal(theOrder)
	if err != nil {
		return nil, nil, fmt.Errorf("payout: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.BaseURL+APIPath+"/payouts", bytes.NewReader(body))
	if err != nil {
		return nil, nil, fmt.Errorf("payout: %w", err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := a.Client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("payout: %w", err)
	}
	defer func() { _ = resp.Body.Close() }()
	if challenge, ok := stepup.FromResponse(resp); ok {
		return nil, &challenge, nil
	}
	if resp.StatusCode != http.StatusOK {
		return nil, nil, fmt.Errorf("payout: status %d", resp.StatusCode)
	}
	result, err := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	if err != nil {
		return nil, nil, fmt.Errorf("payout: %w", err)
	}
	return result, nil, nil
}
