package provider

import (
	"context"
	"maps"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/oauth"
)

// answerOf verifies a signed authorization response with the published keys and returns its claims.
func (h *house) answerOf(c idp.Client, text, alg string) map[string]any {
	t := h.t
	t.Helper()
	_, err := h.keys.Signer(context.Background(), alg)
	check(t, err)
	r, err := h.keys.Current(context.Background())
	check(t, err)
	var said map[string]any
	check(t, r.Open(keys.TypeIDToken, text, &said))
	header, _ := claims(t, text)
	if header["alg"] != alg || header["kid"] == "" {
		t.Errorf("header %v, want %s", header, alg)
	}
	life := time.Until(time.Unix(int64(said["exp"].(float64)), 0))
	if said["iss"] != h.url || said["aud"] != c.ID || life <= 0 || life > 10*time.Minute {
		t.Errorf("%v", said)
	}
	return said
}

func TestASignedResponseIsOneParameter(t *testing.T) {
	h := open(t)
	u := h.addUser()
	for _, row := range []struct{ mode, registered, alg string }{
		{"jwt", "", keys.ES256}, {"query.jwt", "", keys.ES256}, {"jwt", keys.PS256, keys.PS256}, {"jwt", keys.EdDSA, keys.EdDSA}, {"query.jwt", keys.RS256, keys.RS256},
	} {
		c := h.addClient(func(c *idp.Client) { c.ResponseAlg = row.registered })
		h.authorize(request(c, "response_mode", row.mode))
		done, err := h.respond(h.outcome(u))
		check(t, err)
		if q := done.query(); len(q) != 1 || len(q["response"]) != 1 || !strings.HasPrefix(done.Header.Get("Location"), "https://app.example/cb?") {
			t.Fatalf("%s: %s", row.mode, done.Header.Get("Location"))
		}
		said := h.answerOf(c, done.query().Get("response"), row.alg)
		if names := slices.Sorted(maps.Keys(said)); !slices.Equal(names, []string{"aud", "code", "exp", "iss", "state"}) || said["state"] != "st" {
			t.Errorf("%s: %v", row.mode, said)
		}
		if r := h.exchange(c, said["code"].(string)); r.StatusCode != 200 {
			t.Errorf("%s: exchange: %d %s", row.mode, r.StatusCode, r.body)
		}
	}
}

func TestASignedResponseCanBePosted(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	h.authorize(request(c, "response_mode", "form_post.jwt"))
	done, err := h.respond(h.outcome(h.addUser()))
	check(t, err)
	inputs := regexp.MustCompile(`<input type="hidden" name="([a-z_]+)" value="([^"]*)">`).FindAllStringSubmatch(done.body, -1)
	if done.StatusCode != 200 || len(inputs) != 1 || inputs[0][1] != "response" {
		t.Fatalf("%d %q", done.StatusCode, inputs)
	}
	if said := h.answerOf(c, inputs[0][2], keys.ES256); said["code"] == "" || said["state"] != "st" {
		t.Errorf("%v", said)
	}
}

func TestErrorsAreSignedToo(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	wrong := func(r reply) map[string]any {
		t.Helper()
		if q := r.query(); len(q) != 1 || q.Get("response") == "" {
			t.Fatalf("%d to %q", r.StatusCode, r.Header.Get("Location"))
		}
		said := h.answerOf(c, r.query().Get("response"), keys.ES256)
		if said["state"] != "st" || said["code"] != nil {
			t.Errorf("%v", said)
		}
		return said
	}
	if said := wrong(h.authorize(request(c, "response_mode", "jwt", "scope", ""))); said["error"] != "invalid_scope" || said["error_description"] == "" {
		t.Errorf("a faulty request: %v", said)
	}
	if said := wrong(h.authorize(request(c, "response_mode", "query.jwt", "request", "a.b.c"))); said["error"] != "invalid_request_object" {
		t.Errorf("a broken request object: %v", said)
	}
	h.authorize(request(c, "response_mode", "jwt"))
	done, err := h.respond(idp.Outcome{Error: "access_denied", Description: "no"})
	check(t, err)
	if said := wrong(done); said["error"] != "access_denied" || said["error_description"] != "no" {
		t.Errorf("a refusal: %v", said)
	}
}

func TestASignedResponseIsNotAToken(t *testing.T) {
	h := open(t)
	c, u := h.addClient(nil), h.addUser()
	h.authorize(request(c, "response_mode", "jwt"))
	done, err := h.respond(h.outcome(u))
	check(t, err)
	text := done.query().Get("response")
	if q := h.authorize(request(c, "id_token_hint", text)).query(); q.Get("error") != "invalid_request" {
		t.Errorf("as a hint: %v", q)
	}
	if r := h.userinfo(text); r.StatusCode != http.StatusUnauthorized {
		t.Errorf("as an access token: %d %s", r.StatusCode, r.body)
	}
	if r := h.post(oauth.PathIntrospect, url.Values{"token": {text}}, basic(c)); strings.Contains(r.body, `"active":true`) {
		t.Errorf("introspected: %s", r.body)
	}
}

func TestFragmentResponsesAreNotSupported(t *testing.T) {
	h := open(t)
	c := h.addClient(nil)
	for _, mode := range []string{"fragment.jwt", "fragment", "JWT", "jwt.query", "jwt jwt", ".jwt", "form_post.", "web_message.jwt"} {
		if q := h.authorize(request(c, "response_mode", mode)).query(); q.Get("error") != "invalid_request" {
			t.Errorf("%s: %v", mode, q)
		}
	}
}
