// Package login leads a person through an interaction: it signs them in, asks for a fresher or stronger proof, for
// consent or for an account, and hands the outcome back to whoever asked.
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
//	                             ├─ CreateAccount ─► /signup (package account)
//	                             ├─ Refuse ───┐
//	                             └─ Finish ───┴─► interaction taken, once: Config.Respond (provider: code or OAuth error)
//	                                                                       or Local.ReturnTo (a page of our own)
//
// A screen never sends the person to another screen. It saves what it learned, in the session or in the interaction,
// and returns to GET /login, where [Decide] looks at everything again. So there is one place that says what a request
// still lacks, no screen can be skipped by knowing its address, and two tabs cannot disagree.
//
// An interaction may be seen by one browser only: the one whose browser cookie began it. What a screen saved counts for
// the user it was shown to and for nobody who signs in after.
package login
