// The log viewer: lines rendered by the server, new ones by server-sent events, batched per frame, bounded in number.
// Events: `log` {"offset", "step", "text"} and `end` {"state"}. An offset seen before is ignored, so a stream that
// reconnects may repeat itself.
import { confirmCopied, copyText } from "./copy.js";
import { make } from "./dom.js";
import { highlight } from "./highlight.js";
import { htmx } from "./htmx-global.js";
import { newPen, paint } from "./sgr.js";

const blockSize = 100;
const endTones = new Map([["succeeded", "good"], ["done", "good"], ["live", "good"], ["failed", "bad"]]);

/** @typedef {{ step: string, text: string }} Line */

class LogViewer {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.view = /** @type {HTMLElement} */ (root.querySelector("[data-log-view]"));
    this.search = /** @type {HTMLInputElement | null} */ (root.querySelector("[data-log-search]"));
    this.limit = Number(root.dataset.logLimit) || 5000;
    this.lastOffset = Number(root.dataset.logOffset ?? -1);
    this.step = root.dataset.logStep ?? "";
    /** @type {Map<string, string>} */
    this.labels = new Map(Object.entries(JSON.parse(root.dataset.logLabels ?? "{}")));
    this.pen = newPen();
    /** @type {Line[]} */
    this.queue = [];
    this.dropped = Number(root.dataset.logDropped) || 0;
    this.lastTop = 0;
    this.frame = 0;
    this.count = this.view.querySelectorAll(".log-line").length;
    this.listen();
    this.follow(root.dataset.logFollow !== "false");
    if (root.dataset.logSrc) this.connect(root.dataset.logSrc);
  }

  listen() {
    this.search?.addEventListener("input", () => this.filter());
    this.button("follow")?.addEventListener("click", () => this.follow(!this.following));
    this.button("wrap")?.addEventListener("click", (event) => this.wrap(event));
    this.button("copy")?.addEventListener("click", (event) => this.copy(event));
    this.view.addEventListener("wheel", (event) => event.deltaY < 0 && this.follow(false), { passive: true });
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
  }

  /** @param {string} name */
  button(name) {
    return this.root.querySelector(`[data-log-${name}]`);
  }

  /** @param {string} address */
  connect(address) {
    this.source = new EventSource(address);
    this.source.addEventListener("open", () => this.say("live", "busy"));
    this.source.addEventListener("error", () => this.say("reconnecting", "warn"));
    this.source.addEventListener("log", (event) => this.receive(JSON.parse(event.data)));
    this.source.addEventListener("end", (event) => this.end(JSON.parse(event.data).state));
  }

  close() {
    this.source?.close();
    cancelAnimationFrame(this.frame);
  }

  /** @param {{ offset: number, step?: string, text: string }} chunk */
  receive({ offset, step = "", text }) {
    if (!this.root.isConnected) this.close();
    if (offset <= this.lastOffset) return;
    this.lastOffset = offset;
    const label = this.labels.get(step) ?? step;
    for (const line of text.replace(/\r?\n$/, "").split(/\r?\n/)) this.queue.push({ step: label, text: line });
    this.bound();
    this.frame ||= requestAnimationFrame(() => this.flush());
  }

  /** A hidden tab gets no frames, so the queue is bounded like the view. */
  bound() {
    const extra = this.queue.length - this.limit;
    if (extra <= 0) return;
    this.queue.splice(0, extra);
    this.dropped += extra;
  }

  flush() {
    this.frame = 0;
    this.view.querySelector("[data-log-none]")?.remove();
    const wanted = this.search?.value.toLowerCase() ?? "";
    for (const line of this.queue) this.append(line, wanted);
    this.queue = [];
    this.trim();
    if (wanted) this.report(wanted);
    if (this.following) this.toEnd();
  }

  /**
   * @param {Line} line
   * @param {string} wanted
   */
  append({ step, text }, wanted) {
    if (step && step !== this.step) this.block().append(make("div", "log-step", step));
    this.step = step || this.step;
    const row = make("div", "log-line");
    row.append(...paint(text, this.pen));
    if (wanted) row.hidden = !row.textContent?.toLowerCase().includes(wanted);
    this.block().append(row);
    this.count += 1;
  }

  /** The last block with room in it. */
  block() {
    const last = this.view.lastElementChild;
    if (last?.matches(".log-block") && last.childElementCount < blockSize) return last;
    const fresh = make("div", "log-block");
    this.view.append(fresh);
    return fresh;
  }

  trim() {
    for (let first = this.firstBlock(); first && this.count > this.limit; first = this.firstBlock()) {
      if (first === this.view.lastElementChild) break;
      const lines = first.querySelectorAll(".log-line").length;
      first.remove();
      this.count -= lines;
      this.dropped += lines;
    }
    if (this.dropped) this.noteDropped();
  }

  firstBlock() {
    return this.view.querySelector(".log-block");
  }

  noteDropped() {
    let note = this.view.querySelector(".log-cut");
    if (!note) {
      note = make("div", "log-cut");
      this.view.prepend(note);
    }
    note.textContent = `${this.dropped.toLocaleString("en")} earlier lines are in the download only`;
  }

  /** @param {boolean} on */
  follow(on) {
    this.following = on;
    this.button("follow")?.setAttribute("aria-pressed", String(on));
    if (on) this.toEnd();
  }

  /** Its own scrolling is noted at once, so that the event it causes is not taken for the reader's. */
  toEnd() {
    this.view.scrollTop = this.view.scrollHeight;
    this.lastTop = this.view.scrollTop;
  }

  /** Back at the end by the reader's own scrolling, the view follows again. */
  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.view;
    const down = scrollTop > this.lastTop;
    this.lastTop = scrollTop;
    if (!this.following && down && scrollHeight - scrollTop - clientHeight < 2) this.follow(true);
  }

  /** @param {Event} event */
  wrap(event) {
    const off = this.view.classList.toggle("log-nowrap");
    if (event.currentTarget instanceof Element) event.currentTarget.setAttribute("aria-pressed", String(!off));
  }

  filter() {
    const wanted = this.search?.value.toLowerCase() ?? "";
    for (const row of this.lines()) row.hidden = wanted !== "" && !row.textContent?.toLowerCase().includes(wanted);
    this.report(wanted);
    if (this.following) this.toEnd();
  }

  lines() {
    return /** @type {NodeListOf<HTMLElement>} */ (this.view.querySelectorAll(".log-line"));
  }

  /**
   * A heading is shown with what is shown below it.
   * @param {boolean} searching
   */
  headings(searching) {
    /** @type {HTMLElement | null} */
    let heading = null;
    for (const row of /** @type {NodeListOf<HTMLElement>} */ (this.view.querySelectorAll(".log-step, .log-line"))) {
      if (row.matches(".log-step")) {
        heading = row;
        heading.hidden = searching;
      } else if (heading && !row.hidden) heading.hidden = false;
    }
  }

  /** @param {string} wanted */
  report(wanted) {
    const found = [...this.lines()].filter((row) => !row.hidden);
    this.headings(wanted !== "");
    const output = this.root.querySelector("[data-log-found]");
    if (output) output.textContent = wanted ? `${found.length} of ${this.count}` : "";
    this.noteNone(wanted !== "" && !found.length);
    highlight(wanted ? found : [], wanted);
  }

  /** @param {boolean} none */
  noteNone(none) {
    let note = /** @type {HTMLElement | null} */ (this.view.querySelector("[data-log-no-match]"));
    if (!note && none) {
      note = make("p", "log-none", "No line here has that text.");
      note.dataset.logNoMatch = "";
      this.view.prepend(note);
    }
    if (note) note.hidden = !none;
  }

  /** @param {Event} event */
  async copy(event) {
    const rows = [...this.lines()].filter((row) => !row.hidden);
    await copyText(rows.map((row) => row.textContent).join("\n"));
    if (event.currentTarget instanceof HTMLElement) confirmCopied(event.currentTarget);
  }

  /**
   * @param {string} text
   * @param {string} tone
   */
  say(text, tone) {
    const state = this.root.querySelector("[data-log-state]");
    if (!state) return;
    state.replaceChildren(make("span", "pill-dot"), text);
    state.className = `log-state pill-plain tone-${tone}`;
  }

  /** @param {string} state */
  end(state) {
    this.close();
    this.flush();
    this.say(state, endTones.get(state) ?? "quiet");
    this.root.dispatchEvent(new CustomEvent("orca:log-end", { bubbles: true, detail: { state } }));
  }
}

/** @type {WeakMap<Element, LogViewer>} */
const viewers = new WeakMap();

htmx.onLoad((root) => {
  if (!(root instanceof Element)) return;
  const found = [...root.querySelectorAll("[data-log]")];
  if (root.matches("[data-log]")) found.push(root);
  for (const element of found) if (!viewers.has(element)) viewers.set(element, new LogViewer(/** @type {HTMLElement} */ (element)));
});

document.addEventListener("htmx:beforeCleanupElement", (event) => {
  if (event.target instanceof Element) viewers.get(event.target)?.close();
});
