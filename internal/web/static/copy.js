// Buttons with data-copy copy its text to the clipboard. Where that is not possible, they stay hidden. Those with
// data-print print the page.
"use strict";
const texts = WORDS;
for (const button of navigator.clipboard ? document.querySelectorAll("[data-copy]") : []) {
  const words = button.querySelector("span") || button;
  const before = words.textContent;
  button.hidden = false;
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(button.dataset.copy);
      words.textContent = texts.copied;
    } catch {
      words.textContent = texts.select;
    }
    setTimeout(() => { words.textContent = before; }, 3000);
  });
}
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}
