// Buttons with data-copy copy its text to the clipboard. Where that is not possible, they stay hidden. Those with
// data-print print the page.
"use strict";
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const words = button.querySelector("span") || button;
  const before = words.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      words.textContent = "Copied";
    } catch {
      words.textContent = "Select it and copy";
    }
    setTimeout(() => { words.textContent = before; }, 3000);
  });
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
