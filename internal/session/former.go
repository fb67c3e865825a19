package session

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"net/http"
	"time"

	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/web"
)

// formerTTL is how long the secret from before a step-up leads to the new one: long enough to reload a page whose
// response was lost.
const formerTTL = 10 * time.Second

// renew gives the session a new secret, and remembers this browser's previous one for formerTTL. Without the browser
// cookie, or with another secret, there is nothing to remember, and a lost response signs the user out.
func (s *Sessions) renew(sess *idp.Session, r *http.Request, now time.Time) idp.Secret {
	_, old, ok := s.cookies.session(r)
	browser := s.Browser(r)
	if !ok || browser == "" || !old.Matches(sess.SecretHash) {
		secret := idp.NewSecret()
		sess.SecretHash, sess.Former = secret.Hash(), nil
		return secret
	}
	salt := rand.Text()
	secret := successor(old, salt)
	sess.Former = &idp.FormerSecret{Hash: old.Hash(), Browser: browser.Hash(), Salt: salt, Until: now.Add(formerTTL)}
	sess.SecretHash = secret.Hash()
	return secret
}

// successor derives the next secret. The salt is useless without the old secret.
func successor(old idp.Secret, salt string) idp.Secret {
	mac := hmac.New(sha256.New, []byte(old.Reveal()))
	mac.Write([]byte("stepward/session/" + salt))
	return idp.Secret(base32.StdEncoding.EncodeToString(mac.Sum(nil)[:20]))
}

// overtaken returns a *web.Again with the new secret if this browser sent the one from just before a step-up, else nil.
// The old secret itself gives no access: the browser requests the page again with the new one. A form is not repeated,
// because it would be sent twice.
func (s *Sessions) overtaken(r *http.Request, sess idp.Session, secret idp.Secret, now time.Time) error {
	f := sess.Former
	if f == nil || !now.Before(f.Until) || !secret.Matches(f.Hash) || !s.Browser(r).Matches(f.Browser) {
		return nil
	}
	next := successor(secret, f.Salt)
	if r.Method != http.MethodGet || !next.Matches(sess.SecretHash) || !s.live(sess, now) {
		return nil
	}
	return &web.Again{Cookie: s.cookies.of(sessionCookie, sess.ID+"."+next.Reveal(), 0)}
}
