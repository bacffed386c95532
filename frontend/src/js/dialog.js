// Dialogs: `data-dialog-open="id"` opens one, and so does an address that ends in `#id`; `data-dialog-close` closes the
// one around it; a dialog that asks for a name keeps its submit button off until the name is typed.
import { byId, closest } from "./dom.js";

document.addEventListener("click", (event) => {
  const opener = closest(event, "[data-dialog-open]");
  const dialog = byId(opener?.dataset.dialogOpen ?? "");
  if (dialog instanceof HTMLDialogElement && !dialog.open) dialog.showModal();
  const around = closest(event, "[data-dialog-close]")?.closest("dialog");
  if (around) {
    event.preventDefault(); // of a link that leads back where there is no dialog
    around.close();
  }
  if (event.target instanceof HTMLDialogElement && isOutside(event.target, event)) event.target.close();
});

function openByAddress() {
  const dialog = byId(location.hash.slice(1));
  if (!(dialog instanceof HTMLDialogElement)) return;
  history.replaceState(null, "", location.pathname + location.search);
  for (const other of document.querySelectorAll("dialog[open]")) if (other instanceof HTMLDialogElement) other.close();
  dialog.showModal();
}

addEventListener("hashchange", openByAddress);
openByAddress();

/**
 * @param {HTMLDialogElement} dialog
 * @param {MouseEvent} event
 */
function isOutside(dialog, event) {
  const box = dialog.getBoundingClientRect();
  if (event.clientX === 0 && event.clientY === 0) return false;
  return event.clientX < box.left || event.clientX > box.right || event.clientY < box.top || event.clientY > box.bottom;
}

document.addEventListener("input", (event) => {
  const input = closest(event, "[data-confirm-name]");
  if (!(input instanceof HTMLInputElement)) return;
  const submit = input.form?.querySelector("[type=submit]");
  if (submit instanceof HTMLButtonElement) submit.disabled = input.value.trim() !== input.dataset.confirmName;
});
