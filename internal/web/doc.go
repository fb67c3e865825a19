// Package web is the shell around every page and endpoint: the chains a request passes, the one record it leaves in the
// log, what a person reads when something fails, the layout, and the static files.
//
//	browser chain   record → recover → deadline → body limit → CSP, no-store → cross-origin check → mux
//	protocol chain  record → recover → deadline → body limit → handler
//
// The cross-origin check stands on the browser chain only: OAuth endpoints are called from other origins by design.
//
// # Ceremonies
//
// A page runs a passkey ceremony by marking an element; static/passkey.js does the rest:
//
//	<div data-passkey="signin" data-interaction="…" data-ceremony="…" data-options="{…publicKey…}"
//	     data-begin="/login/passkey/begin" data-finish="/login/passkey/finish">
//	  <p class="error" role="alert" data-test="error" data-passkey-error hidden></p>
//	  <button class="primary" data-passkey-button data-test="passkey-signin">{{icon "key"}} Sign in with a passkey</button>
//	  <p class="quiet" role="status" data-passkey-status></p>
//	  <button class="secondary" data-passkey-cancel hidden>Cancel</button>
//	</div>
//
// data-allow="USER" is posted along as allow: what else the person agrees to on this page.
//
// "signin" offers autofill at load and a dialog on the button, "get" the dialog alone, "create" registers. begin is
// posted {i, email?} and answers {ceremony, publicKey}: when there are no data-options, after every failure, and when
// they are older than four minutes. finish is posted {i, ceremony, credential} and answers {next}. Without data-begin
// the options are used again. A form with an <input data-passkey-email autocomplete="username webauthn"> begins with what
// was typed. Errors are {error, message, request_id}; location sends the person there, and unknown_credential with rp_id
// and credential_id tells the password manager. data-signal="{rpId, userId, allAcceptedCredentialIds, name, displayName}"
// on any element does so after a change.
//
// # Other scripts
//
// A page that wants one of these ends its content with <script src="{{asset "enrol.js"}}" defer></script>: enrol.js moves
// the token behind the # of the address into the field token of the form [data-fragment-token]; copy.js gives buttons
// with data-copy their work.
package web
