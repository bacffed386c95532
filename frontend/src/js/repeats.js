// The value of a field, repeated in a text: `data-repeats="slug"`; `data-otherwise` stands there while it is empty.
import { htmx } from "./htmx-global.js";

function repeat() {
  for (const text of document.querySelectorAll("[data-repeats]")) {
    if (!(text instanceof HTMLElement)) continue;
    const field = text.closest("form")?.elements.namedItem(text.dataset.repeats ?? "");
    text.textContent = (field instanceof HTMLInputElement && field.value) || (text.dataset.otherwise ?? "");
  }
}

for (const event of ["input", "change", "suggested"]) document.addEventListener(event, repeat);
htmx.onLoad(repeat);
