package scim_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/mail"
	"github.com/stepward/stepward/internal/server/servertest"
	"github.com/stepward/stepward/internal/store"
	"github.com/stepward/stepward/internal/store/roster"
)

// house is a whole server, called without a network.
type house struct{ *servertest.House }

func open(t *testing.T, box *mail.Mailbox, settings ...string) *house {
	t.Helper()
	return &house{servertest.Open(t, box, settings...)}
}

// directory is what a directory does over SCIM: a token, and requests with it.
type directoryClient struct {
	*house
	token idp.Secret
}

// directory returns a directory with a client of its own.
func (h *house) directory(id string, scopes ...string) *directoryClient {
	h.Helper()
	if scopes == nil {
		scopes = []string{directory.ScopeSCIM}
	}
	c, secret := h.Machine(id, nil, scopes...)
	return &directoryClient{h, h.Token(c, secret, url.Values{
		"grant_type": {"client_credentials"}, "resource": {h.Issuer + directory.PathSCIM},
	})}
}

type object = map[string]any

// call makes a request, checks the status, and returns the document of the answer. body is JSON, or a value for it.
func (d *directoryClient) call(status int, method, path string, body any, edit ...func(*http.Request)) object {
	d.Helper()
	_, doc := d.response(status, method, path, body, edit...)
	return doc
}

func (d *directoryClient) response(
	status int, method, path string, body any, edit ...func(*http.Request),
) (*http.Response, object) {
	d.Helper()
	r := d.Request(method, directory.PathSCIM+strings.ReplaceAll(path, " ", "%20"), d.token, body)
	r.Header.Set("Content-Type", "application/scim+json")
	for _, f := range edit {
		f(r)
	}
	w := httptest.NewRecorder()
	d.Handler.ServeHTTP(w, r)
	doc := object{}
	if w.Body.Len() > 0 {
		if err := json.Unmarshal(w.Body.Bytes(), &doc); err != nil {
			d.Fatalf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
		if kind := w.Header().Get("Content-Type"); kind != "application/scim+json" {
			d.Errorf("%s %s: content type %q", method, path, kind)
		}
	}
	if w.Code != status {
		d.Fatalf("%s %s: %d, want %d: %s", method, path, w.Code, status, w.Body)
	}
	return w.Result(), doc
}

// refused makes a request that fails with a scimType, and checks the error response.
func (d *directoryClient) refused(status int, kind, method, path string, body any, edit ...func(*http.Request)) object {
	d.Helper()
	doc := d.call(status, method, path, body, edit...)
	if got, _ := doc["scimType"].(string); got != kind || doc["status"] != itoa(status) {
		d.Errorf("%s %s: scimType %q, want %q: %v", method, path, got, kind, doc)
	}
	return doc
}

func itoa(n int) string { b, _ := json.Marshal(n); return string(b) }

// person creates a user and returns their ID.
func (d *directoryClient) person(name string, more object) string {
	d.Helper()
	doc := object{"schemas": []string{"urn:ietf:params:scim:schemas:core:2.0:User"}, "userName": name}
	for k, v := range more {
		doc[k] = v
	}
	return d.call(201, "POST", "/Users", doc)["id"].(string)
}

// patch is a PATCH with one operation.
func patch(op, path string, value any) object {
	o := object{"op": op}
	if path != "" {
		o["path"] = path
	}
	if value != nil {
		o["value"] = value
	}
	return object{"schemas": []string{"urn:ietf:params:scim:api:messages:2.0:PatchOp"}, "Operations": []any{o}}
}

// ids returns the IDs of a list response.
func ids(doc object) (list []string) {
	found, _ := doc["Resources"].([]any)
	for _, r := range found {
		list = append(list, r.(object)["id"].(string))
	}
	return list
}

// claim defines a claim that a party edits.
func (h *house) claim(name string, by directory.Party) {
	h.Helper()
	now := time.Now().Truncate(time.Millisecond)
	h.Must(roster.New(h.DB).PutClaim(h.Context(), directory.Claim{
		Name: name, Type: directory.ClaimString, Scope: "profile", SeenBy: directory.Parties, EditedBy: []directory.Party{by},
		CreatedAt: now, UpdatedAt: now,
	}))
}

// crowdBatch is users that are stored together.
type crowdBatch struct{ ids []string }

func (c crowdBatch) store(h *house, groupID string, now time.Time) error {
	var b store.Batch
	for _, id := range c.ids {
		u := idp.NewUser(id+"@example.com", "One of many", now)
		u.ID = id
		b.InsertUser(u)
		b.Do(`INSERT INTO group_members (user_id, group_id, added_at) VALUES ($1, $2, $3)`, id, groupID, store.Millis(now))
	}
	return h.DB.RunBatch(h.Context(), "crowd", &b)
}
