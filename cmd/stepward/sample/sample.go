// Package sample is Acme Bank, the relying party of `stepward demo`.
package sample

import (
	"errors"
	"net/http"
)

// Paths and names to register the client with.
const (
	CallbackPath  = "/callback"   // redirect_uri is BaseURL + CallbackPath
	SignedOutPath = "/signed-out" // post_logout_redirect_uri is BaseURL + SignedOutPath
	APIPath       = "/api"        // the API's identifier, and so the audience of access tokens, is BaseURL + APIPath
	ScopePayouts  = "payouts"     // the scope with an action class whose window is PayoutWindow
)

// Config names the provider and where the sample itself is reached.
type Config struct {
	Issuer       string
	ClientID     string
	ClientSecret string // client_secret_basic; empty: a public client
	BaseURL      string // own origin, "http://localhost:8090", without a trailing slash
	MailURL      string // page with the mail that the provider sent; empty: no link to it
	// Audience is the API's identifier, which must be among the aud of access tokens; empty: BaseURL + APIPath.
	Audience string
	// Client sends what goes to the provider and to the own API; nil: one with a timeout of 10 seconds.
	Client *http.Client
}

// New returns the application. It does not contact the provider before the first request that needs it.
func New(c Config) (http.Handler, error) {
	if c.Issuer == "" || c.ClientID == "" || c.BaseURL == "" {
		return nil, errors.New("sample: issuer, client id and base URL are needed")
	}
	return http.NotFoundHandler(), nil
}
