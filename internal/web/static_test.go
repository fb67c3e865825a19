package web

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stepward/stepward/internal/words"
)

var staticURL = regexp.MustCompile(`/static/[a-z]+\.[0-9a-f]{12}\.[a-z]+`)

func TestStaticFilesAreKeptForEverAndCompressed(t *testing.T) {
	s := newShell(t, nil)
	mux := http.NewServeMux()
	s.Mount(mux)
	h := s.Browser(mux)
	for _, name := range []string{"app.css", "passkey.js", "enrol.js", "copy.js", "immediate.js", "icons.svg", "favicon.svg", "logo.svg"} {
		path, err := s.static.url(words.English(), name)
		if err != nil || !staticURL.MatchString(path) {
			t.Fatalf("%s: %q, %v", name, path, err)
		}
		plain := ask(h, "GET", path, "")
		body := text(t, plain)
		if plain.StatusCode != 200 || plain.Header.Get("Cache-Control") != "public, max-age=31536000, immutable" || plain.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%s: %d %v", name, plain.StatusCode, plain.Header)
		}
		zipped := ask(h, "GET", path, "", "Accept-Encoding", "br, gzip;q=0.9")
		if zipped.Header.Get("Content-Encoding") != "gzip" || zipped.Header.Get("Content-Type") != plain.Header.Get("Content-Type") {
			t.Errorf("%s, gzip: %v", name, zipped.Header)
		}
		z, err := gzip.NewReader(zipped.Body)
		if err != nil {
			t.Fatal(err)
		}
		if unzipped, err := io.ReadAll(z); err != nil || string(unzipped) != body {
			t.Errorf("%s: gzip holds something else (%v)", name, err)
		}
		if r := ask(h, "GET", path, "", "Accept-Encoding", "gzip;q=0"); r.Header.Get("Content-Encoding") != "" {
			t.Errorf("%s: gzip for a browser that refuses it", name)
		}
	}
	for _, path := range []string{"/static/app.css", "/static/app.000000000000.css", "/static/..%2fweb.go", "/static/"} {
		if r := ask(h, "GET", path, ""); r.StatusCode != 404 || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d, %s", path, r.StatusCode, r.Header.Get("Cache-Control"))
		}
	}
	if r := ask(h, "GET", "/favicon.ico", ""); r.StatusCode != 200 || r.Header.Get("Content-Type") != "image/svg+xml" {
		t.Errorf("favicon.ico: %d %v", r.StatusCode, r.Header)
	}
}

func TestChangedContentHasAnotherName(t *testing.T) {
	ours, _ := newShell(t, nil).static.url(nil, "app.css")
	theirs, _ := newShell(t, func(c *Config) { c.Accent = "#aa3300" }).static.url(nil, "app.css")
	if ours == theirs {
		t.Error("a branded stylesheet under the name of the plain one")
	}
}

// The whole sign-in page without a cache: at most 14 KB including headers, in 5 requests besides the client's logo.
// Compressed sizes count.
func TestTheSignInPageStaysInItsBudget(t *testing.T) {
	s := newShell(t, nil)
	h := house(t, s)
	page := text(t, ask(h, "GET", "/sample/signin", ""))
	urls := staticURL.FindAllString(page, -1)
	slices.Sort(urls)
	urls = slices.Compact(urls)
	requests, size := 1+len(urls), len(page)
	for _, u := range urls {
		size += len(text(t, ask(h, "GET", u, "", "Accept-Encoding", "gzip")))
	}
	const headers = 500 // a request
	size += requests * headers
	t.Logf("%d requests, %d bytes: %q", requests, size, urls)
	if requests > 5 || size > 14<<10 {
		t.Error("over budget")
	}
}

func TestTheSpriteHasEveryIcon(t *testing.T) {
	s := newShell(t, nil)
	for _, name := range strings.Fields("key shield check plus trash pencil clock device cloud signout mail warning user copy") {
		if _, err := s.icon(name); err != nil {
			t.Error(err)
		}
	}
	if _, err := s.icon("nonesuch"); err == nil {
		t.Error("an icon that is not there")
	}
	if bytes.Contains(s.static.files[s.static.names["icons.svg"]].plain, []byte("style")) {
		t.Error("the sprite carries style, which the content policy blocks")
	}
}
