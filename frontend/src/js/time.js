// Keeps times fresh: `time[data-relative]` reads "3 minutes ago", `[data-elapsed]` counts up from its datetime.
import { htmx } from "./htmx-global.js";

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const units = [["year", 31_536_000], ["month", 2_592_000], ["week", 604_800], ["day", 86_400], ["hour", 3600], ["minute", 60]];
const words = new Intl.RelativeTimeFormat("en", { numeric: "auto" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

/**
 * @param {Date} moment
 * @param {number} now milliseconds
 */
export function relative(moment, now) {
  const seconds = Math.round((moment.getTime() - now) / 1000);
  for (const [unit, size] of units) {
    if (Math.abs(seconds) >= size) return words.format(Math.round(seconds / size), unit);
  }
  return Math.abs(seconds) < 10 ? "just now" : words.format(seconds, "second");
}

/**
 * Seconds in the shape of the `duration` macro: 8 s, 1 m 05 s, 2 h 03 m.
 * @param {number} seconds
 */
export function elapsed(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const pad = (/** @type {number} */ n) => String(n).padStart(2, "0");
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${pad(whole % 60)} s`;
  return `${Math.floor(whole / 3600)} h ${pad(Math.floor((whole % 3600) / 60))} m`;
}

/** @param {ParentNode} root */
function refreshRelative(root) {
  const now = Date.now();
  for (const element of root.querySelectorAll("time[data-relative]")) {
    const moment = new Date(element.getAttribute("datetime") ?? "");
    if (Number.isNaN(moment.getTime())) continue;
    const text = relative(moment, now);
    if (element.textContent !== text) element.textContent = text;
    element.setAttribute("title", full.format(moment));
  }
}

/** @param {ParentNode} root */
function refreshElapsed(root) {
  for (const element of root.querySelectorAll("[data-elapsed]")) {
    const since = new Date(element.getAttribute("datetime") ?? "").getTime();
    if (!Number.isNaN(since)) element.textContent = elapsed((Date.now() - since) / 1000);
  }
}

function refresh() {
  refreshRelative(document);
  refreshElapsed(document);
}

htmx.onLoad(refresh);
document.addEventListener("htmx:afterSwap", refresh);
document.addEventListener("live:shown", refresh);
setInterval(() => refreshElapsed(document), 1000);
setInterval(() => refreshRelative(document), 20_000);
