package passkeytest_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stepward/stepward/internal/passkey/passkeytest"
)

// How a test of pages uses it: what the page would be given goes in, what the script would post comes out. A response may
// be posted by any client; only Origin has to be the one the relying party is configured with.
func TestTheAuthenticatorWorksOverHTTP(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /begin", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, `{"ceremony":"7","publicKey":{"challenge":"AAECAwQFBgcICQoLDA0ODw","rp":{"id":"localhost","name":"Test"},
			"user":{"id":"aGFuZGxl","name":"ada","displayName":"Ada"},"pubKeyCredParams":[{"type":"public-key","alg":-99},{"type":"public-key","alg":-7}]}}`)
	})
	var got struct {
		ID, RawID, Type string
		Response        struct{ ClientDataJSON, AuthenticatorData, AttestationObject, PublicKey string }
	}
	mux.HandleFunc("POST /finish", func(_ http.ResponseWriter, r *http.Request) {
		if err := json.NewDecoder(r.Body).Decode(&got); err != nil {
			t.Error(err)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	post := func(path string, body []byte) []byte {
		response, err := server.Client().Post(server.URL+path, "application/json", bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		data, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}

	a := passkeytest.New("http://localhost:8080")
	credential, err := a.Create(post("/begin", nil)) // {"ceremony":…,"publicKey":…} and the inner object are both understood
	if err != nil {
		t.Fatal(err)
	}
	post("/finish", credential)
	if got.ID == "" || got.Response.AttestationObject == "" || got.ID != got.RawID || got.Type != "public-key" || a.Passkeys[0].Algorithm != passkeytest.ES256 {
		t.Errorf("posted %+v", got)
	}
}

func TestTheBrowserKeepsToTheRulesOfTheOptions(t *testing.T) {
	a := passkeytest.New("https://login.example.com")
	options := func(rpID, more string) []byte {
		return []byte(`{"challenge":"AAECAwQFBgcICQoLDA0ODw","rpId":"` + rpID + `","rp":{"id":"` + rpID + `"},"user":{"id":"aGFuZGxl"},
			"pubKeyCredParams":[{"alg":-8}]` + more + `}`)
	}
	if _, err := a.Get(options("example.com", "")); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("get from an empty authenticator: %v", err)
	}
	for _, rpID := range []string{"evil.example", "n.example.com", "", "login.example.com.evil.example"} {
		if _, err := a.Create(options(rpID, "")); !errors.Is(err, passkeytest.ErrSecurity) {
			t.Errorf("create for %q: %v", rpID, err)
		}
	}
	if _, err := a.Create([]byte(`{"rp":{"id":"example.com"},"pubKeyCredParams":[{"alg":-36}]}`)); !errors.Is(err, passkeytest.ErrNotSupported) {
		t.Errorf("create with an algorithm it lacks: %v", err)
	}
	for range 2 {
		if _, err := a.Create(options("example.com", "")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Get(options("login.example.com", "")); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("get for another RP ID: %v", err)
	}
	if _, err := a.Get(options("example.com", `,"allowCredentials":[{"id":"AAAA"}]`)); !errors.Is(err, passkeytest.ErrNotAllowed) {
		t.Errorf("get of a foreign credential: %v", err)
	}
	if _, err := a.Get(options("example.com", "")); err != nil {
		t.Errorf("get: %v", err)
	}
}
