// Copy buttons: `data-copy="text"` copies that text, `data-copy-from="#id"` copies what an element says.
import { closest } from "./dom.js";
import { toast } from "./toast.js";

/** @param {HTMLElement} button */
function textOf(button) {
  const from = button.dataset.copyFrom;
  if (!from) return button.dataset.copy ?? "";
  const source = document.querySelector(from);
  return source instanceof HTMLInputElement ? source.value : (source?.textContent ?? "");
}

/**
 * The clipboard API needs a secure origin; a panel on plain http falls back to a selection.
 * @param {string} text
 */
export async function copyText(text) {
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "sr-only";
  const host = document.querySelector("dialog[open]") ?? document.body;
  host.append(area);
  area.select();
  const copied = document.execCommand("copy");
  area.remove();
  if (!copied) throw new Error("The browser refused to copy");
}

/**
 * Shows for a moment on the button that it worked.
 * @param {HTMLElement} button
 */
export function confirmCopied(button) {
  const use = button.querySelector("use");
  const label = button.getAttribute("aria-label");
  use?.setAttribute("href", "#i-check");
  if (label) button.setAttribute("aria-label", "Copied");
  setTimeout(() => {
    use?.setAttribute("href", "#i-copy");
    if (label) button.setAttribute("aria-label", label);
  }, 1500);
}

document.addEventListener("click", async (event) => {
  const button = closest(event, "[data-copy], [data-copy-from]");
  if (!button) return;
  try {
    await copyText(textOf(button));
    confirmCopied(button);
  } catch {
    toast({ text: "Could not copy", hint: "Select the text and copy it with the keyboard.", tone: "bad" });
  }
});
