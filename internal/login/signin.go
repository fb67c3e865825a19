package login

import (
	"net/http"
	"net/url"

	"github.com/stepward/stepward/internal/directory"
	"github.com/stepward/stepward/internal/idp"
	"github.com/stepward/stepward/internal/passkey"
	"github.com/stepward/stepward/internal/web"
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

// A signInKey is all that the sign-in page depends on, except the values that fill it.
type signInKey struct {
	client      clientKey
	redirectURI string
	device      bool
	local       bool   // for a page of our own
	reason      string // of it
	offered     bool   // with the interaction's own ceremony
	signUp      bool
}

type clientKey struct{ id, name, logo, policy, terms string }

// newSignInPage returns the page that is shown most often by far, so it is kept. Its values are the interaction, the
// ceremony and its options, and the hinted e-mail address.
func newSignInPage(s *web.Shell, pages *web.Pages) *web.Stencil[signInKey] {
	return web.NewStencil(s, pages, "signin", 4, func(k signInKey, values []string) web.Page {
		v := visit{interaction: idp.Interaction{
			ID: values[0], Request: idp.Request{RedirectURI: k.redirectURI},
		}}
		if k.local {
			v.interaction.Local = &idp.Local{Reason: k.reason}
		}
		c := k.client
		f := Facts{Client: idp.Client{ID: c.id, Name: c.name, LogoURI: c.logo, PolicyURI: c.policy, TOSURI: c.terms}}
		if k.device {
			v.interaction.Request.Device = "yes"
		}
		d := signIn{screen: screenOf(v, f), Email: values[3]}
		if k.offered {
			d.Ceremony, d.Options = values[1], values[2]
		}
		if k.signUp {
			d.SignUpURL = "/signup?i=" + url.QueryEscape(values[0])
		}
		return newPage(v, f, "login", d)
	})
}

// showSignIn needs no read: challenge and hint are in the interaction.
func (l *Login) showSignIn(w http.ResponseWriter, r *http.Request, v visit, f Facts) error {
	i, c := v.interaction, f.Client
	key := signInKey{
		client:      clientKey{c.ID, c.Name, c.LogoURI, c.PolicyURI, c.TOSURI},
		redirectURI: i.Request.RedirectURI, device: i.Request.Device != "", local: i.Local != nil,
		offered: i.Ceremony != "" && f.Now.Sub(i.CreatedAt) < pageCeremonyAge,
		signUp:  l.cfg.SignUp && i.Request.HintedUser == "",
	}
	if i.Local != nil {
		key.reason = i.Local.Reason
	}
	ceremony, options := "", ""
	if key.offered {
		ceremony, options = i.Ceremony, string(l.cfg.Ceremonies.SignInOptions(i.Challenge))
	}
	email, _ := directory.NormalizeEmail(i.Request.LoginHint)
	return l.signInPage.Render(w, r, key, i.ID, ceremony, options, email)
}
