package provider

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/limit"
	"github.com/stepward/stepward/internal/oauth"
)

// describedClient serves a metadata document with its client_id and these members, and returns its URL.
func (h *house) describedClient(members func() string) (address string) {
	h.t.Helper()
	address = elsewhere(h.t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":%q,%s}`, address, members())
	}) + "/client.json"
	return address
}

const describedAs = `"client_name":"Assistant","redirect_uris":["https://app.example/cb"],"scope":"openid accounts",
	"grant_types":["authorization_code"],"token_endpoint_auth_method":"none"`

func TestAClientDescribesItselfAtItsID(t *testing.T) {
	h := open(t, full)
	fetched := 0
	address := h.describedClient(func() string { fetched++; return describedAs })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	u := h.addUser()
	for range 2 {
		tok := h.exchange(c, h.code(c, u, "scope", "openid accounts")).json(t)
		if _, id := claims(t, tok["id_token"]); id["aud"] != address {
			t.Errorf("%v", id)
		}
		if h.userinfo(tok["access_token"]).json(t)["sub"] != u.ID {
			t.Error("no sub")
		}
	}
	if fetched != 1 {
		t.Errorf("fetched %d times", fetched)
	}
	known, err := h.db.Client(t.Context(), address)
	check(t, err)
	if !known.Dynamic || known.FirstParty || known.Name != "Assistant" || len(known.Secrets) > 0 || known.RegistrationHash != "" || known.UsedAt.IsZero() {
		t.Errorf("%+v", known)
	}
	if r := h.push(c, request(c)); r.StatusCode != 201 {
		t.Errorf("push: %d %s", r.StatusCode, r.body)
	}
	other := h.describedClient(func() string { return describedAs })
	if r := h.push(idp.Client{ID: other}, request(idp.Client{ID: other})); r.StatusCode != 201 {
		t.Errorf("push of one that was never here: %d %s", r.StatusCode, r.body)
	}
	if n := kinds(t, h, idp.EventClientAdded); n != 2 {
		t.Errorf("%d events", n)
	}
}

func TestUnusableMetadataIsDroppedFromADocument(t *testing.T) {
	h := open(t, full)
	address := h.describedClient(func() string {
		return `"redirect_uris":["cursor://anysphere.cursor-mcp/oauth/callback","https://app.example/cb","http://app.example/cb"],
			"grant_types":["authorization_code","implicit"],"response_types":["code","token"]`
	})
	if !interacts(h.authorize(request(idp.Client{ID: address}))) {
		t.Fatal("one unusable address refuses the whole document")
	}
	known, err := h.db.Client(t.Context(), address)
	check(t, err)
	if !slices.Equal(known.RedirectURIs, []string{"https://app.example/cb"}) || !slices.Equal(known.GrantTypes, []string{idp.GrantAuthorizationCode}) {
		t.Errorf("%q %q", known.RedirectURIs, known.GrantTypes)
	}
}

// Libraries of MCP clients request all of scopes_supported if the resource names no scopes. Nobody told such a client
// which ones it may have.
func TestAClientThatDescribesItselfMayAskForEveryScope(t *testing.T) {
	h := open(t, full)
	address := h.describedClient(func() string { return describedAs }) // openid accounts
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	all := h.get("/.well-known/openid-configuration").json(t)["scopes_supported"].([]any)
	var scopes []string
	for _, scope := range all {
		scopes = append(scopes, scope.(string))
	}
	if len(scopes) < 6 {
		t.Fatal(scopes)
	}
	tok := h.exchange(c, h.code(c, h.addUser(), "scope", strings.Join(scopes, " "))).json(t)
	if tok["scope"] != "openid accounts" {
		t.Errorf("got %v", tok["scope"])
	}
	if r := h.authorize(request(c, "scope", "payments")); interacts(r) || r.query().Get("error") != "invalid_scope" {
		t.Errorf("nothing that it may have: %d %s", r.StatusCode, r.Header.Get("Location"))
	}
}

