// For data-immediate (see doc.go): a dialog with the passkeys on this device alone, where the browser has one. It opens at
// once, or rejects at once if there are none: then, as everywhere else, the ordinary dialog follows. A person who closes it
// is slower than that. It takes no list of passkeys; the server refuses those that are not on the list.
"use strict";
(() => {
  const refusedAtOnce = 700; // milliseconds
  const capable = (async () => PublicKeyCredential.getClientCapabilities())().catch(() => {});

  window.immediateGet = async ({ allowCredentials, ...publicKey }, signal) => {
    if (!(await capable)?.immediateGet || !navigator.userActivation?.isActive) return null;
    const asked = Date.now();
    try {
      return await navigator.credentials.get({ publicKey, signal, uiMode: "immediate" });
    } catch (e) {
      if (e.name !== "NotAllowedError" || Date.now() - asked > refusedAtOnce) throw e;
      return null;
    }
  };
})();
