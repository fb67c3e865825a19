package provider

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
)

// publisher is a client's web server with its keys. It can be called from inside a bubble.
type publisher struct {
	url     string
	fetched atomic.Int32
	mu      sync.Mutex
	status  int
	maxAge  int
	body    []byte
	held    chan struct{} // if not nil: answers wait for it
}

func newPublisher(t *testing.T, kids ...string) *publisher {
	pub := &publisher{status: http.StatusOK}
	pub.publish(t, kids...)
	pub.url = elsewhere(t, func(w http.ResponseWriter, _ *http.Request) {
		pub.fetched.Add(1)
		pub.mu.Lock()
		defer pub.mu.Unlock()
		if pub.held != nil {
			<-pub.held
		}
		if pub.maxAge > 0 {
			w.Header().Set("Cache-Control", "max-age="+strconv.Itoa(pub.maxAge))
		}
		w.WriteHeader(pub.status)
		_, _ = w.Write(pub.body)
	}) + "/keys"
	return pub
}

// publish replaces the published keys: the same ES256 key under these key IDs.
func (p *publisher) publish(t *testing.T, kids ...string) {
	t.Helper()
	set := jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	for _, kid := range kids {
		set.Keys = append(set.Keys, jose.JSONWebKey{Key: clientKeys()[keys.ES256].Public(), KeyID: kid, Use: "sig"})
	}
	body, err := json.Marshal(set)
	check(t, err)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.body = body
}

func (p *publisher) fails(status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.status = status
}

// addPublishing stores a client that authenticates with its published keys.
func (h *house) addPublishing(address string) idp.Client {
	h.t.Helper()
	return h.addKeyClient(func(c *idp.Client) { c.JWKS, c.JWKSURI = nil, address })
}

// believesKid sends a valid assertion that names this key.
func (h *house) believesKid(c idp.Client, kid string) bool {
	h.t.Helper()
	w := h.goodAssertion(c)
	w.header["kid"] = kid
	ok, _ := h.believes(w.text(h.t))
	return ok
}

func TestKeysAreFetchedFromTheClientsAddress(t *testing.T) {
	pub := newPublisher(t, "a")
	h := open(t)
	c := h.addPublishing(pub.url)
	for range 3 {
		if !h.believesKid(c, "a") {
			t.Error("a published key does not authenticate its client")
		}
	}
	if n := pub.fetched.Load(); n != 1 {
		t.Errorf("fetched %d times", n)
	}
	if h.believesKid(h.addKeyClient(nil, keys.RS256), "a") {
		t.Error("another client is believed with it")
	}
}

func TestAnUnknownKeyIsFetchedOnceAMinute(t *testing.T) {
	pub := newPublisher(t, "a")
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c := h.addPublishing(pub.url)
		if !h.believesKid(c, "a") {
			t.Fatal("the first key is refused")
		}
		pub.publish(t, "b")
		if !h.believesKid(c, "b") || pub.fetched.Load() != 2 {
			t.Error("the new key is refused")
		}
		pub.publish(t, "c")
		time.Sleep(time.Minute - time.Second)
		if h.believesKid(c, "c") || pub.fetched.Load() != 2 {
			t.Error("asked again within the minute")
		}
		time.Sleep(time.Second)
		if !h.believesKid(c, "c") || pub.fetched.Load() != 3 {
			t.Error("the new key is refused a minute later")
		}
		if h.believesKid(c, "a") {
			t.Error("the withdrawn key is believed")
		}
		for range 5 { // anybody can make up names of keys
			h.believesKid(c, "made up")
		}
		if n := pub.fetched.Load(); n != 3 {
			t.Errorf("fetched %d times", n)
		}
		if other := h.addPublishing(pub.url + "?"); h.believesKid(other, "made up") || pub.fetched.Load() != 4 {
			t.Errorf("fetched %d times for the first request of a client", pub.fetched.Load()-3)
		}
	})
}

func TestKeysAreFetchedAgainWhenTheyAreOld(t *testing.T) {
	for name, row := range map[string]struct {
		maxAge int
		holds  time.Duration
	}{
		"no max-age":      {0, 10 * time.Minute},
		"a short max-age": {1, time.Minute},
		"half an hour":    {1800, 30 * time.Minute},
		"a long max-age":  {86400, time.Hour},
	} {
		t.Run(name, func(t *testing.T) {
			pub := newPublisher(t, "a")
			pub.maxAge = row.maxAge
			synctest.Test(t, func(t *testing.T) {
				h := openInBubble(t)
				c := h.addPublishing(pub.url)
				h.believesKid(c, "a")
				pub.publish(t) // withdrawn
				time.Sleep(row.holds - time.Second)
				if !h.believesKid(c, "a") || pub.fetched.Load() != 1 {
					t.Error("fetched early")
				}
				time.Sleep(time.Second)
				if h.believesKid(c, "a") || pub.fetched.Load() < 2 {
					t.Error("a withdrawn key is still believed")
				}
			})
		})
	}
}

func TestKeysWorkOnForSixHoursIfTheyCannotBeFetched(t *testing.T) {
	pub := newPublisher(t, "a")
	synctest.Test(t, func(t *testing.T) {
		h := openInBubble(t)
		c := h.addPublishing(pub.url)
		h.believesKid(c, "a")
		pub.fails(http.StatusServiceUnavailable)
		time.Sleep((6 * time.Hour))
		if !h.believesKid(c, "a") {
			t.Error("refused after six hours")
		}
		asked := pub.fetched.Load()
		if h.believesKid(c, "a"); pub.fetched.Load() != asked {
			t.Error("a failing server is asked at once again")
		}
		time.Sleep(time.Second)
		if h.believesKid(c, "a") {
			t.Error("believed after more than six hours")
		}
		pub.fails(http.StatusOK)
		time.Sleep((10 * time.Second))
		if !h.believesKid(c, "a") {
			t.Error("refused when the server is back")
		}
		if log := h.log.String(); !strings.Contains(log, "jwks_error") || strings.Contains(log, pub.url) {
			t.Errorf("log: %s", log)
		}
	})
}

func TestConcurrentCallersShareOneKeyFetch(t *testing.T) {
	pub := newPublisher(t, "a")
	pub.held = make(chan struct{})
	h := open(t)
	c := h.addPublishing(pub.url)
	var believed atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if h.believesKid(c, "a") {
				believed.Add(1)
			}
		})
	}
	close(pub.held)
	wg.Wait()
	if believed.Load() != 8 || pub.fetched.Load() != 1 {
		t.Errorf("%d believed, fetched %d times", believed.Load(), pub.fetched.Load())
	}
}

func TestUnavailableKeysAuthenticateNoClient(t *testing.T) {
	good := newPublisher(t, "a")
	for name, address := range map[string]string{
		"no such page":       elsewhere(t, http.NotFound),
		"not a key set":      elsewhere(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
		"an empty one":       newPublisher(t).url,
		"a long one":         elsewhere(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, (64<<10)+1)) }),
		"no server there":    "https://127.0.0.1:1/keys",
		"a private address":  "https://10.0.0.1/keys",
		"this machine":       strings.Replace(good.url, "127.0.0.1", "127.0.0.2", 1),
		"http":               strings.Replace(good.url, "https", "http", 1),
		"a stranger's names": "https://user:secret@127.0.0.1/keys",
	} {
		h := open(t)
		c := h.addPublishing(address)
		if h.believesKid(c, "a") { // believes checks that it is refused as a wrong secret is
			t.Errorf("%s: believed", name)
		}
	}
	if good.fetched.Load() != 0 {
		t.Error("an address that is not allowed was asked")
	}
}
