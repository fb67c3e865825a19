package adminapi_test

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registrations"
	"github.com/stepward/stepward/pkg/adminapi"
)

// unsaid are the members of a client that its form in the API does not have.
var unsaid = []string{"document_until", "software_id", "software_statement", "software_version"}

// membersOf returns the names of a type's members as JSON.
func membersOf(t reflect.Type) (names []string) {
	for field := range t.Fields() {
		name := field.Tag.Get("json")
		switch {
		case field.Anonymous && name == "":
			names = append(names, membersOf(field.Type)...)
		case name != "-":
			tag, _, _ := strings.Cut(name, ",")
			names = append(names, tag)
		}
	}
	slices.Sort(names)
	return names
}

func TestReplacingAClientKeepsWhatTheAPICannotSay(t *testing.T) {
	said := membersOf(reflect.TypeFor[adminapi.Client]())
	lost := slices.DeleteFunc(membersOf(reflect.TypeFor[idp.Client]()), func(name string) bool {
		return slices.Contains(said, name)
	})
	if diff := cmp.Diff(unsaid, lost); diff != "" {
		t.Errorf("members of a client that the API does not have; each must outlast a PUT:\n%s", diff)
	}
	h := open(t)
	token := h.robot(adminapi.ScopeWrite)
	at := time.Now().Add(-time.Hour).UTC().Truncate(time.Millisecond)
	was := idp.Client{
		ID: "https://app.example/client", Name: "App", Policy: idp.PolicyStandard, AuthMethod: idp.AuthMethodNone,
		RedirectURIs: []string{"https://app.example/cb"}, GrantTypes: []string{idp.GrantAuthorizationCode},
		Scopes: []string{"openid"}, Dynamic: true, DocumentUntil: at.Add(48 * time.Hour),
		Software:  idp.Software{SoftwareID: "4NRB1-0XZABZI9E6-5SM3R", SoftwareVersion: "2.1", SoftwareStatement: "e.y.J"},
		CreatedAt: at, UpdatedAt: at, UsedAt: at,
	}
	h.Must(registrations.Register(t.Context(), h.DB, was, "", at))
	path := "/clients/https:%2F%2Fapp.example%2Fclient"
	read := h.call(200, "GET", path, token, nil)
	change := in[adminapi.Client](h, read)
	change.Name = "Another"
	h.call(200, "PUT", path, token, change, with("If-Match", read.Header.Get("ETag")))
	is, err := h.DB.StoredClient(t.Context(), was.ID)
	h.Must(err)
	was.Name = "Another"
	if diff := cmp.Diff(stored(h, was), stored(h, is)); diff != "" {
		t.Errorf("a PUT of what was read, with another name:\n%s", diff)
	}
	if is.RegistrationHash != was.RegistrationHash || !is.UsedAt.Equal(was.UsedAt) {
		t.Errorf("used at %v, was %v", is.UsedAt, was.UsedAt)
	}
}

// stored returns a client as its JSON in the store.
func stored(h *house, c idp.Client) (members map[string]any) {
	h.Helper()
	text, err := json.Marshal(c)
	h.Must(err)
	h.Must(json.Unmarshal(text, &members))
	return members
}
