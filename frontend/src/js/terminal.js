// The drawer at the bottom of the page with the shells that are open. A file of its own, which shells.js fetches.
// Shells outlive a page: the next one finds them in the session's storage and comes back to them.
import "./terminal-styles.js";
import "@xterm/xterm/css/xterm.css";
import "../css/terminal.css";
import { icon, make } from "./dom.js";
import { Session, fontLoads, isRead, setRead } from "./terminal-session.js";

/** @typedef {import("./terminal-session.js").Kept} Kept */

const memory = "orca.shells";
const heightMemory = "orca.shells.height";
const least = 140;
const step = 32;
const keys = [["Esc", "\x1b"], ["Tab", "\t"], ["^C", "\x03"], ["^D", "\x04"], ["↑", "\x1b[A"], ["↓", "\x1b[B"], ["←", "\x1b[D"], ["→", "\x1b[C"]];

/** @type {Session[]} */
let sessions = [];
/** @type {Session | undefined} */
let current;
let isFolded = false;
let height = Number(localStorage.getItem(heightMemory)) || 320;

/** @param {string} label @param {string} className @param {() => void} act */
function makeButton(label, className, act) {
  const button = make("button", className, label);
  button.type = "button";
  button.addEventListener("click", act);
  return button;
}

/** @param {string} name @param {string} label @param {() => void} act */
function makeTool(name, label, act) {
  const button = makeButton("", "btn btn-ghost btn-sm btn-square", act);
  button.title = label;
  button.setAttribute("aria-label", label);
  button.append(icon(name));
  return button;
}

const drawer = make("section", "shells");
const grip = make("div", "shells-grip");
const tabs = make("div", "shells-tabs");
const note = make("p", "shells-note");
const said = make("span", "");
const again = makeButton("Open again", "btn btn-sm", reopen);
const screens = make("div", "shells-screens");
const touch = make("div", "shells-keys");
const read = makeButton("Read output to screen readers", "btn btn-sm sr-only focus:not-sr-only", () => {
  setRead(!isRead());
  paintAll();
});
const fold = makeTool("chevron-down", "Fold the shells", () => setFolded(!isFolded));

function build() {
  drawer.setAttribute("aria-label", "Shells");
  drawer.hidden = true;
  const head = make("div", "shells-bar");
  const tools = make("div", "shells-tools");
  const hint = make("span", "shells-hint", "Leave by ");
  hint.title = "Shift and F6, or Ctrl, Shift and Escape, leave the shell";
  hint.append(make("kbd", "kbd", "Shift F6"));
  tools.append(hint, makeButton("Copy", "btn btn-ghost btn-sm", () => void copy()), makeButton("Paste", "btn btn-ghost btn-sm", () => void paste()));
  tools.append(makeTool("plus", "Another shell in this service", another), fold, makeTool("x", "Close this shell", () => current && close(current)));
  tabs.setAttribute("role", "tablist");
  tabs.setAttribute("aria-label", "Shells");
  head.append(tabs, read, tools);
  note.setAttribute("role", "status");
  note.append(said, again);
  screens.setAttribute("role", "tabpanel");
  screens.id = "shells-screens";
  for (const [label, text] of keys) touch.append(makeButton(label, "btn btn-sm", () => press(text)));
  touch.addEventListener("pointerdown", (event) => event.preventDefault());
  drawer.append(grip, head, note, screens, touch);
  document.body.append(drawer);
  buildGrip();
}

function buildGrip() {
  grip.tabIndex = 0;
  for (const [name, value] of Object.entries({ role: "separator", "aria-orientation": "horizontal", "aria-label": "Height of the shells", "aria-valuemin": least })) {
    grip.setAttribute(name, String(value));
  }
  grip.addEventListener("pointerdown", (event) => {
    grip.setPointerCapture(event.pointerId);
    event.preventDefault();
  });
  grip.addEventListener("pointermove", (event) => {
    if (grip.hasPointerCapture(event.pointerId)) setHeight(drawer.getBoundingClientRect().bottom - event.clientY);
  });
  grip.addEventListener("keydown", (event) => {
    const wanted = { ArrowUp: height + step, ArrowDown: height - step, Home: least, End: innerHeight }[event.key];
    if (wanted === undefined) return;
    event.preventDefault();
    setHeight(wanted);
  });
}

/** @param {number} wanted */
function setHeight(wanted) {
  height = Math.round(wanted);
  localStorage.setItem(heightMemory, String(height));
  arrange();
}

/** Above the keyboard of a phone, and no higher than what is left to see. */
function arrange() {
  const seen = window.visualViewport;
  const covered = seen ? Math.max(0, innerHeight - seen.height - seen.offsetTop) : 0;
  const { style } = document.documentElement;
  style.setProperty("--shells-covered", `${covered}px`);
  const most = Math.max(least, Math.round(drawer.getBoundingClientRect().bottom) - 60);
  const shown = Math.min(Math.max(height, least), most);
  style.setProperty("--shells-height", isFolded ? "auto" : `${shown}px`);
  style.setProperty("--shells-room", `${sessions.length ? drawer.offsetHeight : 0}px`);
  grip.setAttribute("aria-valuemax", String(most));
  grip.setAttribute("aria-valuenow", String(shown));
  current?.fit();
}

