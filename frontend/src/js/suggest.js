// Values that a fragment suggests for the form around it: `<data data-suggest="port" value="8080">`. What a user typed
// stays; a suggested value is removed when another choice of the form (`data-choices`) makes it inapplicable.
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
    if (!isField(field) || field.hasAttribute("data-typed")) continue;
    field.value = suggestion.value;
    field.dataset.suggested = "";
    field.dispatchEvent(new CustomEvent("suggested", { bubbles: true })); // no `input`: that is what users do
  }
});

document.addEventListener("change", (event) => {
  if (!(event.target instanceof HTMLInputElement) || event.target.type !== "radio") return;
  for (const field of event.target.form?.elements ?? []) {
    if (!isField(field) || field.dataset.suggested === undefined || field.hasAttribute("data-typed")) continue;
    if (field instanceof HTMLInputElement) field.value = field.defaultValue;
    else field.selectedIndex = Math.max(0, [...field.options].findIndex((each) => each.defaultSelected));
    delete field.dataset.suggested;
  }
});