func TestAnInvalidDocumentCreatesNoClient(t *testing.T) {
	var address, body, kind string
	status := http.StatusOK
	server := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", kind)
		if r.URL.Path == "/client.json" {
			w.Header().Set("Location", "/other.json")
			w.WriteHeader(status)
		}
		fmt.Fprint(w, body)
	})
	address = server + "/client.json"
	is := func(members string) string { return fmt.Sprintf(`{"client_id":%q,%s}`, address, members) }
	h := open(t, full)
	for _, row := range []struct {
		name, body, kind string
		status           int
	}{
		{"another client_id", `{"client_id":"https://app.example/x",` + describedAs + `}`, "", 0},
		{"no client_id", `{` + describedAs + `}`, "", 0},
		{"a client_id of another type", `{"client_id":1,` + describedAs + `}`, "", 0},
		{"a secret", is(describedAs + `,"client_secret":"x"`), "", 0},
		{"a secret's end", is(describedAs + `,"client_secret_expires_at":0`), "", 0},
		{"a way that needs a secret", is(`"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_post"`), "", 0},
		{"keys that are missing", is(`"redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"private_key_jwt"`), "", 0},
		{"its own name", is(`"grant_types":["client_credentials"],"scope":"accounts"`), "", 0},
		{"other clients' users", is(`"redirect_uris":["https://app.example/cb"],"grant_types":["urn:ietf:params:oauth:grant-type:token-exchange"],
			"token_endpoint_auth_method":"private_key_jwt","jwks_uri":"https://app.example/jwks"`), "", 0},
		{"a device", is(`"redirect_uris":["https://app.example/cb"],"grant_types":["refresh_token","urn:ietf:params:oauth:grant-type:device_code"]`), "", 0},
		{"another redirect URI", is(`"redirect_uris":["https://other.example/cb"]`), "", 0},
		{"a redirect URI over http", is(`"redirect_uris":["http://app.example/cb"]`), "", 0},
		{"a member twice", is(`"client_name":"a",` + describedAs), "", 0},
		{"no JSON", "hello", "", 0},
		{"a page by its type", is(describedAs), "text/html", 0},
		{"not found", is(describedAs), "", 404},
		{"a redirect", is(describedAs), "", 302},
		{"too long", is(describedAs + `,"x":"` + strings.Repeat("x", (16<<10)) + `"`), "", 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			h.forgive()
			body, kind, status = row.body, "application/json", http.StatusOK
			if row.kind != "" {
				kind = row.kind
			}
			if row.status != 0 {
				status = row.status
			}
			r := h.authorize(request(idp.Client{ID: address}))
			h.wantPage("error", r)
			if r.StatusCode != 400 || strings.Contains(r.body, "outbound") {
				t.Errorf("%d %s", r.StatusCode, r.body)
			}
			if row.name == "another redirect URI" {
				check(t, h.db.RemoveClient(t.Context(), address)) // a client, but not for this request
				return
			}
			if _, err := h.db.StoredClient(t.Context(), address); err == nil {
				t.Error("stored")
			}
			wantError(t, h.push(idp.Client{ID: address}, request(idp.Client{ID: address})), 401, "invalid_client")
		})
	}
}

func TestADescriptionIsRenewedAndHeldForADay(t *testing.T) {
	h := open(t, full)
	says := `"client_name":"One","redirect_uris":["https://app.example/cb"]`
	address := h.describedClient(func() string { return says })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	works := func() bool { return interacts(h.authorize(request(c))) }
	age := func(d time.Duration) {
		t.Helper()
		known, err := h.db.StoredClient(t.Context(), address)
		check(t, err)
		known.DocumentUntil = time.Now().Add(-d)
		check(t, h.db.PutClient(t.Context(), known))
	}
	name := func() string {
		t.Helper()
		known, err := h.db.Client(t.Context(), address)
		check(t, err)
		return known.Name
	}
	works()
	says = `"client_name":"Two","redirect_uris":["https://app.example/cb"]`
	if !works() || name() != "One" {
		t.Errorf("before its time: %s", name())
	}
	age(time.Second)
	if !works() || name() != "Two" {
		t.Errorf("after its time: %s", name())
	}
	says = `broken`
	age(time.Hour)
	if !works() || name() != "Two" {
		t.Error("an hour without its document, and it is gone")
	}
	age((24 * time.Hour) + time.Second)
	if works() {
		t.Error("it goes on for ever without its document")
	}
}

