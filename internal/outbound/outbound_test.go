// These tests are inside the package: they open the guard for servers on this machine, which no caller may do.
package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// serve starts an https server on localhost and returns it with a client that may reach it.
func serve(t *testing.T, handler http.HandlerFunc) (*httptest.Server, *Client) {
	t.Helper()
	srv := httptest.NewTLSServer(handler)
	t.Cleanup(srv.Close)
	return srv, New(Config{Networks: parse("127.0.0.0/8"), Roots: roots(srv)})
}

func roots(srv *httptest.Server) *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(srv.Certificate())
	return pool
}

func TestADocumentIsFetchedWhole(t *testing.T) {
	srv, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Method != "GET" || r.Header.Get("Accept") != "application/json" || r.Header.Get("Accept-Encoding") != "" {
			t.Errorf("%s with %v", r.Method, r.Header)
		}
		w.Header().Set("Content-Type", "Application/JSON; charset=utf-8")
		w.Header().Set("Cache-Control", "public, Max-Age=90")
		_, _ = io.WriteString(w, `{"keys":[]}`)
	})
	got, err := client.Get(t.Context(), srv.URL+"/keys#ignored", "application/json", 11)
	if err != nil {
		t.Fatal(err)
	}
	if string(got.Body) != `{"keys":[]}` || got.Type != "application/json" || got.MaxAge != 90*time.Second {
		t.Errorf("%+v", got)
	}
	if _, err := client.Get(t.Context(), srv.URL, "application/json", 10); !errors.Is(err, ErrFailed) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestInDevelopmentThisMachineIsToldOverHTTP(t *testing.T) {
	told := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		told++
		http.Redirect(w, r, "http://example.com/", http.StatusTemporaryRedirect)
	}))
	t.Cleanup(srv.Close)
	dev := New(Config{Development: true})
	if status, err := dev.Post(t.Context(), srv.URL, "text/plain", nil); err != nil || status != 307 || told != 1 {
		t.Errorf("%d %v, told %d times", status, err, told)
	}
	if _, err := New(Config{}).Post(t.Context(), srv.URL, "text/plain", nil); !errors.Is(err, ErrFailed) {
		t.Errorf("elsewhere: %v", err)
	}
	if _, err := dev.Get(t.Context(), srv.URL, "*/*", 10); !errors.Is(err, ErrFailed) {
		t.Errorf("nothing is fetched that way: %v", err)
	}
	for _, address := range []string{"http://192.0.2.1/", "http://example.com/", "http://localhost.example.com/"} {
		if _, err := dev.Post(t.Context(), address, "text/plain", nil); err == nil || !strings.Contains(err.Error(), "not an https address") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if guardLocal("tcp", "192.0.2.1:80", nil) == nil || guardLocal("tcp", "[::1]:80", nil) != nil {
		t.Error("a name of this machine that leads elsewhere is followed")
	}
}

func TestOnlyHTTPSIsFetched(t *testing.T) {
	client := New(Config{})
	for _, address := range []string{
		"", "://", "example.com", "/keys", "http://example.com/", "HTTP://example.com/", "ftp://example.com/", "file:///etc/passwd",
		"https://", "https:///keys", "https:example.com", "https://user@example.com/", "https://user:secret@example.com/",
		"gopher://example.com/", "https://example.com/\r\nX: y", "https://exa mple.com/", "https://example.com/" + strings.Repeat("a", maxURL),
	} {
		if _, err := client.Get(t.Context(), address, "*/*", 10); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "not an https address") {
			t.Errorf("%.60q: %v", address, err)
		}
		if _, err := client.Post(t.Context(), address, "text/plain", nil); !errors.Is(err, ErrFailed) {
			t.Errorf("post %.60q: %v", address, err)
		}
	}
}

