package authorize

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
)

// ResponseModes are query and form_post, each with or without a JWT around the response (JARM §2.3). jwt alone means
// query.jwt, the default for response_type=code. There is no fragment mode, because the authorization endpoint issues
// nothing but codes.
var ResponseModes = []string{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"}

// responseLife is the lifetime of a signed response: longer than a code, and well below the limit of JARM §2.1 (10
// minutes).
const responseLife = 5 * time.Minute

// signedAnswer puts the parameters of an authorization response, or of an error, into a JWT whose audience is the
// client (JARM §2.1). Its typ is JWT, because existing clients accept no other. It has no sub, so it never passes for
// an ID token.
func (s *Service) signedAnswer(ctx context.Context, req idp.Request, params url.Values) (url.Values, error) {
	signer, err := s.cfg.Keys.Signer(ctx, req.ResponseAlg)
	if err != nil {
		return nil, fmt.Errorf("key for authorization response: %w", err)
	}
	claims := map[string]any{"aud": req.ClientID, "exp": time.Now().Add(responseLife).Unix()}
	for name := range params { // including iss
		claims[name] = params.Get(name)
	}
	text, err := signer.Sign(keys.TypeIDToken, claims)
	if err != nil {
		return nil, fmt.Errorf("authorization response: %w", err)
	}
	return url.Values{"response": {text}}, nil
}
