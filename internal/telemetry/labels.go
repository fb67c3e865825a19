package telemetry

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/stepward/stepward/internal/idp"
)

const other = "other"

// names are the values of a label. Those that the code has are learnt as they come, up to a limit that no correct
// program reaches: if a mistake ever lets a stranger's text through, it costs that many series and no more.
type names struct {
	most  int64
	known sync.Map // string → struct{}
	n     atomic.Int64
}

func newNames(most int64) *names { return &names{most: most} }

// fixed returns names that learn nothing.
func fixed(values ...string) *names {
	n := newNames(0)
	for _, v := range values {
		n.known.Store(v, struct{}{})
	}
	return n
}

// label returns v, or "other" if there are too many.
func (n *names) label(v string) string {
	if _, ok := n.known.Load(v); ok {
		return v
	}
	if n.n.Add(1) > n.most {
		n.n.Add(-1)
		return other
	}
	if _, raced := n.known.LoadOrStore(v, struct{}{}); raced {
		n.n.Add(-1)
	}
	return v
}

// oneOf returns v if it is one of the values.
func oneOf(v string, values []string) string {
	if slices.Contains(values, v) {
		return v
	}
	return other
}

func method(v string) string     { return oneOf(v, methods) }
func grant(v string) string      { return oneOf(v, grants) }
func purpose(v string) string    { return oneOf(v, purposes) }
func oauthError(v string) string { return oneOf(v, oauthErrors) }

// The values of labels that come from requests: everything else is "other".
var (
	methods  = []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
	grants   = idp.GrantTypes
	purposes = []string{string(idp.PurposeSignIn), string(idp.PurposeStepUp), string(idp.PurposeRegister)}
	// oauthErrors are those that Stepward sends.
	oauthErrors = []string{
		"access_denied", "account_selection_required", "authorization_pending", "consent_required", "expired_token",
		"insufficient_scope", "insufficient_user_authentication", "interaction_required", "invalid_authorization_details",
		"invalid_client", "invalid_client_metadata", "invalid_dpop_proof", "invalid_grant", "invalid_redirect_uri",
		"invalid_request", "invalid_request_object", "invalid_request_uri", "invalid_scope", "invalid_software_statement",
		"invalid_target", "invalid_token", "login_required", "registration_not_supported", "request_not_supported",
		"request_uri_not_supported", "server_error", "slow_down", "temporarily_unavailable", "unapproved_software_statement",
		"unauthorized_client", "unmet_authentication_requirements", "unsupported_grant_type", "unsupported_response_type",
		"unsupported_token_type", "use_dpop_nonce",
	}
)