func TestAddressesThatAreNotPublicAreRefused(t *testing.T) {
	for _, text := range []string{
		"0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255", "100.64.0.1", "100.127.255.255", "127.0.0.1", "127.9.9.9",
		"169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.1", "192.0.2.1", "192.88.99.1", "192.168.1.1", "198.18.0.1", "198.19.255.255",
		"198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
		"::", "::1", "::127.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::ffff:0:7f00:1", "64:ff9b::7f00:1", "64:ff9b::8.8.8.8", "64:ff9b:1::1",
		"100::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "2001::1", "2001:0:4136:e378::1",
		"2001:db8::1", "2002:7f00:1::", "3fff::1", "5f00::1",
	} {
		if err := New(Config{}).guard("tcp", netip.AddrPortFrom(netip.MustParseAddr(text), 443).String(), nil); !errors.Is(err, errAddress) {
			t.Errorf("%s was reached", text)
		}
	}
	for _, text := range []string{"1.1.1.1", "8.8.8.8", "100.63.255.255", "100.128.0.1", "172.15.0.1", "172.32.0.1", "192.0.1.1", "223.255.255.255", "2606:4700::1111", "2a00:1450::1", "2001:4860::8888", "::ffff:8.8.8.8"} {
		if err := New(Config{}).guard("tcp", netip.AddrPortFrom(netip.MustParseAddr(text), 443).String(), nil); err != nil {
			t.Errorf("%s was refused", text)
		}
	}
	for _, text := range []string{"", "localhost:443", "127.0.0.1"} {
		if New(Config{}).guard("tcp", text, nil) == nil {
			t.Errorf("%q was reached", text)
		}
	}
}

func TestLocalhostMustBeAllowedExplicitly(t *testing.T) {
	asked := 0
	srv, _ := serve(t, func(http.ResponseWriter, *http.Request) { asked++ })
	_, port, _ := net.SplitHostPort(srv.Listener.Addr().String())
	for _, spelled := range []string{"127.0.0.1", "localhost", "[::ffff:127.0.0.1]", "0.0.0.0", "2130706433", "0x7f000001", "127.1", "0177.0.0.1"} {
		_, err := New(Config{Roots: roots(srv)}).Get(t.Context(), "https://"+spelled+":"+port, "*/*", 10)
		if !errors.Is(err, ErrFailed) || asked != 0 {
			t.Errorf("%s was reached: %v", spelled, err)
		}
	}
	for name, c := range map[string]struct {
		config  Config
		address string
		reached bool
	}{
		"network":                      {Config{Networks: parse("127.0.0.0/8")}, "127.0.0.1", true},
		"address":                      {Config{Networks: parse("127.0.0.1/32")}, "[::ffff:127.0.0.1]", true},
		"another network":              {Config{Networks: parse("10.0.0.0/8", "::1/128")}, "127.0.0.1", false},
		"name":                         {Config{Hosts: []string{"localhost"}}, "LocalHost", true},
		"address of an allowed name":   {Config{Hosts: []string{"localhost"}}, "127.0.0.1", false},
		"subdomain of an allowed name": {Config{Hosts: []string{"localhost"}}, "a.localhost", false},
	} {
		asked = 0
		c.config.Roots = roots(srv)
		client := New(c.config)
		client.get.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com" // the name in the test's certificate
		_, err := client.Get(t.Context(), "https://"+c.address+":"+port, "*/*", 10)
		if (err == nil) != c.reached || (asked == 1) != c.reached {
			t.Errorf("%s: reached %v, want %v: %v", name, asked == 1, c.reached, err)
		}
	}
}

func TestRedirectsAreCheckedLikeAddresses(t *testing.T) {
	var target string
	srv, _ := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Referer() != "" || r.Header.Get("Cookie") != "" {
			t.Errorf("the next server was told %v", r.Header)
		}
		if r.URL.Path == "/end" {
			return
		}
		w.Header().Set("Set-Cookie", "a=b")
		http.Redirect(w, r, target, http.StatusFound)
	})
	client := New(Config{Networks: parse("127.0.0.1/32"), Roots: roots(srv)})
	for _, c := range []struct {
		to string
		ok bool
	}{
		{srv.URL + "/end", true},
		{"/end", true},
		{"/again", false},
		{strings.Replace(srv.URL, "https", "http", 1) + "/end", false},
		{strings.Replace(srv.URL, "127.0.0.1", "127.0.0.2", 1) + "/end", false},
		{strings.Replace(srv.URL, "https://", "https://me@", 1) + "/end", false},
		{"file:///etc/passwd", false},
	} {
		target = c.to
		if _, err := client.Get(t.Context(), srv.URL+"/start", "*/*", 10); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrFailed) {
			t.Errorf("to %s: %v", c.to, err)
		}
		if _, err := client.GetDirect(t.Context(), srv.URL+"/start", "*/*", 10); !errors.Is(err, ErrFailed) {
			t.Errorf("a redirect to %s was followed: %v", c.to, err)
		}
	}
}

