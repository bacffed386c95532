// New lines of a log as they come: in events `lines` {items}, or in events `log` {offset, step, text} whose lines have
// their offset as id. A stream that was lost begins again behind the last line.

/** @typedef {import("./logs-row.js").Line} Line */

const pauses = [1000, 2000, 4000, 8000];
const outsideOfTheFirstPlane = /[\ud800-\udbff]/g;

export class LogStream {
  /** @param {import("./logs.js").Logs} logs */
  constructor(logs) {
    this.logs = logs;
    /** @type {EventSource | null} */
    this.source = null;
    this.again = 0;
    this.tries = 0;
    this.mend = () => this.source && this.open(this.logs.newest);
    addEventListener("online", this.mend);
    document.addEventListener("live:back", this.mend);
  }

  /** @param {number} after the id of the last line that is known */
  open(after) {
    this.close();
    const source = new EventSource(this.logs.streamAddress(after));
    this.source = source;
    source.addEventListener("open", () => {
      this.tries = 0;
      this.logs.sayLive();
    });
    source.addEventListener("error", () => this.lost(source));
    source.addEventListener("end", (event) => {
      this.close();
      this.logs.flush();
      this.logs.ended(JSON.parse(event.data).state);
    });
    source.addEventListener("reset", () => void this.logs.begin());
    source.addEventListener("lines", (event) => this.logs.receive(JSON.parse(event.data).items));
    source.addEventListener("log", (event) => this.logs.receive(linesOf(JSON.parse(event.data))));
  }

  /** The browser itself tries again unless the server refused. @param {EventSource} source */
  lost(source) {
    if (source !== this.source) return;
    this.logs.say("reconnecting", "warn");
    if (source.readyState !== EventSource.CLOSED) return;
    clearTimeout(this.again);
    this.again = setTimeout(this.mend, pauses[Math.min(this.tries++, pauses.length - 1)]);
  }

  close() {
    clearTimeout(this.again);
    this.source?.close();
    this.source = null;
  }

  leave() {
    this.close();
    removeEventListener("online", this.mend);
    document.removeEventListener("live:back", this.mend);
  }
}

/**
 * Offsets count characters, of which some are two of a string's units.
 * @param {{ offset: number, step?: string, text: string, at?: string, level?: string }} chunk
 * @returns {Line[]}
 */
function linesOf({ offset, step = "", text, at = "" }) {
  let id = offset;
  return text.replace(/\n$/, "").split("\n").map((line) => {
    const found = { id, step, text: line.replace(/\r+$/, ""), at, level: levelOf(line), stream: "" };
    id += line.length - (line.match(outsideOfTheFirstPlane)?.length ?? 0) + 1;
    return found;
  });
}

/** How Orca's own lines begin. @param {string} line */
function levelOf(line) {
  if (line.startsWith("✗ ")) return "error";
  return line.startsWith("Warning: ") ? "warn" : "none";
}
