package authorize

import (
	"context"
	"fmt"
	"net/url"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/keys"
)

// ResponseModes are query and form_post, and both with the answer in a JWT (JARM §2.3); jwt alone is query.jwt, the default of
// response_type=code. There is no fragment mode: nothing but codes comes from the authorization endpoint.
var ResponseModes = []string{"query", "form_post", "jwt", "query.jwt", "form_post.jwt"}

// responseLife is how long a signed answer holds: longer than a code, and well below what JARM §2.1 allows (10 minutes).
const responseLife = 5 * time.Minute

// signedAnswer puts the parameters of an authorization response, an error too, into a JWT that says for whom it is (JARM §2.1).
// Its typ is JWT, because existing clients take no other; it never passes for an ID token, having no sub.
func (s *Service) signedAnswer(ctx context.Context, req idp.Request, params url.Values) (url.Values, error) {
	signer, err := s.cfg.Keys.Signer(ctx, req.ResponseAlg)
	if err != nil {
		return nil, fmt.Errorf("key for authorization response: %w", err)
	}
	claims := map[string]any{"aud": req.ClientID, "exp": time.Now().Add(responseLife).Unix()}
	for name := range params { // iss is among them
		claims[name] = params.Get(name)
	}
	text, err := signer.Sign(keys.TypeIDToken, claims)
	if err != nil {
		return nil, fmt.Errorf("authorization response: %w", err)
	}
	return url.Values{"response": {text}}, nil
}
