package manage

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/stepward/stepward/internal/admin"
	"github.com/stepward/stepward/internal/config"
	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/outage"
	"github.com/stepward/stepward/pkg/adminapi"
)

// Credentials are the flags that say with which token a command works over the admin API. Secrets are no flags: others
// on the machine can read a command line.
type Credentials struct {
	Client     string `name:"api-client" placeholder:"ID" help:"Client that acts for itself over the admin API. Default: STEPWARD_CLIENT_ID. If STEPWARD_TOKEN has an access token, that one is used."`
	SecretFile string `name:"api-secret-file" placeholder:"FILE" help:"File with its secret. Default: STEPWARD_CLIENT_SECRET has the secret."`
}

// Remote are the flags of commands that can work over the admin API.
type Remote struct {
	Server string `name:"api" placeholder:"URL" help:"Work over the admin API of the server with this issuer, not on the store."`
	Credentials
}

// Flags are those of commands that work on the store or over the admin API, and print something.
type Flags struct {
	Output
	Remote
}

// OnlyOnStore returns an error if the command is to work over the API, which has nothing for it.
func (r Remote) OnlyOnStore(command string) error {
	if r.Server == "" {
		return nil
	}
	return fmt.Errorf("%s works on the store alone: run it on the server, without --api", command)
}

// patience is how long one request may take.
const patience = time.Minute

// Connect returns the admin API of the server with this issuer, which a flag gives.
func (c Credentials) Connect(e *Env, flag, issuer string) (*adminapi.API, error) {
	issuer = trimmed(issuer)
	at, err := url.Parse(issuer)
	if err != nil || at.Host == "" || at.Scheme != "https" && (at.Scheme != "http" || !loopback(at.Hostname())) {
		return nil, errors.New(flag + " must be the issuer of a server, such as https://id.example.com")
	}
	plain := &http.Client{Timeout: patience, CheckRedirect: stay}
	tokens, err := c.tokens(context.WithValue(e.ctx, oauth2.HTTPClient, plain), e, issuer)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", flag, err)
	}
	return adminapi.With(issuer, &http.Client{
		Timeout: patience, CheckRedirect: stay, Transport: &oauth2.Transport{Source: tokens},
	}), nil
}

// stay follows no redirect: it would take the token to another host.
func stay(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

func trimmed(issuer string) string { return strings.TrimSuffix(issuer, "/") }

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tokens returns the source of access tokens that the flags and the environment name.
func (c Credentials) tokens(ctx context.Context, e *Env, issuer string) (oauth2.TokenSource, error) {
	if token := e.variable("STEPWARD_TOKEN"); token != "" && c.Client == "" {
		return oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token}), nil
	}
	id, secret := c.Client, e.variable("STEPWARD_CLIENT_SECRET")
	if id == "" {
		id = e.variable("STEPWARD_CLIENT_ID")
	}
	if c.SecretFile != "" {
		text, err := os.ReadFile(c.SecretFile)
		if err != nil {
			return nil, errors.New(config.FileReason(err))
		}
		secret = strings.TrimRight(string(text), "\r\n")
	}
	if id == "" || secret == "" {
		return nil, errors.New("an access token is needed: set STEPWARD_TOKEN, or STEPWARD_CLIENT_ID and " +
			"STEPWARD_CLIENT_SECRET, or give --api-client and --api-secret-file")
	}
	asks := clientcredentials.Config{
		ClientID: id, ClientSecret: secret, TokenURL: issuer + "/oauth2/token",
		EndpointParams: url.Values{"resource": {issuer + adminapi.Path}},
	}
	return asks.TokenSource(ctx), nil
}

// variable returns a variable of the environment.
func (e *Env) variable(name string) string {
	for _, pair := range slices.Backward(e.sources.Environ) {
		if value, ok := strings.CutPrefix(pair, name+"="); ok {
			return value
		}
	}
	return ""
}

// told says what went wrong: what an operation refused, or why nothing answered.
func (f Flags) told(e *Env, what string, err error) error {
	if err == nil || e.ctx.Err() != nil {
		return errors.Join(err, e.ctx.Err())
	}
	if f.Server != "" {
		if why := unreached(err); why != nil {
			return fmt.Errorf("%s: %w", trimmed(f.Server), why)
		}
	}
	p, ok := errors.AsType[*adminapi.Problem](err)
	if !ok {
		return err
	}
	return Told(what, refusal(p))
}

// unreached says why a request got no answer, or no token; nil: it got one.
func unreached(err error) error {
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok {
		reason := strings.TrimSpace(refused.ErrorCode + " " + refused.ErrorDescription)
		if reason == "" {
			reason = refused.Response.Status + ", which is no answer of Stepward; is this the issuer?"
		}
		return fmt.Errorf("the client gets no token: %s", reason)
	}
	if p, ok := errors.AsType[*adminapi.Problem](err); ok {
		return unanswered(p)
	}
	if untrusted, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fmt.Errorf("its certificate is not accepted: %w", untrusted.Err)
	}
	if at, ok := errors.AsType[*url.Error](err); ok {
		if at.Timeout() {
			return errors.New("no answer in time")
		}
		return errors.New(outage.Reason(at.Err))
	}
	return nil
}

// unanswered says what is wrong with a token or a server; nil: the answer is about the command.
func unanswered(p *adminapi.Problem) error {
	switch {
	case p.Code == "unknown":
		return fmt.Errorf("%d %s, which is no answer of Stepward; is this the issuer?", p.Status, p.Title)
	case p.Code == "insufficient_user_authentication":
		return errors.New("the person whose token this is must confirm with a passkey: request the scope again")
	case p.Code == "insufficient_scope":
		return fmt.Errorf("not allowed: %s", p.Detail)
	case p.Status == http.StatusUnauthorized:
		return fmt.Errorf("the access token is not accepted: %s", strings.TrimSpace(p.Code+" "+p.Detail))
	case p.Status == http.StatusTooManyRequests:
		return errors.New("too many requests; try again later")
	case p.Status >= http.StatusInternalServerError:
		return fmt.Errorf("%s; its log says more about the request %s", p.Title, p.RequestID)
	}
	return nil
}

// refusal returns what a problem says as the operations say it.
func refusal(p *adminapi.Problem) error {
	if len(p.Faults) == 0 {
		if strings.HasPrefix(p.Code, "denied_") || p.Code == "last_owner" {
			return &admin.Denied{Rule: p.Code, Text: p.Detail}
		}
		return errors.New(p.Detail)
	}
	var faults directory.Faults
	for _, fault := range p.Faults {
		faults = append(faults, directory.Fault(fault))
	}
	return faults
}

// Refused reports whether an operation answered with a problem of this code: not_found, already, stale, …
func Refused(err error, code string) bool {
	p, ok := errors.AsType[*adminapi.Problem](err)
	return ok && p.Code == code
}
