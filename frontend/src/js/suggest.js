// Values that a fragment suggests for the form around it: `<data data-suggest="port" value="8080">`. What somebody typed stays.
import { htmx } from "./htmx-global.js";

/** @typedef {HTMLInputElement | HTMLSelectElement} Field */

/**
 * @param {unknown} element
 * @returns {element is Field}
 */
const isField = (element) => element instanceof HTMLInputElement || element instanceof HTMLSelectElement;

document.addEventListener("input", (event) => {
  if (isField(event.target)) event.target.toggleAttribute("data-typed", event.target.value !== "");
});

htmx.onLoad((content) => {
  if (!(content instanceof Element)) return;
  const all = [...(content.matches("[data-suggest]") ? [content] : []), ...content.querySelectorAll("[data-suggest]")];
  for (const suggestion of all) {
    if (!(suggestion instanceof HTMLDataElement)) continue;
    const field = suggestion.closest("form")?.elements.namedItem(suggestion.dataset.suggest ?? "");
    if (isField(field) && !field.hasAttribute("data-typed")) field.value = suggestion.value;
  }
});
