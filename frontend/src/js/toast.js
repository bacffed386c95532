// Toasts: the server asks for one with the header HX-Trigger: {"toast": {"text", "hint"?, "tone"?}}.
// One that arrives together with a redirect is kept and shown on the page that follows; where a plain form was sent,
// the redirect brings it in a cookie.
import { byId, closest, icon, make } from "./dom.js";

/** @typedef {{ text: string, hint?: string, tone?: string }} Toast */

const icons = new Map([["good", "check-circle"], ["bad", "alert"], ["warn", "alert"], ["info", "info"]]);
const memory = "orca.toasts";
const limit = 4;
const carried = 1500;
/** @type {Map<HTMLElement, Toast & { at: number }>} */
const shown = new Map();

/** @param {Toast & { at?: number }} message `at`: when it was shown first, if that was on an earlier page */
export function toast(message) {
  const tone = icons.has(message.tone ?? "") ? String(message.tone) : "info";
  const card = make("div", `toast-card tone-${tone}`);
  const close = make("button", "btn btn-ghost btn-sm btn-square");
  close.type = "button";
  close.setAttribute("aria-label", "Dismiss");
  close.append(icon("x"));
  close.addEventListener("click", () => dismiss(card));
  card.append(icon(icons.get(tone) ?? "info"), make("p", "toast-text", message.text), close);
  if (message.hint) card.append(make("p", "toast-hint", message.hint));
  region(tone)?.append(card);
  shown.set(card, { at: Date.now(), ...message });
  remember();
  setTimeout(remember, carried);
  for (const old of [...shown.keys()].slice(0, -limit)) dismiss(old);
  if (tone !== "bad") fade(card, message.hint ? 9000 : 5000);
}

/**
 * Failures interrupt a screen reader and stay until dismissed; the rest waits its turn. Shown anew, the region
 * stands above a dialog that was opened after it.
 * @param {string} tone
 */
function region(tone) {
  const area = byId("toasts");
  if (area?.matches(":popover-open")) area.hidePopover();
  area?.showPopover();
  return byId(tone === "bad" ? "toasts-urgent" : "toasts-polite");
}

/** @param {HTMLElement} card */
function dismiss(card) {
  shown.delete(card);
  card.remove();
}

/**
 * Time stands still while the pointer or the focus rests on the toast.
 * @param {HTMLElement} card
 * @param {number} delay
 */
function fade(card, delay) {
  setTimeout(() => {
    if (card.matches(":hover, :focus-within")) fade(card, 2000);
    else dismiss(card);
  }, delay);
}

document.addEventListener("toast", (event) => {
  const { detail } = /** @type {CustomEvent<Toast & { value?: Toast | Toast[] }>} */ (event);
  for (const { text, hint, tone } of [detail.value ?? detail].flat()) if (text) toast({ text, hint, tone });
});

document.addEventListener("click", (event) => {
  closest(event, "[data-toast-close]")?.closest(".toast-card")?.remove();
});

/** Kept as soon as it is shown: what a page stores while it goes away may come too late for the next one. */
function remember() {
  const fresh = [...shown.values()].filter(({ at }) => Date.now() - at < carried);
  if (fresh.length) sessionStorage.setItem(memory, JSON.stringify(fresh));
  else sessionStorage.removeItem(memory);
}

/** @returns {Toast[]} */
function brought() {
  const found = document.cookie.match(/(?:^|; )((?:__Host-)?orca_toast)="?([^;"]*)/);
  if (!found) return [];
  document.cookie = `${found[1]}=; Max-Age=0; Path=/${location.protocol === "https:" ? "; Secure" : ""}`;
  return [JSON.parse(decodeURIComponent(found[2]))];
}

addEventListener("pageshow", () => {
  const kept = JSON.parse(sessionStorage.getItem(memory) ?? "[]");
  sessionStorage.removeItem(memory);
  for (const message of [...kept, ...brought()]) toast(message);
});
