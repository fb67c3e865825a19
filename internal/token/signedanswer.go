package token

import (
	"cmp"
	"context"
	"fmt"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/stepward/stepward/internal/access"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
	"github.com/stepward/stepward/internal/web"
)

// Signed responses let the caller prove later what was answered.
const mediaIntrospection = "application/" + keys.TypeIntrospection

// signedUserInfo holds the userinfo claims for a client that registered for signed responses (OIDC Core §5.3.2). It
// has no exp, so it never passes for an ID token (VerifyHint).
type signedUserInfo struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	userInfo
}

// writeSignedUserInfo writes the userinfo response as a JWT.
func (s *Service) writeSignedUserInfo(
	ctx context.Context, w http.ResponseWriter, c idp.Client, info userInfo, more map[string]any,
) error {
	signer, err := s.cfg.Keys.Signer(ctx, c.UserInfoAlg)
	if err != nil {
		return fmt.Errorf("key for userinfo: %w", err)
	}
	text, err := signer.Sign(keys.TypeIDToken, access.Extend(signedUserInfo{s.cfg.Catalog.Issuer, c.ID, info}, more))
	if err != nil {
		return fmt.Errorf("userinfo: %w", err)
	}
	w.Header().Set("Content-Type", "application/jwt")
	_, _ = w.Write([]byte(text)) // the client may be gone
	return nil
}

// introspectionClaims is a signed introspection response (RFC 9701 §5). The token's audience is inside; aud is the
// client that asked, so another client cannot use the response. It has no sub or exp, so it never passes for a token.
type introspectionClaims struct {
	Issuer   string `json:"iss"`
	Audience string `json:"aud"`
	Issued   int64  `json:"iat"`
	Answer   any    `json:"token_introspection"`
}

// writeIntrospection writes an introspection response as JSON, or as a JWT if the client accepts that (RFC 9701 §4).
func (s *Service) writeIntrospection(w http.ResponseWriter, r *http.Request, c idp.Client, answer any) error {
	w.Header().Add("Vary", "Accept")
	if !accepts(r.Header.Values("Accept"), mediaIntrospection) {
		return web.WriteJSON(w, http.StatusOK, answer)
	}
	signer, err := s.cfg.Keys.Signer(r.Context(), cmp.Or(c.IntrospectionAlg, keys.RS256)) // RFC 9701 §6: the default
	if err != nil {
		return fmt.Errorf("key for introspection: %w", err)
	}
	text, err := signer.Sign(
		keys.TypeIntrospection, introspectionClaims{s.cfg.Catalog.Issuer, c.ID, time.Now().Unix(), answer},
	)
	if err != nil {
		return fmt.Errorf("introspection response: %w", err)
	}
	w.Header().Set("Content-Type", mediaIntrospection)
	_, _ = w.Write([]byte(text)) // the client may be gone
	return nil
}

// accepts reports whether Accept headers name a media type explicitly and do not exclude it (RFC 9110 §12.5.1).
func accepts(headers []string, media string) bool {
	for entry := range strings.SplitSeq(strings.Join(headers, ","), ",") {
		t, params, err := mime.ParseMediaType(entry)
		if err != nil || t != media {
			continue
		}
		q, err := strconv.ParseFloat(cmp.Or(params["q"], "1"), 64)
		return err == nil && q > 0
	}
	return false
}
