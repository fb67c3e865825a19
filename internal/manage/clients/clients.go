// Package clients has the operator's commands for client applications.
package clients

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/duration"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/manage"
	"github.com/stepward/stepward/pkg/adminapi"
)

type Client struct {
	Add     clientAddCmd     `cmd:"" help:"Register a client. Prints its secret once, if it has one."`
	List    clientListCmd    `cmd:"" help:"List the clients."`
	Show    clientShowCmd    `cmd:"" help:"Show a client as JSON, whatever --output says, without its secrets."`
	Set     clientSetCmd     `cmd:"" help:"Change a client: replace it with JSON as printed by show, from a file or standard input."`
	Disable clientDisableCmd `cmd:"" help:"Disable a client: it is rejected everywhere, and its tokens are revoked."`
	Enable  clientEnableCmd  `cmd:"" help:"Enable a disabled client."`
	Token   clientTokenCmd   `cmd:"" help:"Create a token for applications that register themselves. Prints it once. Works on the store alone, without --api: it would hand out registrations."`
	Remove  clientRemoveCmd  `cmd:"" help:"Remove a client and revoke its tokens."`
}

type clientAddCmd struct {
	Name         string        `arg:"" help:"Name to show to people: \"Acme Bank\"."`
	RedirectURI  []string      `sep:"none" name:"redirect-uri" placeholder:"URI" help:"Exact URI the browser may return to. Repeat for several."`
	PostLogout   []string      `sep:"none" name:"post-logout-redirect-uri" placeholder:"URI" help:"URI the browser may go to after sign-out."`
	BackLogout   string        `name:"backchannel-logout-uri" placeholder:"URI" help:"URI to notify when a session ends (OpenID Connect Back-Channel Logout)."`
	FrontLogout  string        `name:"frontchannel-logout-uri" placeholder:"URI" help:"The same through the browser, on the signed-out page (Front-Channel Logout)."`
	ID           string        `name:"id" help:"Client ID. Default: a new one."`
	Public       bool          `help:"For clients that cannot keep a secret: browser and native applications."`
	Native       bool          `help:"For native applications: loopback redirects on any port, private-use schemes (RFC 8252)."`
	Auth         string        `enum:",client_secret_basic,client_secret_post" default:"" placeholder:"METHOD" help:"Only way the client may send its secret: client_secret_basic or client_secret_post. Default: either."`
	JWKSFile     string        `name:"jwks-file" placeholder:"FILE" help:"Public keys of the client, a JWK set. It then authenticates with private_key_jwt and has no secret."`
	JWKSURI      string        `name:"jwks-uri" placeholder:"URI" help:"URI where the client publishes its public keys, instead of --jwks-file."`
	AuthAlg      string        `name:"auth-alg" enum:",ES256,EdDSA,PS256,RS256" default:"" placeholder:"ALG" help:"Only algorithm allowed for its assertions, for --jwks-file and --jwks-uri. Default: any that fits its keys."`
	Policy       string        `enum:"standard,compatible,fapi2" default:"standard" help:"standard requires PKCE; compatible lets old confidential clients omit it; fapi2 is the FAPI 2.0 Security Profile."`
	RequirePAR   bool          `name:"require-par" help:"Require pushed authorization requests (RFC 9126)."`
	SignRequests bool          `name:"require-signed-request" help:"Require signed authorization requests (RFC 9101)."`
	RequestAlg   string        `name:"request-object-alg" enum:",ES256,EdDSA,PS256,RS256" default:"" placeholder:"ALG" help:"Only algorithm allowed for its signed requests. Default: any that fits its keys."`
	RequestURI   []string      `sep:"none" name:"request-uri" placeholder:"URI" help:"Exact URI a signed request may be fetched from. Repeat for several."`
	ResponseAlg  string        `name:"response-alg" enum:"ES256,EdDSA,PS256,RS256" default:"ES256" help:"Algorithm of signed authorization responses (JARM): ${enum}."`
	DPoPBound    bool          `name:"dpop-bound" help:"Require a DPoP proof on token requests, so that all access tokens are bound to a key (RFC 9449)."`
	Scope        []string      `sep:"none" help:"Scopes the client may request. Default: openid profile email offline_access."`
	Grant        []string      `sep:"none" enum:"client_credentials,device_code,token_exchange" placeholder:"GRANT" help:"client_credentials: tokens in its own name, without a user. device_code: for devices without a browser, which show a code (RFC 8628). token_exchange: for APIs that call other APIs for their user (RFC 8693). Without --redirect-uri the client gets only these grants."`
	NoRefresh    bool          `help:"Issue no refresh tokens."`
	FirstParty   bool          `help:"For your own applications: people are not asked for consent."`
	Audience     []string      `sep:"none" help:"Audience of its access tokens: the API they are for. Default: the issuer."`
	Resource     bool          `name:"resource-server" help:"For APIs that introspect their tokens."`
	Pairwise     bool          `help:"Give the client its own sub for each user, which no client on another host sees."`
	Target       []string      `sep:"none" name:"resource" placeholder:"URI" help:"Registered resources the client may request tokens for (RFC 8707). Default: all."`
	Serves       []string      `sep:"none" placeholder:"URI" help:"Registered resources that this API serves, for --resource-server. It may introspect tokens for them."`
	Details      []string      `sep:"none" name:"authorization-details-type" placeholder:"TYPE" help:"Types of authorization_details the client may request (RFC 9396). Default: none."`
	SectorURI    string        `name:"sector-identifier-uri" placeholder:"URI" help:"URI of the list of redirect URIs of its sector, for --pairwise on several hosts."`
	InitiateURI  string        `name:"initiate-login-uri" placeholder:"URI" help:"URI where other sites may send people who want to sign in to the client."`
	MinimumACR   string        `name:"minimum-acr" placeholder:"ACR" help:"Minimum acr of its users: phr, phrh or an alias."`
	DefaultACR   []string      `sep:"none" name:"default-acr" placeholder:"ACR" help:"acr values for requests that name none."`
	MaxAge       time.Duration `name:"default-max-age" placeholder:"DURATION" help:"Maximum age of an authentication for requests that name none."`
	IDTokenAlg   string        `name:"id-token-alg" enum:",ES256,EdDSA,PS256,RS256" default:"" placeholder:"ALG" help:"Algorithm of ID tokens: ES256, EdDSA, PS256 or RS256. Default: RS256, which all software knows; ES256 with --policy fapi2."`
	IDClaims     []string      `name:"id-token-claims" sep:"," placeholder:"SCOPE,…" help:"Scopes whose claims go into ID tokens too: profile, email, address, phone, groups. For software that never asks userinfo. Default: none."`
	UserInfoAlg  string        `name:"userinfo-alg" enum:",ES256,EdDSA,PS256,RS256" default:"" placeholder:"ALG" help:"Algorithm of signed userinfo responses. Default: plain JSON."`
	InspectAlg   string        `name:"introspection-alg" enum:",ES256,EdDSA,PS256,RS256" default:"" placeholder:"ALG" help:"Algorithm of signed introspection responses (RFC 9701). Default: RS256."`
	Allowed      []string      `name:"allowed-groups" sep:"," placeholder:"GROUP,…" help:"Groups whose members may use the client. Default: everyone may."`
	GroupsName   string        `name:"groups-claim" placeholder:"NAME" help:"Name of the claim with the groups, for the scope groups. Default: groups."`
	GroupsPrefix string        `name:"groups-prefix" placeholder:"TEXT" help:"Text before the name of each group in the claim."`
	GroupsOnly   []string      `name:"groups-only" sep:"," placeholder:"GROUP,…" help:"Groups that the client sees. Default: all."`
	GroupsAs     string        `name:"groups-as" enum:"names,objects" default:"names" help:"names, or objects with id and name."`
	Contact      []string      `sep:"none" placeholder:"ADDRESS" help:"Whom to ask about the client. People who may not use it are told."`
	AccessFormat string        `name:"access-token" enum:"jwt,opaque" default:"jwt" help:"Format of access tokens: ${enum}."`
	PolicyURI    string        `name:"policy-uri" placeholder:"URI" help:"Its privacy policy, linked on the sign-in and consent pages."`
	TOSURI       string        `name:"tos-uri" placeholder:"URI" help:"Its terms of service, likewise."`
	LogoURI      string        `name:"logo-uri" placeholder:"URI" help:"Logo for the sign-in and consent pages."`
	URI          string        `name:"uri" placeholder:"URI" help:"Home page."`
	Old          bool          `name:"json" hidden:"" help:"The same as --output json."`
	clientTLS
	manage.Flags
}

