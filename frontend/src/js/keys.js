// Single keys: `/` searches, `?` lists the keys, `g` and a letter go somewhere, `n` makes a service. They sleep while a
// field has the focus or a dialog is open, and can be switched off in the account: aids that type would press them.
import { byId, isTyping } from "./dom.js";
import { openPalette } from "./palette.js";

const memory = "orca.single-keys";
const patience = 1500;
const places = new Map([["o", "/"], ["p", "/projects"], ["s", "/settings"]]);
let leader = 0;

/** The list of the page, else everything. */
function search() {
  const field = document.querySelector("[data-list-search]");
  if (!(field instanceof HTMLInputElement)) return openPalette();
  field.focus();
  field.select();
}

function newService() {
  const project = document.querySelector(".crumbs a[href^='/projects/']");
  const path = project?.getAttribute("href") ?? (location.pathname.startsWith("/projects/") ? location.pathname : "");
  const id = path.split("/")[2];
  location.assign(id ? `/projects/${id}/services/new` : "/projects?choosing=true");
}

/** @type {Map<string, () => void>} */
const keys = new Map([
  ["/", search],
  ["?", () => /** @type {HTMLDialogElement | null} */ (byId("shortcuts"))?.showModal()],
  ["n", newService],
  ["g", () => { leader = Date.now(); }],
]);

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat || isTyping(event)) return;
  if (localStorage.getItem(memory) === "off" || document.querySelector("dialog[open], :popover-open[data-menu]")) return;
  if (!byId("shortcuts")) return;
  const place = Date.now() - leader < patience ? places.get(event.key) : undefined;
  leader = 0;
  if (place) location.assign(place);
  else if (keys.has(event.key)) keys.get(event.key)?.();
  else return;
  event.preventDefault();
});

const choice = byId("single-keys");
if (choice instanceof HTMLInputElement) {
  choice.checked = localStorage.getItem(memory) !== "off";
  choice.addEventListener("change", () => {
    if (choice.checked) localStorage.removeItem(memory);
    else localStorage.setItem(memory, "off");
  });
}
