package outbound

import (
	"context"
	"fmt"
	"io"
	"net/http"
)

// A Request is one to an API that others named. Header may hold a secret; nothing of it is kept or logged.
type Request struct {
	Method, Address string
	Header          http.Header
	Body            []byte
	Limit           int64 // bytes of the response that are read; a longer one is an error
}

// A Reply is the answer to a Request, whatever its status.
type Reply struct {
	Status int
	Header http.Header
	Body   []byte
}

// Call makes a request within 20 seconds. It does not follow redirects, so that what is in the header stays with the
// address that was named. Every error is ErrFailed.
func (c *Client) Call(ctx context.Context, r Request) (Reply, error) {
	client := c.slow
	if c.here(r.Address) {
		client = c.local
	}
	resp, err := c.send(ctx, client, r.Method, r.Address, r.Header.Clone(), r.Body)
	if err != nil {
		return Reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, r.Limit+1))
	switch {
	case err != nil:
		return Reply{}, failed("the response ended early")
	case int64(len(body)) > r.Limit:
		return Reply{}, failed(fmt.Sprintf("the response is longer than %d bytes", r.Limit))
	}
	return Reply{Status: resp.StatusCode, Header: resp.Header, Body: body}, nil
}

// May reports whether a Client makes requests to an address, as far as the address itself says: https, without a user.
func (c *Client) May(address string) bool {
	r, err := http.NewRequest(http.MethodGet, address, nil)
	return err == nil && len(address) <= maxURL && (fetchable(r.URL) || c.here(address))
}