func (c *clientAddCmd) Run(e *manage.Env) error {
	if c.Old {
		c.Output.Output = "json"
	}
	registered, err := c.client()
	if err != nil {
		return err
	}
	for _, scope := range c.Scope {
		if strings.ContainsAny(scope, ", ") {
			return fmt.Errorf("--scope %q: give each scope its own --scope", scope)
		}
	}
	return c.Flags.Run(e, manage.Writes, "this client cannot be registered", func(api *manage.API) error {
		made, err := api.Clients.Create(api.Context, registered)
		if err != nil {
			return err
		}
		return c.Print(added{Issuer: api.Issuer, MadeClient: made}, func(t manage.Text) {
			t.Line("issuer         %s\nclient_id      %s", api.Issuer, made.ID)
			if made.Value != "" {
				t.Line("client_secret  %s\n\nThe secret is shown only once. Only its hash is stored.", made.Value)
			}
		})
	})
}

// added is a new client as JSON.
type added struct {
	Issuer string `json:"issuer"`
	adminapi.MadeClient
}

// client returns the registration.
func (c *clientAddCmd) client() (adminapi.Client, error) {
	client := adminapi.Client{
		ID: c.ID, Name: c.Name, URI: c.URI, LogoURI: c.LogoURI, PolicyURI: c.PolicyURI, TOSURI: c.TOSURI,
		SectorIdentifierURI: c.SectorURI, InitiateLoginURI: c.InitiateURI,
		Policy: c.Policy, Native: c.Native, FirstParty: c.FirstParty, ResourceServer: c.Resource,
		AuthMethod: cmp.Or(c.Auth, idp.AuthMethodBasic), AuthAlg: c.AuthAlg, JWKSURI: c.JWKSURI,
		RedirectURIs: c.RedirectURI, PostLogoutRedirectURIs: c.PostLogout,
		BackchannelLogoutURI: c.BackLogout, FrontchannelLogoutURI: c.FrontLogout,
		RequirePAR: c.RequirePAR, DPoPBound: c.DPoPBound, Scopes: c.Scope, Audience: c.Audience, Resources: c.Target,
		Serves: c.Serves, DetailTypes: c.Details, MinimumACR: c.MinimumACR, DefaultACRValues: c.DefaultACR,
		RequireSignedRequest: c.SignRequests, RequestObjectAlg: c.RequestAlg, RequestURIs: c.RequestURI,
		ResponseAlg: c.ResponseAlg,
		IDTokenAlg:  c.IDTokenAlg, IDTokenClaims: c.IDClaims, UserInfoAlg: c.UserInfoAlg, IntrospectionAlg: c.InspectAlg,
		AllowedGroups: c.Allowed, Contacts: c.Contact,
		GroupsClaim: &adminapi.GroupsClaim{
			Name: c.GroupsName, Prefix: c.GroupsPrefix, Only: c.GroupsOnly, Objects: c.GroupsAs == "objects",
		},
		AccessFormat: c.AccessFormat,
	}
	if c.Pairwise {
		client.SubjectType = string(idp.SubjectPairwise)
	}
	if client.IDTokenAlg == "" { // see docs/decisions: what a beginner needs no flag for
		client.IDTokenAlg = idp.RS256
		if client.Policy == string(idp.PolicyFAPI2) {
			client.IDTokenAlg = idp.ES256
		}
	}
	client.GrantTypes = c.grantTypes()
	switch signsIn := slices.ContainsFunc(client.GrantTypes, idp.SignsIn); {
	case len(client.GrantTypes) == 0:
		client.Scopes = nil
	case signsIn && len(client.Scopes) == 0:
		client.Scopes = []string{"openid", "profile", "email", "offline_access"}
	}
	if c.MaxAge < 0 {
		return client, fmt.Errorf("--default-max-age %s must be longer than 0s", duration.Short(c.MaxAge))
	}
	if c.MaxAge > 0 {
		client.DefaultMaxAge = new(int64(c.MaxAge.Seconds()))
	}
	return client, c.authentication(&client)
}

