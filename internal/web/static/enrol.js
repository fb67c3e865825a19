// An invitation has its token in the fragment of the URL, which never reaches a server, log or Referer. This moves it
// into the form that posts it, and removes it from the address bar and the history.
"use strict";
for (const place of document.querySelectorAll("[data-fragment-token]")) {
  const token = location.hash.slice(1);
  const form = place.closest("form") || place.querySelector("form");
  if (!token || !form) continue;
  let field = form.querySelector("input[name=token]");
  if (!field) {
    field = document.createElement("input");
    field.type = "hidden";
    field.name = "token";
    form.append(field);
  }
  field.value = token;
  for (const typed of form.querySelectorAll("[data-fragment-instead]")) typed.remove();
  history.replaceState(null, "", location.pathname + location.search);
  // The switch of the language comes back here. A browser keeps the fragment through the redirect, and never sends it.
  const languages = document.querySelector("form.languages");
  if (languages) languages.action += "#" + token;
}
