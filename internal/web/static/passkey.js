// Runs the ceremonies of a page: each element with data-passkey="signin", "get" or "create" (see doc.go).
// A browser allows one pending call at a time, so all share one slot: a new call aborts the previous one.
"use strict";
(() => {
  const fresh = 24e4; // ms: a ceremony lives 10 minutes, and a dialog may take 5
  const words = WORDS; // of the catalogue: script.passkey.…
  words.ConstraintError = words.NotSupportedError;

  class Refusal extends Error {} // its message is for the person

  let slot = null;
  async function alone(task) {
    while (slot) {
      slot.abort.abort();
      await slot.done.catch(() => {});
    }
    const mine = slot = { abort: new AbortController() };
    mine.done = task(mine.abort.signal).finally(() => { if (slot === mine) slot = null; });
    return mine.done;
  }

  async function post(url, body, signal) {
    const headers = { "Content-Type": "application/json", Accept: "application/json", "Accept-Language": document.documentElement.lang };
    const response = await fetch(url, { method: "POST", signal, headers, body: JSON.stringify(body) }).catch((e) => {
      throw e.name === "AbortError" ? e : new Refusal(words.network);
    });
    const answer = await response.json().catch(() => ({}));
    if (response.ok) return answer;
    if (answer.error === "unknown_credential") tell("signalUnknownCredential", { rpId: answer.rp_id, credentialId: answer.credential_id });
    const refusal = new Refusal((answer.message || words.answer) + (answer.request_id ? " " + words.request.replace("{id}", answer.request_id) : ""));
    refusal.location = answer.location;
    throw refusal;
  }

  // Signals for password managers that support them (WebAuthn L3 §5.1.10).
  const tell = async (method, details) => { try { await window.PublicKeyCredential?.[method]?.(details); } catch {} };

  // Password managers replace the browser's own objects, and may omit or break what they do not need.
  const attempt = (f) => { try { return f(); } catch {} };

  // A manager may ignore an abort: after a moment its dialog counts as stopped, and a late result is dropped.
  function heed(signal, call) {
    signal.throwIfAborted();
    return Promise.race([call(), new Promise((_, stop) => {
      signal.addEventListener("abort", () => setTimeout(stop, 500, new DOMException("ignored", "AbortError")));
    })]);
  }

  // The JSON methods of WebAuthn L3 §5.1.8, for browsers and extensions that lack them.
  const bytes = (s) => Uint8Array.from(atob(s.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
  const text = (b) => btoa(String.fromCharCode(...new Uint8Array(b))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  function decode(o, create) {
    const native = attempt(() => PublicKeyCredential[create ? "parseCreationOptionsFromJSON" : "parseRequestOptionsFromJSON"](o));
    if (native) return native;
    const id = (c) => ({ ...c, id: bytes(c.id) });
    return { ...o, challenge: bytes(o.challenge), user: o.user && id(o.user),
      allowCredentials: o.allowCredentials?.map(id), excludeCredentials: o.excludeCredentials?.map(id) };
  }
  function encode(c) {
    const json = attempt(() => c.toJSON());
    if (typeof json?.response?.clientDataJSON === "string") return json;
    const response = { transports: attempt(() => c.response.getTransports()) };
    for (const k of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
      if (c.response[k]) response[k] = text(c.response[k]);
    }
    return { id: c.id, rawId: text(c.rawId), type: c.type, response, authenticatorAttachment: c.authenticatorAttachment ?? undefined,
      clientExtensionResults: attempt(() => c.getClientExtensionResults()) ?? {} };
  }

  function ceremony(el) {
    const { passkey: kind, begin, finish, allow, interaction: i } = el.dataset;
    let local = "immediate" in el.dataset; // until a failure
    const find = (name) => el.querySelector(`[data-passkey-${name}]`);
    const button = find("button"), cancel = find("cancel"), status = find("status"), error = find("error");
    const email = document.querySelector("[data-passkey-email]");
    const label = [...button.childNodes];
    let options = el.dataset.options && { ceremony: el.dataset.ceremony, publicKey: JSON.parse(el.dataset.options), at: Date.now() };
    let busy, stale;

    const complain = (s) => {
      status.textContent = "";
      error.textContent = s;
      error.hidden = !s;
      error.tabIndex = -1;
      if (s) error.focus();
    };
    const wait = (on, cancellable) => {
      busy = on;
      button.ariaBusy = on;
      button.replaceChildren(...(on ? [words.waiting] : label));
      if (cancel) cancel.hidden = !cancellable;
    };

    async function ready(signal) {
      if (begin && (!options || Date.now() - options.at > fresh)) options = { ...await post(begin, { i }, signal), at: Date.now() };
      return options;
    }

    async function run({ ceremony, publicKey: o }, signal, mediation) {
      const create = kind === "create", publicKey = decode(o.publicKey || o, create);
      const ask = () => navigator.credentials[create ? "create" : "get"]({ publicKey, signal, ...(mediation && { mediation }) });
      const credential = await heed(signal, async () => local && await window.immediateGet?.(publicKey, signal) || ask());
      wait(true);
      status.textContent = words.done;
      const { next } = await post(finish, { i, ceremony, allow, credential: encode(credential) });
      // Back from the application leads to where the person came from, as after a redirect; this page has ended.
      if (new URL(next, location).origin === location.origin) location.assign(next); else location.replace(next);
      await new Promise(() => {}); // the page is being left: keep the slot
    }

    // Autofill shows no errors until somebody picks a passkey. It opens at the field with the focus, so the e-mail field
    // gets it, unless somebody has moved it by now.
    let greeted;
    async function offer() {
      if (kind !== "signin" || !await attempt(() => PublicKeyCredential.isConditionalMediationAvailable())?.catch?.(() => {}) || busy) return;
      if (!greeted && [button, document.body, null].includes(document.activeElement)) email?.focus({ preventScroll: true });
      greeted = true;
      alone(async (signal) => {
        const o = await ready(signal).catch(() => null);
        if (o) await run(o, signal, "conditional");
      }).catch((e) => { if (e instanceof Refusal) fail(e); });
    }

    async function modal(typed) {
      if (busy) return;
      complain("");
      wait(true, true);
      status.textContent = words.follow;
      alone(async (signal) => run(typed ? await post(begin, { i, email: typed }, signal) : await ready(signal), signal)).catch(fail);
    }

    function fail(e) {
      wait(false);
      local = false;
      if (begin) options = null; // needs a new challenge
      if (e.location) return location.assign(e.location);
      if (e.name === "AbortError") {
        status.textContent = words.stopped;
        button.focus();
      } else {
        complain(e instanceof Refusal ? e.message : words[e.name] || words.other);
      }
      offer();
    }

    function renew() {
      stale = document.hidden || busy;
      if (stale || !begin) return;
      options = null;
      offer();
    }

    if (!window.PublicKeyCredential) {
      button.disabled = true;
      return complain(window.isSecureContext ? words.missing : words.insecure);
    }
    button.onclick = () => modal();
    if (cancel) cancel.onclick = () => slot?.abort.abort();
    if (kind === "signin" && email) {
      email.form?.addEventListener("submit", (e) => {
        e.preventDefault();
        modal(email.value.trim());
      });
      // With nothing typed, Enter means the button above, which would otherwise have the focus.
      email.addEventListener("keydown", (e) => {
        if (e.key !== "Enter" || e.isComposing || e.defaultPrevented || email.value.trim() !== email.defaultValue) return;
        e.preventDefault();
        modal();
      });
    }
    setInterval(renew, fresh);
    document.addEventListener("visibilitychange", () => { if (stale) renew(); });
    offer();
  }

  document.querySelectorAll("[data-passkey]").forEach(ceremony);
  // Restored from the page cache: the challenge is old, and the person may be signed in by now. Ask the server.
  addEventListener("pageshow", (e) => { if (e.persisted) location.reload(); });

  for (const el of document.querySelectorAll("[data-unknown]")) {
    tell("signalUnknownCredential", { rpId: el.dataset.rp, credentialId: el.dataset.unknown });
  }
  for (const el of document.querySelectorAll("[data-signal]")) {
    const { rpId, userId, allAcceptedCredentialIds, name, displayName } = JSON.parse(el.dataset.signal);
    if (allAcceptedCredentialIds) tell("signalAllAcceptedCredentials", { rpId, userId, allAcceptedCredentialIds });
    if (name) tell("signalCurrentUserDetails", { rpId, userId, name, displayName: displayName || name });
  }
})();
