// A log of any length: its newest lines, older ones when scrolled up, new ones as they come, and a search over all that
// is kept. At most `most` rows are in the page: what goes out at one end is loaded again when it is scrolled to.
// `components/log.html` has its markup. The server may have drawn the first rows; else the script asks for them.
import { make } from "./dom.js";
import { Filters } from "./logs-filters.js";
import { drawHeading, drawRow, drawTime, fold } from "./logs-row.js";
import { LogsSearch } from "./logs-search.js";
import { LogStream } from "./logs-stream.js";
import { offerTools, storedMode } from "./logs-tools.js";

/** @typedef {import("./logs-row.js").Line} Line */
/** @typedef {{ items: Line[], older: number | null, newer: number | null, total: number | null, is_total_exact?: boolean, first?: number, problem?: string }} Lines */

const pageSize = 300;
const most = 1500;
const pace = 250;
const near = 400;
const endTones = new Map([["succeeded", "good"], ["done", "good"], ["failed", "bad"]]);

export class Logs {
  /** @param {HTMLElement} root */
  constructor(root) {
    this.root = root;
    this.base = root.dataset.logs ?? "";
    this.stored = root.dataset.logsStored === "true";
    /** Where a stream of text comes from, whose lines have their offset as id. */
    this.text = root.dataset.logsText ?? "";
    this.isOver = root.dataset.logsOver === "true";
    /** @type {Map<string, string>} */
    this.labels = new Map(Object.entries(JSON.parse(root.dataset.logsLabels ?? "{}")));
    this.view = /** @type {HTMLElement} */ (root.querySelector("[data-log-view]"));
    this.rows = /** @type {HTMLElement} */ (root.querySelector("[data-logs-rows]"));
    this.mode = storedMode();
    /** @type {Line[]} */
    this.queue = [];
    this.older = /** @type {number | null} */ (null);
    this.newest = -1;
    this.atEnd = false;
    this.loading = false;
    this.following = true;
    this.timer = 0;
    this.lastTop = 0;
    this.turn = 0;
    this.skipped = false;
    this.stream = new LogStream(this);
    this.filters = new Filters(root, () => this.restart());
    this.search = new LogsSearch(this);
    this.listen();
    if (root.dataset.logsDrawn === "true") this.adopt();
    else void this.restart(this.target());
  }

  /** Goes on from the rows that the server has drawn. */
  adopt() {
    for (const time of this.rows.querySelectorAll("time")) drawTime(time, this.mode);
    this.older = this.root.dataset.logsOlder ? Number(this.root.dataset.logsOlder) : null;
    this.newest = this.last();
    this.atEnd = this.root.dataset.logsEnd === "true";
    this.follow(this.atEnd);
    if (this.atEnd) this.connect(this.newest);
    else this.say("history", "quiet");
    const line = this.target();
    if (line !== null) void this.goTo(line);
    if (this.filters.query) void this.search.run(line === null);
  }

  listen() {
    this.button("follow")?.addEventListener("click", () => (this.following ? this.follow(false) : this.toNewest()));
    this.button("clear")?.addEventListener("click", () => this.filters.clear());
    this.button("newer")?.addEventListener("click", () => this.toNewest());
    offerTools(this);
    this.view.addEventListener("wheel", (event) => event.deltaY < 0 && this.wheeledUp(), { passive: true });
    this.view.addEventListener("scroll", () => this.scrolled(), { passive: true });
    this.rows.addEventListener("click", (event) => this.clicked(event));
    // Rows get their height when they come into view.
    this.sizes = new ResizeObserver(() => this.following && !this.isAtEnd() && this.toEnd());
    this.sizes.observe(this.rows);
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
    this.stream.leave();
    this.sizes?.disconnect();
    clearTimeout(this.timer);
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

  /** Begins anew: at the end, or at a line. @param {number | null} [around] */
  async begin(around = null) {
    const turn = (this.turn += 1);
    this.stream.close();
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
    } catch (error) {
      this.say(error instanceof Error ? error.message : "failed", "bad");
    }
    return undefined;
  }

  /**
   * Begins anew, and searches again.
   * @param {number | null} [around]
   */
  async restart(around = null) {
    await this.begin(around);
    if (this.filters.query) await this.search.run(around === null);
  }

