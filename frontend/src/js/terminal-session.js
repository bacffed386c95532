// One shell: what xterm.js shows, and the WebSocket that docs/shell.md describes. A lost connection is mended: the
// server keeps the shell for a minute.
import { FitAddon } from "@xterm/addon-fit";
import { Terminal } from "@xterm/xterm";
import { make } from "./dom.js";

/** @typedef {{ service: string, name: string, replica: string, terminal: string }} Kept what is needed to come back to it */

const input = 0;
const chunk = 16 * 1024;
const pauses = [300, 700, 1500, 3000, 5000, 8000, 12000, 15000];
const encoder = new TextEncoder();
const readMemory = "orca.shells.read";
const font = getComputedStyle(document.documentElement).getPropertyValue("--font-mono") || "monospace";

/** Letters are measured once, so the typeface has to be there before the first shell. */
export const fontLoads = document.fonts.load(`13px ${font}`);

/** Whether output is read by screen readers, which costs others speed. */
export const isRead = () => localStorage.getItem(readMemory) === "yes";

/** @param {boolean} read */
export function setRead(read) {
  localStorage.setItem(readMemory, read ? "yes" : "no");
}

function themeOf() {
  const style = getComputedStyle(document.documentElement);
  const colour = (/** @type {string} */ name) => style.getPropertyValue(name).trim();
  const [red, green, yellow, blue, magenta, cyan] = ["--color-error", "--color-success", "--color-warning", "--color-info", "--busy", "--color-primary"].map(colour);
  const [ground, ink, black, white, muted] = ["--color-base-100", "--color-base-content", "--ansi-black", "--ansi-white", "--ink-muted"].map(colour);
  return {
    background: ground, foreground: ink, cursor: ink, cursorAccent: ground, selectionBackground: cyan, selectionForeground: ground,
    black, red, green, yellow, blue, magenta, cyan, white,
    brightBlack: muted, brightRed: red, brightGreen: green, brightYellow: yellow, brightBlue: blue, brightMagenta: magenta, brightCyan: cyan, brightWhite: ink,
  };
}

const sentence = (text = "") => text && `${text[0].toUpperCase()}${text.slice(1).replace(/\.$/, "")}.`;

/** Why a connection was refused, which a WebSocket does not say. */
async function askWhy() {
  try {
    const { status } = await fetch("/api/v1/me", { cache: "no-store", signal: AbortSignal.timeout(8000) });
    if (status === 401) return "You are signed out.";
    return status < 500 ? "Orca refused the connection: you may not open a shell here, or have too many connections." : "";
  } catch {
    return "";
  }
}

