// Package login guides a person through an interaction. It signs them in, asks for a fresher or stronger proof, for
// consent or for an account, and returns the outcome to the requester.
//
//	provider: GET /oauth2/authorize          account, admin: a page that needs a proof
//	        │ Begin                                  │ Require
//	        ▼                                        ▼
//	   ┌──────────── interaction (bound to one browser) ◄───────────────┐
//	   │                                                                │
//	   ▼                                                                │
//	GET /login ─► Decide(facts) ─┬─ SignIn ────────► signin.html ──┐    │
//	                             │                                 ├─► POST /login/passkey/{begin,finish}
//	                             ├─ StepUp ────────► stepup.html ──┘    │   session starts, or gains an authentication
//	                             ├─ SelectAccount ─► select.html ─────► POST /login/select, /login/switch
//	                             ├─ Consent ───────► consent.html ────► POST /login/consent
//	                             ├─ CreateAccount ─► /signup (package enrol)
//	                             ├─ Refuse ───┐
//	                             └─ Finish ───┴─► interaction taken, once: Config.Respond (provider: code or OAuth error)
//	                                                                       or Local.ReturnTo (a page of our own)
//
// A screen never sends the person to another screen. It saves its result in the session or the interaction and returns
// to GET /login, where [Decide] checks everything again. So one place decides what a request still needs, no screen can
// be skipped by opening its URL, and two tabs cannot disagree.
//
// Only the browser that began an interaction can see it, by its browser cookie. A saved answer counts for the user it
// was shown to, and not for anybody who signs in later.
package login
