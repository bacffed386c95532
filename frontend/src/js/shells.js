// Opens shells in containers: `data-shell="service id"` on a button, or `#shell` behind the address of a service's page.
// All that shows them is a part of its own. It is fetched by the first shell, and by each page while one is open.
import { closest } from "./dom.js";
import { fetchPart } from "./parts.js";
import { toast } from "./toast.js";

const memory = "orca.shells";

/** @param {DOMStringMap} [wanted] what to open; without it those that are open are shown again */
async function show(wanted) {
  try {
    await fetchPart("terminal");
  } catch {
    toast({ text: "The terminal could not be loaded", hint: "Reload the page and try again.", tone: "bad" });
    return;
  }
  document.dispatchEvent(new CustomEvent("shells:show", { detail: wanted && { ...wanted } }));
}

/** A link of another site opens nothing. */
function openAddressed() {
  const button = document.querySelector("[data-shell]");
  if (location.hash !== "#shell") return;
  history.replaceState(history.state, "", location.pathname + location.search);
  for (const dialog of document.querySelectorAll("dialog[open]")) if (dialog instanceof HTMLDialogElement) dialog.close();
  if (button instanceof HTMLElement) void show(button.dataset);
}

document.addEventListener("click", (event) => {
  const button = closest(event, "[data-shell]");
  if (button) void show(button.dataset);
});
addEventListener("hashchange", openAddressed);
if (document.referrer.startsWith(`${location.origin}/`)) openAddressed();
if (location.pathname === "/login") sessionStorage.removeItem(memory);
if (sessionStorage.getItem(memory) && document.querySelector(".frame")) void show();
