// The live part of a page: `data-live="address"` names the stream of what the element contains. The whole of it comes
// first and when its outline changes, else the elements that changed, which are matched by id. What people typed,
// chose, opened and scrolled to stays. A lost connection is reported and mended.
import { htmx } from "./htmx-global.js";
import { byId } from "./dom.js";
import { Idiomorph } from "idiomorph";
import { connection } from "./connection.js";
import { showState } from "./page-state.js";

const silence = 3000;
const pauses = [300, 700, 1500, 2500, 4000];

/** @typedef {{ element: Element, url: string, source: EventSource | null, tries: number, alarm: number, again: number, isFirst: boolean }} Part */
/** @type {Part | null} */
let part = null;

/** One stream for a page: that of its first live element. */
function sync() {
  const element = document.querySelector("[data-live]");
  const url = element?.getAttribute("data-live") ?? "";
  if (part && part.element === element && part.url === url) return;
  stop();
  if (!element || !url) return;
  part = { element, url, source: null, tries: 0, alarm: 0, again: 0, isFirst: true };
  open(part);
}

function stop() {
  if (!part) return;
  part.source?.close();
  clearTimeout(part.alarm);
  clearTimeout(part.again);
  part = null;
  connection.found();
}

/** @param {Part} here */
function open(here) {
  const source = new EventSource(here.url);
  here.source = source;
  expect(here);
  source.addEventListener("whole", ({ data }) => heard(here, () => showWhole(here, data)));
  source.addEventListener("parts", ({ data }) => heard(here, () => showParts(here, data)));
  source.addEventListener("beat", () => heard(here));
  source.addEventListener("end", () => {
    source.close();
    clearTimeout(here.alarm);
    connection.found();
    document.dispatchEvent(new CustomEvent("live:end"));
  });
  source.addEventListener("error", () => lost(here));
}

/**
 * @param {Part} here
 * @param {() => void} [show]
 */
function heard(here, show) {
  if (part !== here) return;
  if (here.tries) document.dispatchEvent(new CustomEvent("live:back"));
  here.tries = 0;
  connection.found();
  expect(here);
  show?.();
}

/** @param {Part} here */
function expect(here) {
  clearTimeout(here.alarm);
  here.alarm = setTimeout(() => lost(here), silence);
}

/** @param {Part} here */
function lost(here) {
  if (part !== here) return;
  here.source?.close();
  clearTimeout(here.alarm);
  clearTimeout(here.again);
  if (here.tries || !document.hidden) connection.lost();
  here.again = setTimeout(() => void retry(here), pauses[Math.min(here.tries++, pauses.length - 1)]);
}

/** A stream does not say why it was refused: signed out, gone, or not reached. @param {Part} here */
async function retry(here) {
  const answer = await connection.ask();
  if (part !== here) return;
  if (answer === "signed-out") connection.signedOut(() => open(here));
  else if (answer === "away") lost(here);
  else if (here.tries > 4) location.reload();
  else open(here);
}

const keep = {
  morphStyle: /** @type {const} */ ("innerHTML"),
  ignoreActiveValue: true,
  callbacks: {
    /** @param {Node} old @param {Node} fresh */
    beforeNodeMorphed(old, fresh) {
      if (old instanceof HTMLInputElement && fresh instanceof HTMLInputElement) {
        if (old.type === "checkbox" || old.type === "radio") fresh.toggleAttribute("checked", old.checked);
        else if (old.type !== "hidden" && old.value !== old.defaultValue) fresh.setAttribute("value", old.value);
      }
      return !(old instanceof HTMLTextAreaElement && old.value !== old.defaultValue);
    },
    /** @param {string} name @param {Node} node */
    beforeAttributeUpdated(name, node) {
      const isOwn = name === "open" || name === "aria-expanded" || name === "style";
      return !(isOwn && node instanceof Element);
    },
  },
};

/** @param {Part} here @param {string} html */
function showWhole(here, html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  for (const fresh of box.content.querySelectorAll("[data-elsewhere]")) {
    const old = byId(fresh.id);
    if (old) morph(old, fresh, { ...keep, morphStyle: "outerHTML" });
    if (old) htmx.process(old);
    fresh.remove();
  }
  const before = new Map([...here.element.querySelectorAll("tr[id]")].map((row) => [row.id, row.getAttribute("data-state")]));
  morph(here.element, [...box.content.childNodes], keep);
  if (!here.isFirst) {
    for (const row of here.element.querySelectorAll("tr[id]")) {
      if (!before.has(row.id) || before.get(row.id) !== row.getAttribute("data-state")) flash(row);
    }
  }
  here.isFirst = false;
  shown(here.element);
}

/** @param {Part} here @param {string} html */
function showParts(here, html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  for (const fresh of [...box.content.children]) {
    const old = byId(fresh.id);
    if (!old || !(here.element.contains(old) || old.matches("[data-elsewhere]"))) continue;
    const hasChanged = old.textContent !== fresh.textContent || old.dataset.state !== fresh.getAttribute("data-state");
    morph(old, fresh, { ...keep, morphStyle: "outerHTML" });
    const now = byId(fresh.id);
    if (now && hasChanged) flash(now);
  }
  shown(here.element);
}

/**
 * @param {Element} target
 * @param {Element | Node[]} content
 * @param {object} how
 */
function morph(target, content, how) {
  Idiomorph.morph(target, content, how);
}

/** @param {Element} element */
function shown(element) {
  htmx.process(element);
  document.dispatchEvent(new CustomEvent("live:shown", { detail: element }));
  showState();
}

/** @param {Element} element */
function flash(element) {
  element.classList.remove("flash");
  requestAnimationFrame(() => element.classList.add("flash"));
  setTimeout(() => element.classList.remove("flash"), 1200);
}

document.addEventListener("htmx:afterSettle", sync);
addEventListener("pagehide", stop);
addEventListener("pageshow", (event) => {
  if (event.persisted) sync();
});
addEventListener("offline", () => {
  if (part) lost(part);
});
addEventListener("online", () => {
  if (part) void retry(part);
});
document.addEventListener("visibilitychange", () => {
  if (part && !document.hidden) expect(part);
});
showState();
sync();
