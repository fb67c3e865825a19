// Package outbound makes the HTTP requests to addresses that others chose: keys, request objects and metadata of
// clients, and logout deliveries. Anyone who registers a client chooses such addresses, so requests go only to the
// public internet and to networks the operator has allowed. Responses are limited in size, and errors reveal nothing
// about the other side.
package outbound

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/stepward/stepward/internal/idp"
)

const (
	timeout      = 5 * time.Second // for everything: name lookup, connection, redirects and body
	patience     = 20 * time.Second
	maxRedirects = 3
	maxURL       = 2048     // bytes
	maxHeader    = 16 << 10 // bytes
	maxAge       = 24 * time.Hour
)

// ErrFailed is wrapped by every error of a Client. The text added to it names the step, never what the other side or
// the network said.
var ErrFailed = errors.New("outbound request failed")

func failed(reason string) error { return fmt.Errorf("%w: %s", ErrFailed, reason) }

// Config configures a Client. The zero value reaches only the public internet.
type Config struct {
	Networks []netip.Prefix // allowed although they are not public
	Hosts    []string       // host names allowed whatever they resolve to, in lower case
	Roots    *x509.CertPool // nil: those of the system
	// Development lets Post speak http to loopback hosts, and reach only this machine that way.
	Development bool
	// Wrap wraps the transports, to observe requests; nil: nobody observes.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// A Client is safe for concurrent use. It keeps no connections or cookies, and ignores proxy settings.
type Client struct {
	config Config
	get    *http.Client
	direct *http.Client // follows no redirect
	local  *http.Client // likewise, and reaches this machine alone
	slow   *http.Client // like direct, for applications that take long to answer
}

// New returns a Client.
func New(c Config) *Client {
	client := &Client{config: c}
	transport := &http.Transport{
		DialContext:            client.dial,
		TLSClientConfig:        &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: c.Roots},
		DisableKeepAlives:      true,
		DisableCompression:     true, // limits count the bytes we keep
		MaxConnsPerHost:        8,
		MaxResponseHeaderBytes: maxHeader,
	}
	wrap := c.Wrap
	if wrap == nil {
		wrap = func(t http.RoundTripper) http.RoundTripper { return t }
	}
	client.get = &http.Client{Transport: wrap(transport), Timeout: timeout, CheckRedirect: follow}
	stop := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	client.direct = &http.Client{Transport: wrap(transport), Timeout: timeout, CheckRedirect: stop}
	here := transport.Clone()
	here.DialContext = (&net.Dialer{Control: guardLocal}).DialContext
	client.local = &http.Client{Transport: wrap(here), Timeout: timeout, CheckRedirect: stop}
	client.slow = &http.Client{Transport: wrap(transport), Timeout: patience, CheckRedirect: stop}
	return client
}

// A Response is a completely fetched document.
type Response struct {
	Body   []byte
	Type   string        // media type in lower case, without parameters; empty: missing or invalid
	MaxAge time.Duration // max-age of Cache-Control, at most a day; zero: none, or not cacheable
}

// Get fetches a document with status 200 and at most limit bytes, within 5 seconds and 3 redirects. Every error is
// ErrFailed.
func (c *Client) Get(ctx context.Context, address, accept string, limit int64) (Response, error) {
	return c.fetch(ctx, c.get, address, accept, limit)
}

// GetDirect is Get without redirects, for documents that are authoritative only at their own address.
func (c *Client) GetDirect(ctx context.Context, address, accept string, limit int64) (Response, error) {
	return c.fetch(ctx, c.direct, address, accept, limit)
}

func (c *Client) fetch(
	ctx context.Context, client *http.Client, address, accept string, limit int64,
) (Response, error) {
	resp, err := c.send(ctx, client, http.MethodGet, address, http.Header{"Accept": {accept}}, nil)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return Response{}, failed("answered " + strconv.Itoa(resp.StatusCode))
	}
	body, err := io.ReadAll(io.LimitReader(resp.Body, limit+1))
	switch {
	case err != nil:
		return Response{}, failed("the response ended early")
	case int64(len(body)) > limit:
		return Response{}, failed(fmt.Sprintf("the response is longer than %d bytes", limit))
	}
	kind, _, err := mime.ParseMediaType(resp.Header.Get("Content-Type"))
	if err != nil {
		kind = ""
	}
	return Response{Body: body, Type: kind, MaxAge: freshness(resp.Header.Values("Cache-Control"))}, nil
}

