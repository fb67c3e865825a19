package oauth

// Paths of the endpoints, below the issuer.
const (
	PathAuthorize   = "/oauth2/authorize"
	PathPAR         = "/oauth2/par"
	PathToken       = "/oauth2/token"
	PathUserInfo    = "/oauth2/userinfo"
	PathJWKS        = "/oauth2/jwks"
	PathIntrospect  = "/oauth2/introspect"
	PathRevoke      = "/oauth2/revoke"
	PathRegister    = "/oauth2/register"
	PathEndSession  = "/oauth2/end_session"
	PathFormPostJS  = "/oauth2/form_post.js"
	PathLoggedOutJS = "/oauth2/logged_out.js"
	PathLogout      = "/logout"
	PathLoggedOut   = "/logged-out"

	PathDeviceAuthorization = "/oauth2/device_authorization"
	PathDevice              = "/device"
	PathDeviceConnected     = "/device/connected"
	PathDeviceRefused       = "/device/refused"

	// PathResource is the well-known path for metadata of protected resources (RFC 9728 §3.1). The issuer is described
	// there, userinfo with its path appended.
	PathResource = "/.well-known/oauth-protected-resource"
)
