// A form with `data-unsaved` says that it was changed, and the browser asks before its page is left with that.
import { htmx } from "./htmx-global.js";

/** @type {WeakMap<HTMLFormElement, string>} */
const saved = new WeakMap();
/** @type {WeakSet<HTMLFormElement>} */
const sent = new WeakSet();

/** @param {HTMLFormElement} form */
function contentOf(form) {
  return JSON.stringify([...new FormData(form)].filter(([name]) => name !== "csrf_token" && name !== "version"));
}

/** @param {HTMLFormElement} form */
function isChanged(form) {
  return saved.has(form) && contentOf(form) !== saved.get(form);
}

/** @param {Event} event */
function mark(event) {
  const form = event.target instanceof Element && event.target.closest("form[data-unsaved]");
  if (form instanceof HTMLFormElement) form.toggleAttribute("data-changed", isChanged(form));
}

/** A form that came back with errors was changed before it came. */
htmx.onLoad((root) => {
  if (!(root instanceof Element)) return;
  for (const form of root.querySelectorAll("form[data-unsaved]")) {
    if (!(form instanceof HTMLFormElement)) continue;
    const isRefused = form.querySelector("[data-error-summary]") !== null;
    saved.set(form, isRefused ? "" : contentOf(form));
    form.toggleAttribute("data-changed", isRefused);
  }
});

document.addEventListener("input", mark);
document.addEventListener("change", mark);
addEventListener("submit", (event) => {
  if (event.target instanceof HTMLFormElement && !event.defaultPrevented) sent.add(event.target);
});
addEventListener("pageshow", () => {
  for (const form of document.querySelectorAll("form[data-unsaved]")) if (form instanceof HTMLFormElement) sent.delete(form);
});
addEventListener("beforeunload", (event) => {
  const forms = [...document.querySelectorAll("form[data-unsaved]")].filter((form) => form instanceof HTMLFormElement);
  if (forms.some((form) => isChanged(form) && !sent.has(form))) event.preventDefault();
});