// Post sends a body and returns the status of the response, whatever it is. It does not follow redirects. Every error
// is ErrFailed.
func (c *Client) Post(ctx context.Context, address, contentType string, body []byte) (status int, err error) {
	client := c.direct
	if c.here(address) {
		client = c.local
	}
	resp, err := c.send(ctx, client, http.MethodPost, address, http.Header{"Content-Type": {contentType}}, body)
	if err != nil {
		return 0, err
	}
	_ = resp.Body.Close() // the body is not needed
	return resp.StatusCode, nil
}

// here reports whether an address is one of this machine that development allows.
func (c *Client) here(address string) bool {
	u, err := url.Parse(address)
	return err == nil && c.config.Development && u.Scheme == "http" && idp.Loopback(u.Hostname())
}

func (c *Client) send(
	ctx context.Context, client *http.Client, method, address string, header http.Header, body []byte,
) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, method, address, bytes.NewReader(body))
	if err != nil || len(address) > maxURL || !fetchable(r.URL) && client != c.local {
		return nil, failed("not an https address")
	}
	header.Set("User-Agent", "Stepward")
	r.Header = header
	resp, err := client.Do(r)
	if err != nil {
		return nil, failed(reasonOf(err))
	}
	return resp, nil
}

func fetchable(u *url.URL) bool { return u.Scheme == "https" && u.Hostname() != "" && u.User == nil }

var (
	errAddress  = errors.New("address not public")
	errRedirect = errors.New("redirect refused")
)

func follow(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects || !fetchable(r.URL) {
		return errRedirect
	}
	r.Header.Del("Referer") // do not tell the next server about the previous one
	return nil
}

// dial connects to a host. The guard checks the address at the moment of connecting, so a name that resolves
// differently the second time cannot bypass it.
func (c *Client) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	d := &net.Dialer{Control: c.guard}
	for _, named := range c.config.Hosts {
		if strings.EqualFold(host, named) {
			d.Control = nil
		}
	}
	return d.DialContext(ctx, network, address)
}

func (c *Client) guard(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return errAddress
	}
	ip := at.Addr().Unmap().WithZone("")
	if public(ip) {
		return nil
	}
	for _, network := range c.config.Networks {
		if network.Contains(ip) {
			return nil
		}
	}
	return errAddress
}

// guardLocal allows connections only to this machine.
func guardLocal(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !at.Addr().Unmap().IsLoopback() {
		return errAddress
	}
	return nil
}

// reasonOf describes an error of net/http without repeating any of its text.
func reasonOf(err error) string {
	var name *net.DNSError
	var cert *tls.CertificateVerificationError
	var wait net.Error
	switch {
	case errors.Is(err, errAddress):
		return "the address is not public (allow it with outbound-allow)"
	case errors.Is(err, errRedirect):
		return "too many redirects, or a redirect to an address that is not https"
	case errors.As(err, &cert):
		return "the certificate is not trusted"
	case errors.Is(err, context.Canceled):
		return "the request was cancelled"
	case errors.As(err, &wait) && wait.Timeout():
		return "timeout"
	case errors.As(err, &name):
		return "the host name does not resolve"
	default:
		return "no connection, or an invalid response"
	}
}

// freshness returns max-age from Cache-Control (RFC 9111 §5.2.2).
func freshness(headers []string) time.Duration {
	var age time.Duration
	for part := range strings.SplitSeq(strings.ToLower(strings.Join(headers, ",")), ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if seconds, err := strconv.ParseUint(strings.Trim(value, `"`), 10, 31); err == nil {
				age = min(time.Duration(seconds)*time.Second, maxAge)
			}
		}
	}
	return age
}
