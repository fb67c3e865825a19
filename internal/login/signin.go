package login

import (
	"net/http"
	"net/url"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/passkey"
)

// pageCeremonyAge is the greatest age at which a page still offers the interaction's own sign-in. After that it begins
// a new one.
const pageCeremonyAge = passkey.CeremonyTTL / 2

// A signIn is the data of signin.html.
type signIn struct {
	screen
	Ceremony, Options string // empty: the page begins its own
	Email             string // login_hint
	SignUpURL         string // empty: not offered
}

// showSignIn needs no read: challenge and hint are in the interaction.
func (l *Login) showSignIn(w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	i := v.interaction
	d := signIn{screen: screenOf(v, f)}
	if i.Ceremony != "" && f.Now.Sub(i.CreatedAt) < pageCeremonyAge {
		d.Ceremony, d.Options = i.Ceremony, string(l.cfg.Ceremonies.SignInOptions(i.Challenge))
	}
	if email, ok := directory.NormalizeEmail(i.Request.LoginHint); ok {
		d.Email = email
	}
	if l.cfg.SignUp && i.Request.HintedUser == "" {
		d.SignUpURL = "/signup?i=" + url.QueryEscape(i.ID)
	}
	return l.cfg.Shell.Render(w, r, l.pages, "signin", newPage(v, f, "login", d))
}
