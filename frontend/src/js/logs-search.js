// Searching all lines that are kept: how many match, and one after the other in their surroundings.
import { highlight } from "./highlight.js";

const pageSize = 500;
const pause = 350;

export class LogsSearch {
  /** @param {import("./logs.js").Logs} logs */
  constructor(logs) {
    this.logs = logs;
    this.input = /** @type {HTMLInputElement} */ (logs.button("search"));
    this.output = /** @type {HTMLElement} */ (logs.button("found"));
    /** @type {number[]} ids of matches, newest first */
    this.matches = [];
    /** @type {number | null} where older matches are searched for */
    this.older = null;
    this.total = 0;
    this.exact = true;
    this.marked = false;
    this.at = -1;
    this.timer = 0;
    this.turn = 0;
    this.input.value = logs.filters.query;
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("keydown", (event) => this.pressed(event));
    logs.button("up")?.addEventListener("click", () => this.step(1));
    logs.button("down")?.addEventListener("click", () => this.step(-1));
    this.draw();
  }

  typed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.logs.filters.search(this.input.value.trim());
      this.logs.drawDownload();
      void this.run(true);
    }, pause);
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    if (event.key !== "Enter") return;
    event.preventDefault();
    void this.step(event.shiftKey ? -1 : 1);
  }

  /** @param {boolean} jump whether to go to the newest match */
  async run(jump) {
    const query = this.logs.filters.query;
    const turn = (this.turn += 1);
    this.matches = [];
    this.older = null;
    this.total = 0;
    this.at = -1;
    if (!query || !this.logs.stored) return this.draw();
    this.output.textContent = "searching…";
    try {
      const page = await this.logs.ask({ limit: pageSize }, true);
      if (turn !== this.turn) return undefined;
      this.matches = page.items.map((line) => line.id).reverse();
      this.older = page.older;
      this.total = page.total ?? page.items.length;
      this.exact = page.is_total_exact ?? true;
      if (jump) await this.step(1);
      this.draw();
    } catch (error) {
      this.output.textContent = error instanceof Error ? error.message : "failed";
    }
    return undefined;
  }

  /** @param {number} by 1 is the next older match, -1 the next newer one */
  async step(by) {
    const wanted = this.at + by;
    const turn = this.turn;
    while (wanted >= this.matches.length && this.older !== null) {
      const page = await this.logs.ask({ before: this.older, limit: pageSize }, true);
      if (turn !== this.turn) return;
      this.matches.push(...page.items.map((line) => line.id).reverse());
      this.older = page.older;
      this.total = Math.max(this.total, this.matches.length);
    }
    if (this.older === null) this.exact = true;
    if (!this.matches.length) return this.draw();
    this.at = Math.min(Math.max(wanted, 0), this.matches.length - 1);
    this.draw();
    await this.logs.goTo(this.matches[this.at]);
    this.mark();
  }

  draw() {
    const query = this.logs.filters.query;
    const total = `${this.total.toLocaleString("en")}${this.exact ? "" : "+"}`;
    if (!query) this.output.textContent = "";
    else if (this.at < 0) this.output.textContent = `${total} matches in all kept lines`;
    else this.output.textContent = `${this.at + 1} of ${total}`;
    for (const name of ["up", "down"]) {
      const button = this.logs.button(name);
      if (button) button.hidden = !query || !this.matches.length;
    }
    this.mark();
  }

  mark() {
    const query = this.logs.filters.query.toLowerCase();
    if (!query && !this.marked) return;
    this.marked = query !== "";
    const rows = query ? [.../** @type {NodeListOf<HTMLElement>} */ (this.logs.rows.querySelectorAll(".logs-text"))] : [];
    highlight(rows.filter((row) => row.textContent?.toLowerCase().includes(query)), query);
  }
}
