// Begins a viewer for each log of a page, ends it with its element, and follows links from elsewhere to one of its lines.
import { closest } from "./dom.js";
import { highlight } from "./highlight.js";
import { htmx } from "./htmx-global.js";
import { Logs } from "./logs.js";

/** @type {WeakMap<Element, Logs>} */
const open = new WeakMap();

htmx.onLoad((root) => {
  if (!(root instanceof Element)) return;
  for (const element of [root, ...root.querySelectorAll("[data-logs]")]) {
    if (element instanceof HTMLElement && element.matches("[data-logs]") && !open.has(element)) open.set(element, new Logs(element));
  }
});

/** A link from elsewhere on the page to a line, which leads there without scripts, too. */
document.addEventListener("click", (event) => {
  const link = closest(event, "[data-logs-line]");
  const root = link && document.querySelector("[data-logs]");
  const logs = root && open.get(root);
  if (!link || !logs) return;
  event.preventDefault();
  history.replaceState(history.state, "", `#L${link.dataset.logsLine}`);
  logs.view.focus({ preventScroll: true });
  void logs.goTo(Number(link.dataset.logsLine));
});

document.addEventListener("htmx:beforeCleanupElement", (event) => {
  if (!(event.target instanceof Element)) return;
  open.get(event.target)?.close();
  if (open.has(event.target)) highlight([], "");
});