export class Session {
  /**
   * @param {Kept} kept
   * @param {() => void} changed
   * @param {() => void} leave moves the focus out of the shell
   */
  constructor(kept, changed, leave) {
    this.kept = kept;
    this.changed = changed;
    this.container = "";
    /** Why it is not connected, for people. */
    this.note = "";
    this.isOver = false;
    this.isElsewhere = false;
    this.screen = make("div", "shells-screen");
    this.xterm = new Terminal({
      cursorBlink: !matchMedia("(prefers-reduced-motion: reduce)").matches,
      fontFamily: font,
      fontSize: innerWidth < 720 ? 12 : 13,
      linkHandler: { activate: () => undefined },
      logLevel: "off",
      minimumContrastRatio: 4.5,
      screenReaderMode: isRead(),
      scrollback: 5000,
      theme: themeOf(),
    });
    this.fitting = new FitAddon();
    this.xterm.loadAddon(this.fitting);
    this.xterm.attachCustomKeyEventHandler((event) => this.takeKey(event, leave));
    this.xterm.onData((text) => this.type(encoder.encode(text)));
    this.xterm.onBinary((text) => this.type(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
    this.xterm.onResize(({ cols, rows }) => this.tell({ type: "resize", columns: cols, rows }));
    /** @type {WebSocket | null} */
    this.socket = null;
    /** @type {Uint8Array[]} */
    this.typed = [];
    this.room = 0;
    this.shown = 0;
    this.tries = 0;
    this.again = 0;
    this.isReplayed = this.isMuted = false;
  }

  /** Needs a place on the page, because letters are measured. */
  start() {
    this.xterm.open(this.screen);
    this.xterm.textarea?.setAttribute("aria-label", `Shell in ${this.kept.name}. Shift and F6 leave it.`);
    this.fit();
    this.connect();
  }

  fit() {
    if (this.screen.offsetHeight > 0) this.fitting.fit();
  }

  connect() {
    const { service, replica, terminal } = this.kept;
    const socket = new WebSocket(`${location.origin.replace("http", "ws")}/api/v1/services/${service}/terminal`);
    socket.binaryType = "arraybuffer";
    const size = () => ({ columns: this.xterm.cols, rows: this.xterm.rows });
    const open = { type: "open", tty: true, keep: true, ...(replica ? { replica: Number(replica) } : {}) };
    socket.addEventListener("open", () => this.tell({ ...(terminal ? { type: "attach", terminal } : open), ...size() }));
    socket.addEventListener("message", ({ data }) => {
      if (typeof data === "string") this.hear(JSON.parse(data));
      else this.show(new Uint8Array(data).subarray(1));
    });
    socket.addEventListener("close", () => {
      if (this.socket === socket && !this.isOver && !this.isElsewhere) void this.lose();
    });
    this.socket = socket;
    this.isElsewhere = false;
  }

  /** @param {{ type: string, terminal: string, replica: string, window: number, bytes: number, message: string, hint?: string, reason: string, exit_code: number | null }} said */
  hear(said) {
    if (said.type === "ack") {
      this.room += said.bytes;
      this.send();
    } else if (said.type === "opened") {
      this.isReplayed = said.terminal === this.kept.terminal;
      if (this.isReplayed) this.xterm.reset();
      this.kept.terminal = said.terminal;
      this.container = said.replica;
      [this.room, this.shown, this.tries] = [said.window, 0, 0];
      this.say("");
      this.send();
    } else if (said.type === "moved") {
      this.isElsewhere = true;
      this.say("This shell is shown in another window.");
    } else if (said.type === "refused") this.end([said.message, said.hint].map(sentence).join(" ").trim());
    else if (said.type === "closed") {
      this.end(said.reason === "exited" && said.exit_code !== null ? `The shell ended with exit code ${said.exit_code}.` : said.message);
    }
  }

  /**
   * What was written before is shown again after a page load. Programs asked the terminal something in it, perhaps;
   * they got their answers then.
   * @param {Uint8Array} output
   */
  show(output) {
    const isReplay = this.isReplayed;
    this.isReplayed = false;
    if (isReplay) this.isMuted = true;
    this.xterm.write(output, () => {
      if (isReplay) this.isMuted = false;
      this.shown += output.length;
      if (this.shown < chunk && this.again === 0) this.again = setTimeout(() => this.acknowledge(), 30);
      else if (this.shown >= chunk) this.acknowledge();
    });
  }

  acknowledge() {
    clearTimeout(this.again);
    this.again = 0;
    if (this.shown) this.tell({ type: "ack", bytes: this.shown });
    this.shown = 0;
  }

  /** @param {Uint8Array} data */
  type(data) {
    if (this.isMuted || this.isOver) return;
    for (let at = 0; at < data.length; at += chunk) this.typed.push(data.subarray(at, at + chunk));
    this.send();
  }

  send() {
    while (this.typed.length && this.typed[0].length <= this.room && this.socket?.readyState === WebSocket.OPEN) {
      const data = /** @type {Uint8Array} */ (this.typed.shift());
      const message = new Uint8Array(data.length + 1);
      message[0] = input;
      message.set(data, 1);
      this.room -= data.length;
      this.socket.send(message);
    }
  }

  /** @param {object} message */
  tell(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  /** @param {KeyboardEvent} event @param {() => void} leave */
  takeKey(event, leave) {
    if (event.type !== "keydown") return true;
    const { key, ctrlKey, shiftKey } = event;
    if (shiftKey && (key === "F6" || (ctrlKey && key === "Escape"))) leave();
    else if (ctrlKey && shiftKey && key.toLowerCase() === "c") void this.copy();
    else if (ctrlKey && !shiftKey && key === "c" && this.xterm.hasSelection()) void this.copy();
    else return !(ctrlKey && shiftKey && key.toLowerCase() === "v");
    event.preventDefault();
    event.stopPropagation();
    return false;
  }

  async copy() {
    const text = this.xterm.getSelection();
    if (!text) return false;
    await navigator.clipboard.writeText(text);
    this.xterm.clearSelection();
    return true;
  }

  async lose() {
    const pause = pauses[this.tries++];
    if (!this.kept.terminal || pause === undefined) return this.end((await askWhy()) || "The connection was lost.");
    this.say("Connection lost, trying again…");
    setTimeout(async () => {
      const why = await askWhy();
      if (why.includes("signed out")) this.end(why);
      else if (!this.isOver) this.connect();
    }, pause);
  }

  /** @param {string} note */
  end(note) {
    this.isOver = true;
    this.xterm.options.disableStdin = true;
    this.xterm.options.cursorBlink = false;
    this.say(note);
  }

  /** @param {string} note */
  say(note) {
    this.note = note;
    this.changed();
  }

  paint() {
    this.xterm.options.theme = themeOf();
    this.xterm.options.screenReaderMode = isRead();
  }

  close() {
    this.isOver = true;
    this.tell({ type: "close" });
    this.socket?.close();
    this.xterm.dispose();
    this.screen.remove();
  }
}
