// The output of a service: its newest lines, older ones when scrolled up, new ones as they come, and a search over all
// that is kept. At most `most` rows are in the page: what goes out at one end is loaded again when it is scrolled to.
import { confirmCopied, copyText } from "./copy.js";
import { make } from "./dom.js";
import { highlight } from "./highlight.js";
import { htmx } from "./htmx-global.js";
import { Filters } from "./logs-filters.js";
import { drawRow, drawTime, fold } from "./logs-row.js";
import { LogsSearch } from "./logs-search.js";

/** @typedef {import("./logs-row.js").Line} Line */
/** @typedef {{ items: Line[], older: number | null, newer: number | null, total: number | null, is_total_exact: boolean, first: number, problem: string }} Lines */

const pageSize = 300;
const most = 3000;
const near = 400;
const timeKey = "orca.logs.time";

export class Logs {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.base = root.dataset.logs ?? "";
    this.stored = root.dataset.logsStored === "true";
    this.view = /** @type {HTMLElement} */ (root.querySelector("[data-log-view]"));
    this.rows = /** @type {HTMLElement} */ (root.querySelector("[data-logs-rows]"));
    this.mode = localStorage.getItem(timeKey) ?? "local";
    /** @type {Line[]} */
    this.queue = [];
    this.older = /** @type {number | null} */ (null);
    this.newest = -1;
    this.atEnd = false;
    this.loading = false;
    this.following = true;
    this.frame = 0;
    this.lastTop = 0;
    this.turn = 0;
    this.filters = new Filters(root, () => this.begin());
    this.search = new LogsSearch(this);
    this.listen();
    void this.begin(this.target());
  }

  listen() {
    this.button("follow")?.addEventListener("click", () => (this.following ? this.follow(false) : this.toNewest()));
    this.button("wrap")?.addEventListener("click", (event) => this.wrap(event));
    this.button("copy")?.addEventListener("click", (event) => this.copy(event));
    this.button("clear")?.addEventListener("click", () => this.filters.clear());
    this.button("newer")?.addEventListener("click", () => this.toNewest());
    const times = /** @type {HTMLSelectElement} */ (this.button("time"));
    times.value = this.mode;
    times.addEventListener("change", () => this.setMode(times.value));
    this.view.addEventListener("wheel", (event) => event.deltaY < 0 && this.follow(false), { passive: true });
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.rows.addEventListener("click", (event) => this.clicked(event));
    this.hashChanged = () => this.target() !== null && this.goTo(/** @type {number} */ (this.target()));
    addEventListener("hashchange", this.hashChanged);
  }

  /** @param {string} name */
  button(name) {
    return /** @type {HTMLElement | null} */ (this.root.querySelector(`[data-logs-${name}]`));
  }

  target() {
    const match = /^#L(\d{1,15})$/.exec(location.hash);
    return match ? Number(match[1]) : null;
  }

  close() {
    this.source?.close();
    cancelAnimationFrame(this.frame);
    if (this.hashChanged) removeEventListener("hashchange", this.hashChanged);
  }

  /**
   * @param {Record<string, string | number>} wanted
   * @param {boolean} [withQuery]
   * @returns {Promise<Lines>}
   */
  async ask(wanted, withQuery = false) {
    const query = this.filters.request(withQuery);
    for (const [name, value] of Object.entries(wanted)) query.set(name, String(value));
    const answer = await fetch(`${this.base}/lines?${query}`, { headers: { Accept: "application/json" } });
    if (answer.ok) return answer.json();
    const problem = await answer.json().catch(() => ({}));
    throw new Error(problem.detail ?? `The server answered ${answer.status}`);
  }

  /**
   * Begins anew: at the end, or at a line.
   * @param {number | null} [around]
   * @param {boolean} [searches] false where the matches of the search are still these
   */
  async begin(around = null, searches = true) {
    const turn = (this.turn += 1);
    this.source?.close();
    this.queue = [];
    this.drawDownload();
    if (!this.stored) return this.connect(-1);
    this.say("loading", "quiet");
    try {
      const page = await this.ask(around === null ? { limit: pageSize } : { around, limit: pageSize });
      if (turn !== this.turn) return undefined;
      this.rows.replaceChildren();
      this.newest = page.newer ?? -1;
      this.older = page.older;
      this.append(page.items);
      this.drawEnds(page);
      if (!page.items.length) void this.loadOlder();
      this.atEnd = around === null;
      if (this.atEnd) this.connect(this.newest);
      else this.say("history", "quiet");
      this.follow(this.atEnd);
      if (around !== null) this.reveal(around);
      if (searches && this.filters.query) void this.search.run(around === null);
    } catch (error) {
      this.say(error instanceof Error ? error.message : "failed", "bad");
    }
    return undefined;
  }

  /** @param {number} after */
  connect(after) {
    const query = this.filters.request();
    query.set("after", String(after));
    this.source?.close();
    const source = new EventSource(`${this.base}/stream?${query}`);
    source.addEventListener("open", () => {
      const ended = document.querySelector("[data-logs-ended]");
      this.say(ended ? "waiting" : "live", ended ? "quiet" : "busy");
    });
    source.addEventListener("error", () => this.say("reconnecting", "warn"));
    source.addEventListener("end", () => {
      source.close();
      this.say("ended", "quiet");
    });
    source.addEventListener("lines", (event) => this.receive(JSON.parse(event.data).items));
    this.source = source;
    this.atEnd = true;
  }

  /** @param {Line[]} items */
  receive(items) {
    if (!this.root.isConnected) return this.close();
    this.queue.push(...items);
    // A hidden tab gets no frames, so the queue is bounded like the view; what falls out is loaded when scrolled to.
    if (this.queue.length > most) this.queue.splice(0, this.queue.length - most);
    this.frame ||= requestAnimationFrame(() => this.flush());
    return undefined;
  }

  flush() {
    this.frame = 0;
    if (!this.following && this.rows.childElementCount + this.queue.length > most) return this.leaveEnd();
    const gap = this.queue.length && this.newest >= 0 && this.queue[0].id - this.newest > most && !this.filters.any;
    if (gap) {
      this.rows.replaceChildren();
      this.older = this.queue[0].id;
    }
    this.append(this.queue);
    this.queue = [];
    this.trimTop();
    if (this.following) this.toEnd();
    return undefined;
  }

  /** The reader is far from the end: new lines are not put into the page until the end is reached again. */
  leaveEnd() {
    this.source?.close();
    this.queue = [];
    this.atEnd = false;
    this.say("history", "quiet");
    this.drawEnds();
  }

  /** @param {Line[]} lines */
  append(lines) {
    const fresh = lines.filter((line) => line.id > this.last());
    this.rows.append(...fresh.map((line) => drawRow(line, this.mode)));
    if (fresh.length) this.newest = Math.max(this.newest, fresh[fresh.length - 1].id);
    this.drawNone();
    this.search.mark();
  }

  last() {
    const row = this.rows.lastElementChild;
    return row instanceof HTMLElement ? Number(row.dataset.line) : -1;
  }

  trimTop() {
    const extra = this.rows.childElementCount - most;
    if (extra <= 0) return;
    for (let left = extra; left > 0; left -= 1) this.rows.firstElementChild?.remove();
    const first = this.rows.firstElementChild;
    if (first instanceof HTMLElement) this.older = Number(first.dataset.line);
    this.drawEnds();
  }

  async loadOlder() {
    if (this.loading || this.older === null || !this.stored) return;
    this.loading = true;
    try {
      const turn = this.turn;
      let page = await this.ask({ before: this.older, limit: pageSize });
      // A search that takes long comes in parts, which may be empty.
      while (!page.items.length && page.older !== null && turn === this.turn) {
        this.older = page.older;
        page = await this.ask({ before: page.older, limit: pageSize });
      }
      if (turn !== this.turn) return;
      const height = this.view.scrollHeight;
      this.rows.prepend(...page.items.map((line) => drawRow(line, this.mode)));
      this.older = page.older;
      this.drawNone();
      this.drawEnds(page);
      this.view.scrollTop += this.view.scrollHeight - height;
      this.lastTop = this.view.scrollTop;
      const extra = this.rows.childElementCount - most;
      if (extra > 0) {
        for (let left = extra; left > 0; left -= 1) this.rows.lastElementChild?.remove();
        this.newest = this.last();
        this.leaveEnd();
      }
      this.search.mark();
    } catch (error) {
      this.say(error instanceof Error ? error.message : "failed", "bad");
    } finally {
      this.loading = false;
    }
  }

  async loadNewer() {
    if (this.loading || this.atEnd || !this.stored) return;
    this.loading = true;
    try {
      const page = await this.ask({ after: this.last(), limit: pageSize });
      this.append(page.items);
      this.trimTop();
      if (page.items.length < pageSize) this.connect(this.newest);
      this.drawEnds(page);
    } catch (error) {
      this.say(error instanceof Error ? error.message : "failed", "bad");
    }
    this.loading = false;
  }

  /** @param {number} id */
  async goTo(id) {
    this.follow(false);
    if (!this.rows.querySelector(`[data-line="${id}"]`)) await this.begin(id, false);
    else this.reveal(id);
  }

  /** @param {number} id */
  reveal(id) {
    for (const row of this.rows.querySelectorAll(".logs-here")) row.classList.remove("logs-here");
    const row = this.rows.querySelector(`[data-line="${id}"]`);
    if (!(row instanceof HTMLElement)) return;
    row.classList.add("logs-here");
    const place = row.getBoundingClientRect().top - this.view.getBoundingClientRect().top;
    this.view.scrollTop += place - this.view.clientHeight / 2;
    this.lastTop = this.view.scrollTop;
  }

  toNewest() {
    if (this.atEnd) this.follow(true);
    else void this.begin(null, false);
  }

  /** @param {boolean} on */
  follow(on) {
    this.following = on;
    this.button("follow")?.setAttribute("aria-pressed", String(on));
    if (on) this.toEnd();
    this.drawEnds();
  }

  toEnd() {
    this.view.scrollTop = this.view.scrollHeight;
    this.lastTop = this.view.scrollTop;
  }

  scrolled() {
    const { scrollHeight, scrollTop, clientHeight } = this.view;
    const down = scrollTop > this.lastTop;
    const up = scrollTop < this.lastTop;
    this.lastTop = scrollTop;
    if (up && scrollTop < near) void this.loadOlder();
    const left = scrollHeight - scrollTop - clientHeight;
    if (down && left < near) void this.loadNewer();
    if (!this.following && down && this.atEnd && left < 2) this.follow(true);
  }

  /** @param {Event} event */
  clicked(event) {
    const target = event.target instanceof Element ? event.target : null;
    const button = target?.closest(".logs-fold");
    if (button instanceof HTMLElement) fold(button);
  }

  /** @param {string} mode */
  setMode(mode) {
    this.mode = mode;
    localStorage.setItem(timeKey, mode);
    for (const time of this.rows.querySelectorAll("time")) drawTime(time, mode);
  }

  /** @param {Event} event */
  wrap(event) {
    const off = this.view.classList.toggle("log-nowrap");
    if (event.currentTarget instanceof Element) event.currentTarget.setAttribute("aria-pressed", String(!off));
  }

  /** @param {Event} event */
  async copy(event) {
    const button = event.currentTarget;
    const rows = [...this.rows.querySelectorAll(".logs-row")];
    await copyText(rows.map((row) => `${row.querySelector("time")?.dateTime ?? ""} ${row.querySelector(".logs-text")?.textContent ?? ""}`).join("\n"));
    if (button instanceof HTMLElement) confirmCopied(button);
  }

  drawDownload() {
    const link = this.button("download");
    if (link instanceof HTMLAnchorElement) link.href = `${this.base}/download?${this.filters.request(true)}`;
  }

  /** @param {Lines} [page] */
  drawEnds(page) {
    const cut = /** @type {HTMLElement} */ (this.button("cut"));
    if (page) {
      this.isCut = page.first > 0 && page.older === null && !this.filters.any;
      const problem = /** @type {HTMLElement} */ (this.button("problem"));
      problem.textContent = page.problem;
      problem.hidden = !page.problem;
    }
    cut.hidden = this.older !== null || !this.isCut;
    const newer = this.button("newer");
    if (newer) newer.hidden = this.following;
  }

  drawNone() {
    const none = /** @type {HTMLElement} */ (this.button("none"));
    none.hidden = this.rows.childElementCount > 0;
    none.textContent = this.older !== null ? "Searching older lines…" : this.filters.any ? "No line matches these filters." : "Nothing was written yet.";
  }

  /**
   * @param {string} text
   * @param {string} tone
   */
  say(text, tone) {
    const state = /** @type {HTMLElement} */ (this.root.querySelector("[data-log-state]"));
    state.replaceChildren(make("span", "pill-dot"), text);
    state.className = `log-state pill-plain tone-${tone}`;
  }
}

/** @type {WeakMap<Element, Logs>} */
const open = new WeakMap();

htmx.onLoad((root) => {
  if (!(root instanceof Element)) return;
  for (const element of [root, ...root.querySelectorAll("[data-logs]")]) {
    if (element instanceof HTMLElement && element.matches("[data-logs]") && !open.has(element)) open.set(element, new Logs(element));
  }
});

document.addEventListener("htmx:beforeCleanupElement", (event) => {
  if (!(event.target instanceof Element)) return;
  open.get(event.target)?.close();
  if (open.has(event.target)) highlight([], "");
});
