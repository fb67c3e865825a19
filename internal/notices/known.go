package notices

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"
	"time"
)

const (
	knownFor   = 400 * 24 * time.Hour // as long as browsers keep a cookie at most
	knownUsers = 8                    // in one browser; the longest unseen is forgotten
	newPasskey = 15 * time.Minute     // an enrolment lasts no longer
)

// mark is what the cookie holds about a user. It says nothing without the key, and nobody else can make it.
func (s *Service) mark(userID string) string {
	mac := hmac.New(sha256.New, s.cfg.Key)
	mac.Write([]byte("stepward/known-browser\x00" + userID))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil)[:12])
}

func (s *Service) cookie(value string) *http.Cookie {
	c := &http.Cookie{
		Name: "__Host-stepward-known", Value: value, Path: "/", MaxAge: int(knownFor / time.Second),
		Secure: true, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	}
	if s.cfg.Insecure {
		c.Name, c.Secure = "stepward-known", false
	}
	return c
}

// marks returns the marks in the cookie of this browser. Two cookies of this name count as none: one may be planted.
func (s *Service) marks(r *http.Request) []string {
	all := r.CookiesNamed(s.cookie("").Name)
	if len(all) != 1 || len(all[0].Value) > 256 {
		return nil
	}
	return strings.Split(all[0].Value, ".")
}

// known reports whether the user has signed in in this browser before.
func (s *Service) known(r *http.Request, userID string) bool {
	found, want := false, s.mark(userID)
	for _, mark := range s.marks(r) {
		found = hmac.Equal([]byte(mark), []byte(want)) || found
	}
	return found
}

func (s *Service) remember(w http.ResponseWriter, r *http.Request, userID string) {
	mark := s.mark(userID)
	marks := slices.DeleteFunc(s.marks(r), func(m string) bool { return m == mark || len(m) != len(mark) })
	marks = append([]string{mark}, marks...)
	http.SetCookie(w, s.cookie(strings.Join(marks[:min(len(marks), knownUsers)], ".")))
}