func TestTheOperatorsSettingsOverrideADocument(t *testing.T) {
	h := open(t, full)
	fetched := 0
	address := h.describedClient(func() string { fetched++; return describedAs })
	mine := h.addClient(func(c *idp.Client) { c.ID = address })
	h.authorize(request(mine))
	if known, err := h.db.Client(t.Context(), address); err != nil || known.Dynamic || fetched != 0 {
		t.Errorf("%v %+v, fetched %d times", err, known, fetched)
	}
	mine.Dynamic, mine.DocumentUntil = true, time.Now().Add(-time.Hour)
	check(t, h.db.PutClient(t.Context(), mine))
	check(t, h.db.DisableClient(t.Context(), mine.ID, time.Now()))
	if r := h.authorize(request(mine)); r.StatusCode != 400 || fetched != 0 {
		t.Errorf("closed: %d, fetched %d times", r.StatusCode, fetched)
	}
	off := open(t)
	if r := off.authorize(request(idp.Client{ID: address})); r.StatusCode != 400 || fetched != 0 {
		t.Errorf("off: %d, fetched %d times", r.StatusCode, fetched)
	}
}

func TestAClientThatIsClosedWhileItsDescriptionIsFetchedStaysClosed(t *testing.T) {
	h := open(t, full)
	closing := func() {}
	address := h.describedClient(func() string { closing(); return describedAs })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	h.authorize(request(c))
	known, err := h.db.StoredClient(t.Context(), address)
	check(t, err)
	known.DocumentUntil = time.Now().Add(-time.Hour)
	check(t, h.db.PutClient(t.Context(), known))
	closing = func() { check(t, h.db.DisableClient(t.Context(), address, time.Now())) }
	h.authorize(request(c))
	closing = func() { t.Error("fetched again") }
	if r := h.authorize(request(c)); r.StatusCode != 400 {
		t.Errorf("%d: it is open again", r.StatusCode)
	}
}

func TestADescriptionDoesNotMoveItsClientIntoAnotherSector(t *testing.T) {
	h := open(t, full)
	says := func(host string) string {
		return `"redirect_uris":["https://` + host + `/cb"],"subject_type":"pairwise","scope":"openid"`
	}
	host := "app.example"
	address := h.describedClient(func() string { return says(host) })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	access := h.exchange(c, h.code(c, h.addUser())).json(t)["access_token"]
	before := h.userinfo(access).json(t)["sub"]
	known, err := h.db.StoredClient(t.Context(), address)
	check(t, err)
	known.DocumentUntil = time.Now().Add(-time.Hour)
	check(t, h.db.PutClient(t.Context(), known))
	host = "victim.example"
	h.authorize(request(c))
	if after := h.userinfo(access).json(t)["sub"]; before == nil || after != before {
		t.Errorf("%v is %v in the other sector", before, after)
	}
}

// badDocuments asks for documents that cannot be used, more often than a network may.
func (h *house) badDocuments(site string) {
	h.t.Helper()
	for i := range limit.Documents.Most + 5 {
		h.authorize(request(idp.Client{ID: fmt.Sprintf("%s/bad/%d", site, i)}))
	}
}

func TestFetchesOfDescriptionsAreLimited(t *testing.T) {
	h := open(t, full)
	var fetched, now, most atomic.Int64
	arrived, release := make(chan struct{}, 100), make(chan struct{})
	server := elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		fetched.Add(1)
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		if !strings.HasPrefix(r.URL.Path, "/bad/") {
			arrived <- struct{}{}
			<-release
		}
		now.Add(-1)
		w.WriteHeader(404)
	})
	h.badDocuments(server)
	fetched.Store(0)
	var all sync.WaitGroup
	answered := make(chan struct{}, 100)
	for i := range 40 {
		all.Go(func() {
			h.authorize(request(idp.Client{ID: fmt.Sprintf("%s/more/%d", server, i)}))
			answered <- struct{}{}
		})
	}
	<-arrived
	for range 40 - 33 { // one has its turn, 32 wait, the others were rejected
		<-answered
	}
	if fetched.Load() != 1 {
		t.Errorf("%d were fetched at once for one network", fetched.Load())
	}
	close(release)
	all.Wait()
	if fetched.Load() != 33 || most.Load() != 1 {
		t.Errorf("%d were fetched, %d at once", fetched.Load(), most.Load())
	}
	if r := h.post(oauth.PathRevoke, url.Values{"token": {"x"}, "client_id": {server + "/x"}}); r.StatusCode != 401 || fetched.Load() != 33 {
		t.Errorf("another endpoint: %d, fetched %d times", r.StatusCode, fetched.Load())
	}
}

