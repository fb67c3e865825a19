package provider

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"runtime"
	"strings"

	"github.com/zitadel/oidc/v3/pkg/oidc"
	"github.com/zitadel/oidc/v3/pkg/op"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/token"
	"github.com/stepward/stepward/internal/web"
)

// This file is the only one that uses zitadel/oidc. The library routes and parses the token, userinfo and revocation
// endpoints, and its own checks are a second opinion. Every decision is ours:
//
//	Door ──▶ throughLibrary ──▶ library: routing, parsing, checks ──▶ libraryCall.CodeExchange, … ──▶ token.ExchangeCode
//	             ▲                        └── its error ──▶ held ──┐                   │
//	             └── *oauth.Error, or our response ◀──────────────┴───────────────────┘
//
// A libraryCall carries one request through the library, which passes on neither the connection nor the response. Each
// has its own router and serves one request at a time (sync.Pool), so nothing travels in a context.
type libraryCall struct {
	op.UnimplementedServer // methods that we do not override stay disabled, whatever an update of the library adds
	p                      *Provider
	router                 http.Handler

	call   *oauth.Call
	client idp.Client
	answer func(w http.ResponseWriter, r *http.Request) error // nil: the library rejected the request
	err    error                                              // our own error
}

func (p *Provider) newLibraryCall() *libraryCall {
	l := &libraryCall{p: p}
	l.router = op.RegisterServer(l, op.Endpoints{
		Token:      op.NewEndpoint(oauth.PathToken),
		Userinfo:   op.NewEndpoint(oauth.PathUserInfo),
		Revocation: op.NewEndpoint(oauth.PathRevoke),
	}, op.WithServerCORSOptions(nil))
	return l
}

// throughLibrary answers a call with the help of the library.
func (p *Provider) throughLibrary(w http.ResponseWriter, r *http.Request, call *oauth.Call) error {
	l := p.libraryCalls.Get().(*libraryCall)
	l.call, l.client, l.answer, l.err = call, idp.Client{}, nil, nil
	library := held{header: http.Header{}}
	in := r
	if call.Sender.Scheme == "dpop" { // the library knows only bearer; the call has the real scheme
		in = r.Clone(r.Context())
		in.Header.Set("Authorization", "Bearer"+r.Header.Get("Authorization")[len(call.Sender.Scheme):])
	}
	l.router.ServeHTTP(&library, in)
	answer, err := l.answer, l.err
	l.call, l.answer = nil, nil
	p.libraryCalls.Put(l)
	switch {
	case err != nil:
		return err
	case answer != nil:
		return answer(w, r)
	default:
		return library.refusal()
	}
}

// refused keeps our error for throughLibrary. The library's version of it is never sent.
func (l *libraryCall) refused(err error) error {
	l.err = err
	return oidc.ErrInvalidRequest()
}

// VerifyClient authenticates the client.
func (l *libraryCall) VerifyClient(ctx context.Context, _ *op.Request[op.ClientCredentials]) (op.Client, error) {
	c, err := l.p.clients.Authenticate(ctx, l.call)
	if err != nil {
		return nil, l.refused(err)
	}
	l.client = c
	return libraryClient{registered: &l.client}, nil
}

type grant func(ctx context.Context, r *token.Request) (*token.Response, error)

func (l *libraryCall) issue(ctx context.Context, redeem grant) (*op.Response, error) {
	resp, err := redeem(ctx, &token.Request{Call: l.call, Client: l.client})
	if err != nil {
		return nil, l.refused(err)
	}
	web.Note(ctx, slog.String("grant", l.call.Form.Get("grant_type"))) // it has led here, so it is one of ours
	l.answer = func(w http.ResponseWriter, _ *http.Request) error { return web.WriteJSON(w, http.StatusOK, resp) }
	return op.NewResponse(nil), nil
}

// CodeExchange is the authorization_code grant.
func (l *libraryCall) CodeExchange(
	ctx context.Context, _ *op.ClientRequest[oidc.AccessTokenRequest],
) (*op.Response, error) {
	return l.issue(ctx, l.p.tokens.ExchangeCode)
}

// RefreshToken is the refresh_token grant.
func (l *libraryCall) RefreshToken(
	ctx context.Context, _ *op.ClientRequest[oidc.RefreshTokenRequest],
) (*op.Response, error) {
	return l.issue(ctx, l.p.tokens.Refresh)
}

