package token

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"log/slog"
	"time"

	"github.com/stepward/stepward/internal/ephemeral"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/oauth"
	"github.com/stepward/stepward/internal/web"
)

// ExchangeCode is the authorization_code grant (RFC 6749 §4.1.3). It takes the code first: if anything else is wrong
// with the request, the code cannot be used again. If only the database fails, it can.
func (s *Service) ExchangeCode(ctx context.Context, r *Request) (*Response, error) {
	c, now := r.Client, time.Now()
	w, err := s.ReadNarrowing(c, r.Form)
	if err != nil {
		return nil, err
	}
	code := idp.Secret(r.Form.Get("code"))
	// The mark tells a code that is used a second time from one that never existed.
	mark := &ephemeral.Op{Verb: ephemeral.Claim, Key: "code-used:" + code.Hash(), Value: []byte("1"), TTL: codeTTL}
	take := s.codes.TakeOp(code.Hash())
	is, err := s.Prepare(ctx, r, now, mark, take)
	if err != nil {
		return nil, err
	}
	is.Narrowing = w
	a, err := s.codes.Decode(take)
	switch {
	case err != nil && !errors.Is(err, idp.ErrNotFound):
		return nil, oauth.Broken(ctx, "take code", err)
	case !mark.Found: // even if the code is there: a concurrent request marked it first
		return nil, s.AnswerReused(ctx, c, code, now)
	case err != nil:
		return nil, s.AnswerUnknown(ctx, c, code, now)
	}
	switch {
	case a.ClientID != c.ID, a.RedirectURI != r.Form.Get("redirect_uri"):
		web.Note(ctx, oauth.SentURI("redirect_uri_sent", r.Form.Get("redirect_uri")))
		return nil, oauth.InvalidGrant("the code was issued to another client or for another redirect_uri")
	case !verifierMatches(a.CodeChallenge, r.Form.Get("code_verifier"), c.NeedsPKCE()):
		return nil, oauth.InvalidGrant("code_verifier does not match code_challenge")
	}
	resp, err := s.StoreFamily(ctx, is, a, code)
	if errors.Is(err, ErrAlreadyStored) { // the store fell back to an older state and returned a spent code
		return nil, s.AnswerReused(ctx, c, code, now)
	}
	if MayBeStored(ctx, err) {
		s.putBack(ctx, code, a)
	}
	return resp, err
}

// MayBeStored reports whether an error of StoreFamily leaves open whether the grant was stored: the database did not
// answer, or the request was cancelled.
func MayBeStored(ctx context.Context, err error) bool {
	bad, ok := errors.AsType[*oauth.Error](err)
	return ok && bad.Code == "temporarily_unavailable" || err != nil && ctx.Err() != nil
}

// putBack stores a code again whose exchange failed through no fault of the request. The code keeps its expiry. If the
// tokens were stored and only the response of the database was lost, the ID of their family follows from the code
// (decision 0008), so the next exchange conflicts with it: at most one succeeds.
func (s *Service) putBack(ctx context.Context, code idp.Secret, a Authorization) {
	left := time.Until(a.ExpiresAt)
	if left < time.Millisecond {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second) // the exchange was cancelled, not this
	defer cancel()
	put, err := s.codes.PutOp(code.Hash(), a, left)
	if err == nil {
		unmark := &ephemeral.Op{Verb: ephemeral.Delete, Key: "code-used:" + code.Hash()}
		err = s.cfg.Ephemeral.Do(ctx, unmark, put)
	}
	if err != nil {
		web.Note(ctx, slog.String("code_not_put_back", err.Error()))
	}
}

// verifierMatches reports whether the verifier matches the challenge (RFC 7636 §4.6). A challenge is never waived. A
// verifier without a challenge is rejected: somebody may have removed the challenge from the request (RFC 9700
// §4.8.2).
func verifierMatches(challenge, verifier string, needed bool) bool {
	if challenge == "" {
		return verifier == "" && !needed
	}
	if len(verifier) < 43 || len(verifier) > 128 {
		return false
	}
	sum := sha256.Sum256([]byte(verifier))
	return subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) == 1
}
