// Package web surrounds every page and endpoint: the middleware chains, the log record of each request, the error
// pages, the layout, and the static files.
//
//	browser chain   record → recover → deadline → body limit → CSP, no-store → cross-origin check → mux
//	protocol chain  record → recover → deadline → body limit → handler
//
// Only the browser chain has the cross-origin check, because OAuth endpoints are meant to be called from other origins.
//
// # Ceremonies
//
// A page runs a passkey ceremony by marking an element; static/passkey.js does the rest:
//
//	<div data-passkey="signin" data-interaction="…" data-ceremony="…" data-options="{…publicKey…}"
//	     data-begin="/login/passkey/begin" data-finish="/login/passkey/finish">
//	  <p class="error" role="alert" data-test="error" data-passkey-error hidden></p>
//	  <button class="primary" data-passkey-button data-test="passkey-signin">
//	    {{icon "key"}} {{t "signin.button"}}</button>
//	  <p class="quiet" role="status" data-passkey-status></p>
//	  <button class="secondary" data-passkey-cancel hidden>Cancel</button>
//	</div>
//
// data-allow="USER" is posted as allow: what else the person agrees to on this page.
//
// data-immediate lets "get" begin with the browser's dialog for the passkeys on this device, whosever they are.
//
// "signin" offers autofill on load and a dialog for the button, "get" only the dialog, and "create" registers a
// passkey. begin receives {i, email?} and responds with {ceremony, publicKey}. It is called if there are no
// data-options, after every failure, and when they are older than four minutes. finish receives {i, ceremony,
// credential} and responds with {next}. Without data-begin, the options are used again. A form with an <input
// data-passkey-email autocomplete="username webauthn"> begins with the typed address. Errors are {error, message,
// request_id}; location redirects, and unknown_credential with rp_id and credential_id is reported to the password
// manager. data-signal="{rpId, userId, allAcceptedCredentialIds, name, displayName}" on any element reports a change to
// it.
//
// # Texts
//
// All texts are in the catalogue (package words). A template writes {{t "signin.to" "app" .App}}, or {{plain …}} where
// there can be no element, as in {{define "title"}}. {{t .Why}} shows a words.Text that Go code made. A [Problem] names
// its texts with Words. A script whose source contains WORDS gets the texts that begin with script.NAME there.
//
// # Other scripts
//
// A page that uses one of these scripts ends its content with <script src="{{asset "enrol.js"}}" defer></script>.
// enrol.js moves the token from the fragment of the URL into the field token of the form [data-fragment-token]. copy.js
// makes buttons with data-copy work.
package web