// ClientCredentialsExchange is the client_credentials grant.
func (l *libraryCall) ClientCredentialsExchange(
	ctx context.Context, _ *op.ClientRequest[oidc.ClientCredentialsRequest],
) (*op.Response, error) {
	return l.issue(ctx, l.p.tokens.ClientCredentials)
}

// TokenExchange is the token-exchange grant.
func (l *libraryCall) TokenExchange(
	ctx context.Context, _ *op.ClientRequest[oidc.TokenExchangeRequest],
) (*op.Response, error) {
	return l.issue(ctx, l.p.tokens.Exchange)
}

// DeviceToken is the device_code grant.
func (l *libraryCall) DeviceToken(
	ctx context.Context, _ *op.ClientRequest[oidc.DeviceAccessTokenRequest],
) (*op.Response, error) {
	return l.issue(ctx, l.p.devices.Redeem)
}

// Revocation is the revocation endpoint.
func (l *libraryCall) Revocation(
	ctx context.Context, _ *op.ClientRequest[oidc.RevocationRequest],
) (*op.Response, error) {
	if err := l.p.tokens.Revoke(ctx, &token.Request{Call: l.call, Client: l.client}); err != nil {
		return nil, l.refused(err)
	}
	l.answer = func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	return op.NewResponse(nil), nil
}

// UserInfo is the userinfo endpoint.
func (l *libraryCall) UserInfo(_ context.Context, r *op.Request[oidc.UserInfoRequest]) (*op.Response, error) {
	call, token := l.call, r.Data.AccessToken
	l.answer = func(w http.ResponseWriter, r *http.Request) error { return l.p.tokens.UserInfo(w, r, call, token) }
	return op.NewResponse(nil), nil
}

// libraryClient gives the library the three properties of a client that it needs. The embedded interface is nil: only
// unused parts of the library call the rest.
type libraryClient struct {
	op.Client
	registered *idp.Client
}

func (c libraryClient) GetID() string               { return c.registered.ID }
func (c libraryClient) AuthMethod() oidc.AuthMethod { return oidc.AuthMethod(c.registered.AuthMethod) }

func (c libraryClient) GrantTypes() []oidc.GrantType {
	out := make([]oidc.GrantType, len(c.registered.GrantTypes))
	for i, g := range c.registered.GrantTypes {
		out[i] = oidc.GrantType(g)
	}
	return out
}

// DropLibraryRecords returns a log handler that drops the library's records. It writes to the default logger, including
// redirect URIs with their state. We log the same requests ourselves.
func DropLibraryRecords(next slog.Handler) slog.Handler { return libraryFilter{next} }

type libraryFilter struct{ slog.Handler }

// Handle implements slog.Handler.
func (f libraryFilter) Handle(ctx context.Context, record slog.Record) error {
	frame, _ := runtime.CallersFrames([]uintptr{record.PC}).Next()
	if strings.HasPrefix(frame.Function, "github.com/zitadel/oidc/") {
		return nil
	}
	return f.Handler.Handle(ctx, record)
}

// WithAttrs implements slog.Handler.
func (f libraryFilter) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraryFilter{f.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (f libraryFilter) WithGroup(name string) slog.Handler {
	return libraryFilter{f.Handler.WithGroup(name)}
}

// held records the library's response.
type held struct {
	header http.Header
	body   bytes.Buffer
	status int
}

// Header implements http.ResponseWriter.
func (h *held) Header() http.Header { return h.header }

// WriteHeader implements http.ResponseWriter.
func (h *held) WriteHeader(status int) { h.status = status }

// Write implements http.ResponseWriter.
func (h *held) Write(b []byte) (int, error) { return h.body.Write(b) }

// refusal converts the library's error response to our error. The library sets no headers and not always the right
// status, and may describe a server_error with internal text.
func (h *held) refusal() error {
	bad := &oauth.Error{Status: h.status}
	if err := json.Unmarshal(h.body.Bytes(), bad); err != nil || bad.Code == "" || bad.Code == "server_error" {
		return (&oauth.Error{Code: "server_error"}).With(http.StatusInternalServerError)
	}
	if bad.Code == "invalid_client" {
		return oauth.InvalidClient()
	}
	return bad
}
