// One line of a log as a row: its time, text with colours; of a service's output also its replica, and its fields when it
// is JSON or logfmt; of a log in steps the heading of the step that begins with it.
import { make } from "./dom.js";
import { newPen, paint } from "./sgr.js";
import { relative } from "./time.js";

/** @typedef {{ id: number, at: string | null, replica?: number, release?: number | null, stream: string, level: string, text: string, step?: string }} Line */

const pair = /(?:^| )([A-Za-z_][\w.]{0,60})=("(?:[^"\\]|\\.){0,4000}"|[^\s"]{0,4000})/g;
/** @type {Intl.DateTimeFormatOptions} */
const seconds = { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false };
const wholeSeconds = new Intl.DateTimeFormat(undefined, seconds);
const clock = new Intl.DateTimeFormat(undefined, { ...seconds, fractionalSecondDigits: 3 });
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
  row.append(link);
  if (line.step) row.dataset.step = line.step;
  if (line.replica !== undefined) {
    const by = make("span", "logs-by", String(line.replica));
    by.title = `Replica ${line.replica}${line.release ? ` of release ${line.release}` : ""}, ${line.stream}`;
    row.append(by);
  }
  const text = make("span", "logs-text");
  text.append(...paint(line.text, newPen()));
  row.append(text);
  if (line.replica !== undefined && canUnfold(line.text)) {
    const fold = make("button", "logs-fold");
    fold.type = "button";
    fold.setAttribute("aria-expanded", "false");
    fold.setAttribute("aria-label", "Fields of this line");
    row.append(fold);
  }
  return row;
}

/**
 * Puts the heading of its step over a row that begins one, and takes it away where the one before is of the same step.
 * @param {HTMLElement} row
 * @param {Element | null} before
 * @param {Map<string, string>} labels
 */
export function drawHeading(row, before, labels) {
  const step = row.dataset.step ?? "";
  const heading = row.querySelector(".log-step");
  if (!step || (before instanceof HTMLElement && before.dataset.step === step)) heading?.remove();
  else if (!heading) row.prepend(make("div", "log-step", labels.get(step) ?? step));
}

/**
 * @param {HTMLTimeElement} time
 * @param {string} mode
 */
export function drawTime(time, mode) {
  const moment = new Date(time.dateTime);
  if (Number.isNaN(moment.getTime())) {
    time.textContent = "–";
    return;
  }
  const isPrecise = time.dateTime.includes(".");
  if (mode === "utc") time.textContent = time.dateTime.slice(11, 23).replace("Z", "");
  else time.textContent = mode === "ago" ? relative(moment, Date.now()) : (isPrecise ? clock : wholeSeconds).format(moment);
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
