package adminapi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/adminapi/repeat"
	"github.com/stepward/stepward/internal/bearer"
	"github.com/stepward/stepward/internal/store/declared"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Inside returns the API for the commands of this process. It asks for no token: the operator at the command line has
// the database anyway. It is no http.Handler, so that nothing can serve it on a network. Of cfg, it needs Operations,
// Policy and Issuer, Explain for explanations and Provisioning for its operations.
func Inside(cfg Config) (http.RoundTripper, error) {
	if cfg.Operations == nil {
		return nil, errors.New("the admin API needs operations")
	}
	a := &API{cfg: cfg, mux: http.NewServeMux(), marks: declared.New(cfg.Operations.DB())}
	a.admit = func(http.ResponseWriter, *http.Request, string) (bearer.Caller, *bearer.Refusal) {
		return bearer.Caller{Actor: admin.Operator(), Scopes: adminapi.Scopes()}, nil
	}
	a.operations()
	return inside{a.mux}, nil
}

type inside struct{ mux *http.ServeMux }

// insideKey is the context key under which an internal failure is kept: the operator may read it.
type insideKey struct{}

// RoundTrip implements http.RoundTripper.
func (i inside) RoundTrip(r *http.Request) (*http.Response, error) {
	var broken error
	r = r.Clone(context.WithValue(r.Context(), insideKey{}, &broken))
	r.Header.Del(repeat.Header) // no answer is lost here
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := &recorded{header: http.Header{}, status: http.StatusOK}
	i.mux.ServeHTTP(w, r)
	if broken != nil {
		f := problem(http.StatusInternalServerError, "server_error", broken.Error())
		w.status = f.Status
		w.body.Reset()
		if err := json.NewEncoder(&w.body).Encode(f.Problem); err != nil {
			return nil, err
		}
	}
	return &http.Response{
		StatusCode: w.status, Header: w.header, Body: io.NopCloser(&w.body), Request: r, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1,
	}, nil
}

// recorded is an http.ResponseWriter that keeps the answer.
type recorded struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorded) Header() http.Header         { return w.header }
func (w *recorded) WriteHeader(status int)      { w.status = status }
func (w *recorded) Write(b []byte) (int, error) { return w.body.Write(b) }
