package server

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/store/registry"
	"github.com/stepward/stepward/internal/web"
)

// everyday are errors that belong to how a working client works: nothing for its admin to mend.
var everyday = []string{
	"access_denied", "account_selection_required", "authorization_pending", "consent_required", "expired_token",
	"interaction_required", "login_required", "server_error", "slow_down", "temporarily_unavailable",
	"unmet_authentication_requirements", "use_dpop_nonce",
}

// noteUsage records what a request says about the client that made it. The record of a request names the client as soon
// as it is known.
func noteUsage(used *registry.Recorder, a web.Answer) {
	said := func(key string) string {
		i := slices.IndexFunc(a.Attrs, func(attr slog.Attr) bool {
			return attr.Key == key && attr.Value.Kind() == slog.KindString
		})
		if i < 0 {
			return ""
		}
		return a.Attrs[i].Value.String()
	}
	client, code, grant := said("client"), said("oauth_error"), said("grant")
	if client == "" {
		return
	}
	now := time.Now()
	if secret := said("client_secret"); secret != "" {
		used.UsedSecret(client, secret, now)
	}
	switch {
	case said("redirect_uri_sent") != "" && code == "" && a.Status == http.StatusBadRequest:
		used.Failed(client, "invalid_request: redirect_uri is not registered for the client", now)
	case code != "" && !slices.Contains(everyday, code): // the log's reason says more than the answer
		used.Failed(client, code+": "+cmp.Or(said("client_refused"), said("oauth_error_description")), now)
	case code == "" && a.Status == http.StatusOK && grant != "":
		used.Tokens(client, now)
		if grant == idp.GrantAuthorizationCode || grant == idp.GrantDeviceCode {
			used.SignedIn(client, now)
		}
	}
}

// passOn is a web.Config.Answered: usage of clients is always recorded, the rest if configured.
func (s *Server) passOn(used *registry.Recorder) func(context.Context, web.Answer) {
	observed := s.answered()
	return func(ctx context.Context, a web.Answer) {
		noteUsage(used, a)
		if observed != nil {
			observed(ctx, a)
		}
	}
}