func TestAStrangerCannotShutOutTheGoodDocumentsOfANetwork(t *testing.T) {
	h := open(t, full)
	server := ""
	server = elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/bad/") {
			w.WriteHeader(404)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":%q,%s}`, server+r.URL.Path, describedAs)
	})
	works := func(path string) bool { return interacts(h.authorize(request(idp.Client{ID: server + path}))) }
	h.badDocuments(server)
	if !works("/zero.json") {
		t.Error("bad documents of a site that nobody has used yet shut out its good ones")
	}
	h.badDocuments("https://192.0.2.1")
	if !works("/one.json") {
		t.Error("bad documents of one site shut out those of another")
	}
	h.badDocuments(server)
	if !works("/two.json") {
		t.Error("bad documents of a site shut out good ones, although the site answered well before")
	}
}

func TestTheDocumentOfAKnownClientIsFetchedBeyondTheLimits(t *testing.T) {
	h := open(t, full)
	says := describedAs
	address := h.describedClient(func() string { return says })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	h.authorize(request(c))
	h.forgive() // a lost Redis: the site is unknown again
	h.badDocuments(strings.TrimSuffix(address, "/client.json"))
	known, err := h.db.StoredClient(t.Context(), address)
	check(t, err)
	known.DocumentUntil = time.Now().Add(-25 * time.Hour)
	check(t, h.db.PutClient(t.Context(), known))
	if !interacts(h.authorize(request(c))) {
		t.Error("a known client whose document is good was rejected")
	}
}

func TestABrokenDocumentOfAKnownClientIsNotFetchedForEachRequest(t *testing.T) {
	h := open(t, full)
	says, fetched := describedAs, 0
	address := h.describedClient(func() string { fetched++; return says })
	c := idp.Client{ID: address, AuthMethod: idp.AuthMethodNone}
	h.authorize(request(c))
	known, err := h.db.StoredClient(t.Context(), address)
	check(t, err)
	known.DocumentUntil = time.Now().Add(-time.Hour)
	check(t, h.db.PutClient(t.Context(), known))
	says, fetched = "broken", 0
	for range 3 {
		if !interacts(h.authorize(request(c))) {
			t.Error("the last description is not used")
		}
	}
	if fetched != 1 {
		t.Errorf("fetched %d times within a minute", fetched)
	}
}

func TestRequestsForOneDocumentShareAFetch(t *testing.T) {
	h := open(t, full)
	var fetched atomic.Int64
	release := make(chan struct{})
	address := h.describedClient(func() string { fetched.Add(1); <-release; return describedAs })
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if !interacts(h.authorize(request(idp.Client{ID: address}))) {
				t.Error("rejected")
			}
		})
	}
	time.Sleep(200 * time.Millisecond) // most of them wait by now
	close(release)
	all.Wait()
	if n := fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
}

func TestASiteCannotAddClientsWithoutEnd(t *testing.T) {
	h := open(t, full)
	server := ""
	server = elsewhere(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"client_id":%q,%s}`, server+r.URL.Path, describedAs)
	})
	added := 0
	for i := range limit.NewDocuments.Most + 3 {
		if interacts(h.authorize(request(idp.Client{ID: fmt.Sprintf("%s/%d", server, i)}))) {
			added++
		}
	}
	if added != int(limit.NewDocuments.Most) {
		t.Errorf("%d clients were added", added)
	}
}