  /** @param {number} after */
  connect(after) {
    this.atEnd = true;
    if (this.isOver) this.ended(this.root.dataset.logsState ?? "ended");
    else this.stream.open(after);
  }

  /** @param {number} after */
  streamAddress(after) {
    if (this.text) return `${this.text}?after=${after + 1}`;
    const query = this.filters.request();
    query.set("after", String(after));
    return `${this.base}/stream?${query}`;
  }

  sayLive() {
    const ended = document.querySelector("[data-logs-ended]");
    this.say(ended ? "waiting" : "live", ended ? "quiet" : "busy");
  }

  /** @param {string} state */
  ended(state) {
    this.isOver = this.isOver || this.text !== "";
    this.say(state, endTones.get(state) ?? "quiet");
  }

  /** @param {Line[]} items */
  receive(items) {
    if (!this.root.isConnected) return this.close();
    this.queue.push(...items);
    // A hidden tab draws seldom, so the queue is bounded like the view; what falls out is loaded when scrolled to.
    if (this.queue.length > most) {
      this.queue.splice(0, this.queue.length - most);
      this.skipped = true;
    }
    this.timer ||= window.setTimeout(() => this.flush(), pace); // each drawing lays out the page anew
    return undefined;
  }

  flush() {
    this.timer = 0;
    if (!this.following && this.rows.childElementCount + this.queue.length > most) return this.leaveEnd();
    const isCounted = !this.text && !this.filters.any;
    const gap = this.queue.length && this.newest >= 0 && isCounted && this.queue[0].id - this.newest > most;
    if (gap || this.skipped) {
      this.rows.replaceChildren();
      this.older = this.queue[0].id;
      this.skipped = false;
    }
    this.append(this.queue);
    this.queue = [];
    this.trimTop();
    if (this.following) this.toEnd();
    return undefined;
  }

  /** The reader is far from the end: new lines are not put into the page until the end is reached again. */
  leaveEnd() {
    this.stream.close();
    this.queue = [];
    this.atEnd = false;
    this.say("history", "quiet");
    this.drawEnds();
  }

  /** @param {Line[]} lines */
  append(lines) {
    let last = this.last();
    for (const line of lines) {
      if (line.id <= last) continue;
      last = line.id;
      const row = drawRow(line, this.mode);
      drawHeading(row, this.rows.lastElementChild, this.labels);
      this.rows.append(row);
    }
    this.newest = Math.max(this.newest, last);
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
    if (first instanceof HTMLElement) {
      this.older = Number(first.dataset.line);
      drawHeading(first, null, this.labels);
    }
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
      const rows = page.items.map((line) => drawRow(line, this.mode));
      const first = this.rows.firstElementChild;
      this.rows.prepend(...rows);
      for (const row of [...rows, first]) {
        if (row instanceof HTMLElement) drawHeading(row, row.previousElementSibling, this.labels);
      }
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
    if (!this.rows.querySelector(`[data-line="${id}"]`)) await this.begin(id);
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
    else void this.begin();
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

  /** At the very top there is nothing to scroll, so that no other event says what the reader wants. */
  wheeledUp() {
    this.follow(false);
    if (this.view.scrollTop < near) void this.loadOlder();
  }

  isAtEnd() {
    return this.view.scrollHeight - this.view.scrollTop - this.view.clientHeight < 2;
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

  drawDownload() {
    const link = this.button("download");
    if (link instanceof HTMLAnchorElement && !this.text) link.href = `${this.base}/download?${this.filters.request(true)}`;
  }

  /** @param {Lines} [page] */
  drawEnds(page) {
    const cut = /** @type {HTMLElement} */ (this.button("cut"));
    if (page) {
      this.isCut = (page.first ?? 0) > 0 && page.older === null && !this.filters.any;
      const problem = /** @type {HTMLElement} */ (this.button("problem"));
      problem.textContent = page.problem ?? "";
      problem.hidden = !page.problem;
    }
    cut.hidden = this.older !== null || !this.isCut;
    const newer = this.button("newer");
    if (newer) newer.hidden = this.following;
  }

  drawNone() {
    const none = /** @type {HTMLElement} */ (this.button("none"));
    none.hidden = this.rows.childElementCount > 0;
    if (this.older !== null) none.textContent = "Searching older lines…";
    else if (this.filters.any) none.textContent = "No line matches these filters.";
    else none.textContent = this.isOver ? "Nothing was written." : "Nothing was written yet.";
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
