package account_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/addresses"
)

func TestUsersDownloadAllTheirDataAfterAStepUp(t *testing.T) {
	h := build(t)
	u, keys := h.user("ada+news@example.com", 2)
	eve, hers := h.user("eve@example.com", 1)
	if err := h.db.PutClient(t.Context(), idp.Client{ID: "acme", Name: "Acme <Bank>"}); err != nil {
		t.Fatal(err)
	}
	grant := idp.Grant{UserID: u.ID, ClientID: "acme", Scopes: []string{"email"}}
	if err := h.db.PutGrant(t.Context(), grant); err != nil {
		t.Fatal(err)
	}
	many := []idp.Event{idp.NewEvent(idp.EventSignedIn, eve.ID, time.Now())}
	for range 501 { // more than are read at once
		many = append(many, idp.NewEvent(idp.EventTokensIssued, u.ID, time.Now()))
	}
	if err := h.db.RecordEvents(t.Context(), many...); err != nil {
		t.Fatal(err)
	}
	more := addresses.Address{ID: idp.NewID(), UserID: u.ID, Email: "ada@second.example", AddedAt: time.Now()}
	if err := addresses.New(h.db).Add(t.Context(), more); err != nil {
		t.Fatal(err)
	}
	b := h.browser()
	b.signIn(u, keys[0].ID)
	b.get("/account").is("account", 200).wants("data-link")
	// Both ask for a step-up, and come back to the page.
	for _, path := range []string{"/account/data", "/account/data/download"} {
		if p := b.get(path); p.url.Query().Get("class") != "account" || p.url.Query().Get("back") != "/account/data" {
			t.Fatalf("%s leads to %s", path, p.url)
		}
	}
	sess := b.signIn(u, keys[0].ID, "account")
	h.family(u, sess.ID, true)
	b.get("/account/data").is("account", 200).wants("data-download")
	file := b.get("/account/data/download")
	var saved struct {
		Format int `json:"format"`
		User   struct {
			Email string `json:"email"`
		} `json:"user"`
		Addresses, Passkeys, Sessions, Consents, Tokens, Groups, Claims []any
		Codes                                                           *struct{ Left int } `json:"recovery_codes"`
		Events                                                          []any
	}
	if err := json.Unmarshal([]byte(file.body), &saved); err != nil || file.status != 200 {
		t.Fatalf("%d %v\n%.2000s", file.status, err, file.body)
	}
	if saved.Format != 1 || saved.User.Email != u.Email || len(saved.Addresses) != 1 || len(saved.Passkeys) != 2 || len(saved.Sessions) == 0 ||
		len(saved.Consents) != 1 || len(saved.Tokens) != 1 || saved.Groups == nil || saved.Claims == nil ||
		saved.Codes == nil || len(saved.Events) != 501 {
		t.Errorf("saved %+v", saved)
	}
	for _, secret := range []string{hers[0].ID, eve.ID, "eve@example.com", sess.SecretHash} {
		if strings.Contains(file.body, secret) {
			t.Errorf("the file has %q", secret)
		}
	}
}
