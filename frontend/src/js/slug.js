// The slug of what a field says, repeated in a text: `data-slug-of="name"`; `data-otherwise` stands there while it is empty.
import { htmx } from "./htmx-global.js";

/**
 * As the server makes slugs of names.
 * @param {string} name
 */
function slugify(name) {
  const plain = name.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
  return plain.replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 40).replace(/-$/, "");
}

function repeat() {
  for (const text of document.querySelectorAll("[data-slug-of]")) {
    if (!(text instanceof HTMLElement)) continue;
    const field = text.closest("form")?.elements.namedItem(text.dataset.slugOf ?? "");
    const name = field instanceof HTMLInputElement ? field.value : "";
    text.textContent = slugify(name) || (text.dataset.otherwise ?? "");
  }
}

for (const event of ["input", "change"]) document.addEventListener(event, repeat);
htmx.onLoad(repeat);
