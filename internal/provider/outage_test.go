package provider

import (
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/ephemeral/ephemeraltest"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/session"
)

// onRedis opens a provider with Redis as its ephemeral store, and returns a client to control that server.
func onRedis(t *testing.T) (h *house, direct *redis.Client) {
	t.Helper()
	server := ephemeraltest.StartRedis(t)
	store, err := ephemeral.OpenRedis(t.Context(), server.URL, nil)
	check(t, err)
	t.Cleanup(func() { _ = store.Close() })
	opt, err := redis.ParseURL(server.URL)
	check(t, err)
	direct = redis.NewClient(opt)
	t.Cleanup(func() { _ = direct.Close() })
	h = open(t, func(c *Config) {
		c.Ephemeral, c.Sessions = store, session.New(session.Config{Store: store, Insecure: true})
	})
	return h, direct
}

func TestAFullRedisDoesNotUseUpTheSignIn(t *testing.T) {
	t.Parallel()
	h, direct := onRedis(t)
	c, u := h.addClient(nil), h.addUser()
	lost := 0
	defer func() { t.Logf("counted: %d of 2 sign-ins lost to a full Redis", lost) }()
	for name, begin := range map[string]func(){
		"plain": func() { h.authorize(request(c)) },
		"pushed": func() {
			pushing := h.addClient(nil)
			h.begun(pushing, h.pushed(pushing))
		},
	} {
		begin()
		// The interaction is where login keeps it; the harness keeps its own elsewhere.
		stored := ephemeral.NewBucket[idp.Interaction](h.config.Ephemeral, idp.InteractionBucket, time.Minute)
		check(t, stored.Put(t.Context(), h.last.ID, h.last))
		check(t, direct.ConfigSet(t.Context(), "maxmemory", "1").Err())
		if r, err := h.respond(h.outcome(u)); err == nil {
			t.Errorf("%s: a full store kept the code: %d %s", name, r.StatusCode, r.Header.Get("Location"))
		}
		check(t, direct.ConfigSet(t.Context(), "maxmemory", "0").Err())
		r, err := h.respond(h.outcome(u))
		if err != nil || r.query().Get("code") == "" {
			t.Errorf("%s: afterwards: %v %s", name, err, r.body)
			lost++
		}
		if _, err := h.respond(h.outcome(u)); err == nil {
			t.Errorf("%s: it was answered twice", name)
		}
	}
}