/** @param {boolean} folded */
function setFolded(folded) {
  isFolded = folded;
  redraw();
  if (!folded) current?.xterm.focus();
}

/** @param {Session} session */
function makeTab(session) {
  const isCurrent = session === current;
  const { name, replica } = session.kept;
  const others = sessions.filter((other) => other.kept.service === session.kept.service);
  const label = `${name}${replica && `-${replica}`}${others.length > 1 ? ` (${others.indexOf(session) + 1})` : ""}`;
  const tab = makeButton(label, "shells-tab", () => {
    choose(session);
    setFolded(false);
  });
  const facts = { role: "tab", "aria-selected": isCurrent, "aria-controls": screens.id, title: session.container };
  for (const [key, value] of Object.entries(facts)) tab.setAttribute(key, String(value));
  tab.tabIndex = isCurrent ? 0 : -1;
  tab.toggleAttribute("data-over", session.isOver);
  return tab;
}

function redraw() {
  const hadFocus = tabs.contains(document.activeElement);
  tabs.replaceChildren(...sessions.map(makeTab));
  if (hadFocus) focusTab();
  drawer.hidden = sessions.length === 0;
  drawer.toggleAttribute("data-folded", isFolded);
  fold.setAttribute("aria-expanded", String(!isFolded));
  const text = current?.note ?? "";
  if (said.textContent !== text) said.textContent = text;
  note.toggleAttribute("data-empty", !text);
  again.hidden = !(current?.isOver || current?.isElsewhere);
  again.textContent = current?.isElsewhere ? "Show it here" : "Open again";
  for (const session of sessions) session.screen.hidden = session !== current;
  remember();
  arrange();
}

function remember() {
  const kept = sessions.filter((session) => session.kept.terminal && !session.isOver && !session.isElsewhere).map((session) => session.kept);
  const at = sessions.findIndex((session) => session === current);
  if (kept.length) sessionStorage.setItem(memory, JSON.stringify({ kept, at, isFolded }));
  else sessionStorage.removeItem(memory);
}

function focusTab() {
  const tab = tabs.querySelector("[aria-selected=true]");
  if (tab instanceof HTMLElement) tab.focus();
}

/** @param {Session} session */
function choose(session) {
  current = session;
  redraw();
}

/** @param {Kept} kept */
function add(kept) {
  const session = new Session(kept, redraw, focusTab);
  sessions.push(session);
  screens.append(session.screen);
  choose(session);
  session.start();
  return session;
}

/** @param {Session} session */
function close(session) {
  const at = sessions.indexOf(session);
  sessions = sessions.filter((other) => other !== session);
  session.close();
  current = sessions[Math.min(at, sessions.length - 1)];
  redraw();
  if (current) focusTab();
  else document.getElementById("main")?.focus({ preventScroll: true });
}

function another() {
  if (!current) return;
  isFolded = false;
  add({ ...current.kept, terminal: "" }).xterm.focus();
}

function reopen() {
  const session = current;
  if (!session) return;
  if (session.isElsewhere) session.connect();
  else {
    close(session);
    add({ ...session.kept, terminal: "" });
  }
  current?.xterm.focus();
}

async function copy() {
  if (!(await current?.copy())) drawer.dispatchEvent(new CustomEvent("toast", { bubbles: true, detail: { text: "Nothing is selected in the shell" } }));
  current?.xterm.focus();
}

async function paste() {
  try {
    current?.xterm.paste(await navigator.clipboard.readText());
  } catch {
    drawer.dispatchEvent(new CustomEvent("toast", { bubbles: true, detail: { text: "The browser does not let Orca read the clipboard", hint: "Use Ctrl, Shift and V.", tone: "warn" } }));
  }
  current?.xterm.focus();
}

/** @param {string} text */
function press(text) {
  current?.xterm.input(text);
}

tabs.addEventListener("keydown", (event) => {
  const at = sessions.findIndex((session) => session === current);
  const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: -1 }[event.key];
  if (next === undefined) return;
  event.preventDefault();
  const session = sessions.at(next % sessions.length);
  if (session) choose(session);
});

document.addEventListener("shells:show", (event) => {
  const { detail } = /** @type {CustomEvent<DOMStringMap | undefined>} */ (event);
  void fontLoads.then(() => {
    if (detail) {
      isFolded = false;
      add({ service: detail.shell ?? "", name: detail.shellName ?? "", replica: detail.shellReplica ?? "", terminal: "" }).xterm.focus();
    } else restore();
  });
});

function restore() {
  const stored = JSON.parse(sessionStorage.getItem(memory) ?? "{}");
  isFolded = Boolean(stored.isFolded);
  for (const kept of stored.kept ?? []) add(kept);
  if (sessions[stored.at]) choose(sessions[stored.at]);
}

function paintAll() {
  read.setAttribute("aria-pressed", String(isRead()));
  for (const session of sessions) session.paint();
}

build();
paintAll();
document.addEventListener("orca:theme", paintAll);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", paintAll);
window.visualViewport?.addEventListener("resize", arrange);
addEventListener("resize", arrange);
new ResizeObserver(() => current?.fit()).observe(screens);