// grantTypes returns the grant types: those of a client that signs people in, unless the flags say otherwise.
func (c *clientAddCmd) grantTypes() (grants []string) {
	if len(c.RedirectURI) > 0 || len(c.Grant) == 0 && !c.Resource {
		grants = append(grants, idp.GrantAuthorizationCode)
	}
	for _, name := range c.Grant {
		grants = append(grants, grantNames[name])
	}
	if slices.ContainsFunc(grants, idp.SignsIn) && !c.NoRefresh {
		grants = append(grants, idp.GrantRefreshToken)
	}
	return grants
}

// grantNames maps the values of --grant to grant types.
var grantNames = map[string]string{
	"client_credentials": idp.GrantClientCredentials,
	"device_code":        idp.GrantDeviceCode,
	"token_exchange":     idp.GrantTokenExchange,
}

type clientListCmd struct{ manage.Flags }

func (c clientListCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "list clients", func(api *manage.API) error {
		clients, err := manage.Collect(api.Clients.Search(api.Context, ""), 0)
		if err != nil {
			return err
		}
		if len(clients) == 0 {
			return c.Say(clients, "no clients yet; register one with: "+
				"stepward client add \"My app\" --redirect-uri https://app.example.com/callback")
		}
		return c.Print(clients, func(t manage.Text) {
			t.Line("CLIENT ID\tNAME\tPOLICY\tAUTHENTICATION\tCREATED")
			for _, c := range clients {
				policy := c.Policy
				if c.DisabledAt != nil {
					policy = "disabled"
				}
				t.Line("%s\t%s\t%s\t%s\t%s", c.ID, c.Name, policy, c.AuthMethod, manage.Day(c.CreatedAt))
			}
		})
	})
}

type clientShowCmd struct {
	ID string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c clientShowCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Reads, "load client", func(api *manage.API) error {
		client, _, err := api.Clients.Get(api.Context, c.ID)
		if err != nil {
			return unknown(c.ID, err)
		}
		return manage.PrintJSON(client)
	})
}

// unknown says where to look if an error is about a client that does not exist.
func unknown(id string, err error) error {
	if manage.Refused(err, "not_found") {
		return fmt.Errorf("there is no client with the ID %s; see: stepward client list", id)
	}
	return err
}

type clientRemoveCmd struct {
	ID string `arg:"" help:"Client ID."`
	manage.Flags
}

func (c clientRemoveCmd) Run(e *manage.Env) error {
	return c.Flags.Run(e, manage.Writes, "remove client", func(api *manage.API) error {
		if err := api.Clients.Remove(api.Context, c.ID); err != nil {
			return unknown(c.ID, err)
		}
		return c.Say(gone{c.ID, true}, "removed; running servers notice within 5 seconds")
	})
}

// gone is a removed client as JSON.
type gone struct {
	ID      string `json:"client_id"`
	Removed bool   `json:"removed"`
}