func TestAPostIsNeverRedirected(t *testing.T) {
	var asked []string
	srv, client := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		asked = append(asked, r.URL.Path+" "+r.Header.Get("Content-Type")+" "+string(body))
		http.Redirect(w, r, "/elsewhere", http.StatusTemporaryRedirect)
	})
	status, err := client.Post(t.Context(), srv.URL+"/here", "text/plain", []byte("hello"))
	if err != nil || status != http.StatusTemporaryRedirect || len(asked) != 1 || asked[0] != "/here text/plain hello" {
		t.Errorf("%d %v %q", status, err, asked)
	}
}

func TestInvalidResponsesAreErrors(t *testing.T) {
	for _, status := range []int{201, 204, 206, 304, 400, 401, 404, 500, 503} {
		srv, client := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) })
		if _, err := client.Get(t.Context(), srv.URL, "*/*", 10); !errors.Is(err, ErrFailed) {
			t.Errorf("%d: %v", status, err)
		}
	}
	srv, client := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(w, "short")
	})
	if _, err := client.Get(t.Context(), srv.URL, "*/*", 1000); !errors.Is(err, ErrFailed) {
		t.Errorf("truncated: %v", err)
	}
	srv, client = serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Long", strings.Repeat("a", 2*maxHeader))
	})
	if _, err := client.Get(t.Context(), srv.URL, "*/*", 1000); !errors.Is(err, ErrFailed) {
		t.Errorf("too long a header: %v", err)
	}
}

func TestUntrustedCertificatesAndOldTLSAreRefused(t *testing.T) {
	srv, _ := serve(t, func(http.ResponseWriter, *http.Request) {})
	client := New(Config{Networks: parse("127.0.0.0/8")})
	if _, err := client.Get(t.Context(), srv.URL, "*/*", 10); !errors.Is(err, ErrFailed) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("untrusted certificate: %v", err)
	}
	old := httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	old.TLS = &tls.Config{MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10} //nolint:gosec // the server must be refused
	old.StartTLS()
	defer old.Close()
	client = New(Config{Networks: parse("127.0.0.0/8"), Roots: roots(old)})
	if _, err := client.Get(t.Context(), old.URL, "*/*", 10); !errors.Is(err, ErrFailed) {
		t.Errorf("TLS 1.1: %v", err)
	}
}

func TestProxySettingsOfTheEnvironmentAreIgnored(t *testing.T) {
	proxy, _ := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the proxy was asked") })
	t.Setenv("HTTPS_PROXY", proxy.URL)
	srv, client := serve(t, func(http.ResponseWriter, *http.Request) {})
	if _, err := client.Get(t.Context(), srv.URL, "*/*", 10); err != nil {
		t.Error(err)
	}
	if client.get.Transport.(*http.Transport).Proxy != nil {
		t.Error("the transport uses a proxy")
	}
}

// pipe is an in-memory network, so that the clock of a synctest bubble advances while a test waits for it.
func pipe(c *Client) (theirs net.Conn) {
	ours, theirs := net.Pipe()
	c.get.Transport.(*http.Transport).DialContext = func(context.Context, string, string) (net.Conn, error) { return ours, nil }
	return theirs
}

func TestSilentServersTimeOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client := New(Config{})
		theirs := pipe(client)
		defer theirs.Close()
		go func() { _, _ = io.Copy(io.Discard, theirs) }()
		begun := time.Now()
		_, err := client.Get(t.Context(), "https://example.com/", "*/*", 10)
		if !errors.Is(err, ErrFailed) || time.Since(begun) != timeout {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
	})
}

func TestErrorsRepeatNoInput(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := listener.Addr().String()
	listener.Close()
	_, err = New(Config{Networks: parse("127.0.0.0/8")}).Get(t.Context(), "https://"+address+"/secret", "*/*", 10)
	var network *url.Error
	if !errors.Is(err, ErrFailed) || errors.As(err, &network) || strings.Contains(err.Error(), "127.0.0.1") || strings.Contains(err.Error(), "secret") {
		t.Errorf("%v", err)
	}
}

func TestCacheControlLimitsHowLongADocumentIsKept(t *testing.T) {
	for header, want := range map[string]time.Duration{
		"": 0, "max-age=60": time.Minute, `max-age="60"`: time.Minute, "public, max-age=60": time.Minute, "MAX-AGE=60": time.Minute,
		"max-age=-1": 0, "max-age=x": 0, "max-age": 0, "max-age=99999999999999999999": 0, "max-age=2147483647": maxAge,
		"no-store, max-age=60": 0, "max-age=60, no-cache": 0, "s-maxage=60": 0,
	} {
		if got := freshness([]string{header}); got != want {
			t.Errorf("%q: %v, want %v", header, got, want)
		}
	}
}
