// Loads the page again when the state that it shows has changed on the server. Without script it has a meta refresh.
"use strict";
for (const el of document.querySelectorAll("[data-watch]")) {
  const again = () => setTimeout(ask, 2000);
  const ask = async () => {
    if (document.hidden) return again();
    try {
      const answer = await fetch(el.dataset.watch, { headers: { Accept: "application/json" }, redirect: "manual" });
      const known = answer.ok ? (await answer.json()).state : answer.status >= 429 ? el.dataset.state : null;
      if (known !== el.dataset.state) return location.reload();
    } catch {} // offline for a moment
    again();
  };
  again();
}
