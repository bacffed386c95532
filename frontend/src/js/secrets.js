// A variable that looks like a secret is proposed as one: by its name or its value, as `data-secret-like` of its form says.
// Whoever has ticked or unticked the box decides.
import { byId, closest } from "./dom.js";
import { askPassword } from "./connection.js";

/** @type {WeakSet<Element>} */
const decided = new WeakSet();

document.addEventListener("input", (event) => {
  const form = closest(event, "[data-secret-like]");
  if (!(form instanceof HTMLFormElement)) return;
  const { key, value, is_secret: box } = Object.fromEntries([...form.elements].map((field) => [field.getAttribute("name"), field]));
  if (event.target === box) decided.add(box);
  if (!(key instanceof HTMLInputElement) || !(value instanceof HTMLTextAreaElement) || !(box instanceof HTMLInputElement)) return;
  if (decided.has(box) || form.elements.namedItem("editing")) return;
  const { names, not, starts } = JSON.parse(form.dataset.secretLike ?? "{}");
  const byName = new RegExp(names, "i").test(key.value) && !new RegExp(not, "i").test(key.value);
  box.checked = byName || starts.some((/** @type {string} */ start) => value.value.startsWith(start));
  const note = form.querySelector("[data-secret-note]");
  if (note) note.textContent = box.checked ? "It looks like a secret." : "";
});

/** The server asks for the password again: over the page, and what was asked for is sent after it. */
document.addEventListener("step-up", async (event) => {
  const dialog = byId("step-up");
  const asking = event.target;
  if (dialog instanceof HTMLDialogElement && (await askPassword(dialog, "/api/v1/me/step-up")) && asking instanceof HTMLFormElement) {
    asking.requestSubmit();
  }
});
