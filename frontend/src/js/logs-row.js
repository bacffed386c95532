// One line of a service's output as a row: its time, replica, text with colours, and its fields when it is JSON or logfmt.
import { make } from "./dom.js";
import { newPen, paint } from "./sgr.js";
import { relative } from "./time.js";

/** @typedef {{ id: number, at: string | null, replica: number, release: number | null, stream: string, level: string, text: string }} Line */

const pair = /(?:^| )([A-Za-z_][\w.]{0,60})=("(?:[^"\\]|\\.){0,4000}"|[^\s"]{0,4000})/g;
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hour12: false });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/**
 * @param {Line} line
 * @param {string} mode
 */
export function drawRow(line, mode) {
  const row = make("div", `log-line logs-row logs-${line.level}${line.stream === "stderr" ? " logs-stderr" : ""}`);
  row.dataset.line = String(line.id);
  const link = make("a", "logs-at");
  link.href = `#L${line.id}`;
  const time = make("time", "");
  time.dateTime = line.at ?? "";
  drawTime(time, mode);
  link.append(time);
  const by = make("span", "logs-by", String(line.replica));
  by.title = `Replica ${line.replica}${line.release ? ` of release ${line.release}` : ""}, ${line.stream}`;
  const text = make("span", "logs-text");
  text.append(...paint(line.text, newPen()));
  row.append(link, by, text);
  if (canUnfold(line.text)) {
    const fold = make("button", "logs-fold");
    fold.type = "button";
    fold.setAttribute("aria-expanded", "false");
    fold.setAttribute("aria-label", "Fields of this line");
    row.append(fold);
  }
  return row;
}

/**
 * @param {HTMLTimeElement} time
 * @param {string} mode
 */
export function drawTime(time, mode) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) return;
  if (mode === "utc") time.textContent = time.dateTime.slice(11, 23).replace("Z", "");
  else time.textContent = mode === "ago" ? relative(moment, Date.now()) : clock.format(moment);
  time.title = `${full.format(moment)}: a link to this line`;
}

/** @param {string} text */
function canUnfold(text) {
  return (text.startsWith("{") && text.endsWith("}")) || (text.match(pair)?.length ?? 0) > 1;
}

/**
 * The fields of a line; none when it only looked like one that has some.
 * @param {string} text
 * @returns {[string, string][]}
 */
export function fieldsOf(text) {
  if (text.startsWith("{")) {
    try {
      return Object.entries(JSON.parse(text)).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value, null, 2)]);
    } catch {
      return [];
    }
  }
  return [...text.matchAll(pair)].map((match) => [match[1], match[2].replace(/^"(.*)"$/s, "$1")]);
}

/**
 * Shows or hides the fields below a row.
 * @param {HTMLElement} button
 */
export function fold(button) {
  const row = button.closest(".logs-row");
  const open = row?.querySelector(".logs-fields");
  button.setAttribute("aria-expanded", String(!open));
  if (open) return open.remove();
  const list = make("dl", "logs-fields");
  for (const [name, value] of fieldsOf(row?.querySelector(".logs-text")?.textContent ?? "")) {
    list.append(make("dt", "", name), make("dd", "", value));
  }
  if (!list.childElementCount) list.append(make("dt", "", "No fields"));
  return row?.append(list);
}
