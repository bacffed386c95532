// What the bar over a log offers besides search and following: wrapping, copying, and how times are shown.
import { confirmCopied, copyText } from "./copy.js";
import { drawTime } from "./logs-row.js";

/** @typedef {import("./logs.js").Logs} Logs */

const timeKey = "orca.logs.time";

export function storedMode() {
  return localStorage.getItem(timeKey) ?? "local";
}

/** @param {Logs} logs */
export function offerTools(logs) {
  const times = /** @type {HTMLSelectElement} */ (logs.button("time"));
  times.value = logs.mode;
  times.addEventListener("change", () => setMode(logs, times.value));
  logs.button("wrap")?.addEventListener("click", (event) => {
    const off = logs.view.classList.toggle("log-nowrap");
    if (event.currentTarget instanceof Element) event.currentTarget.setAttribute("aria-pressed", String(!off));
  });
  logs.button("copy")?.addEventListener("click", (event) => copy(logs, event.currentTarget));
}

/** @param {Logs} logs @param {string} mode */
function setMode(logs, mode) {
  logs.mode = mode;
  localStorage.setItem(timeKey, mode);
  for (const time of logs.rows.querySelectorAll("time")) drawTime(time, mode);
}

/** @param {Logs} logs @param {EventTarget | null} button */
async function copy(logs, button) {
  const textOf = (/** @type {Element} */ row) => row.querySelector(".logs-text")?.textContent ?? "";
  const whole = (/** @type {Element} */ row) => `${row.querySelector("time")?.dateTime ?? ""} ${textOf(row)}`;
  await copyText([...logs.rows.querySelectorAll(".logs-row")].map(logs.text ? textOf : whole).join("\n"));
  if (button instanceof HTMLElement) confirmCopied(button);
}
