// Colours of program output: SGR codes become classes, every other escape sequence is dropped.

const escape = "\\u001b";
const sequence = new RegExp(`${escape}\\[([0-9;:]*)m|${escape}\\[[0-?]*[ -/]*[@-~]|${escape}[^\\[]?`, "g");
const styles = new Set(["1", "2", "3", "4", "9"]);
/** @type {Record<string, string[]>} */
const ends = { 22: ["1", "2"], 23: ["3"], 24: ["4"], 29: ["9"] };

/** @typedef {{ fg: string, bg: string, on: Set<string> }} Pen */

/** @returns {Pen} */
export function newPen() {
  return { fg: "", bg: "", on: new Set() };
}

/**
 * @param {Pen} pen
 * @param {string} codes
 */
function turn(pen, codes) {
  const list = codes.split(/[;:]/);
  for (let i = 0; i < list.length; i += 1) {
    const code = list[i] || "0";
    if (code === "0") Object.assign(pen, newPen());
    else if (styles.has(code)) pen.on.add(code);
    else if (ends[code]) ends[code].forEach((style) => pen.on.delete(style));
    else if (code === "39") pen.fg = "";
    else if (code === "49") pen.bg = "";
    else if (code === "38" || code === "48") i = extended(pen, list, i);
    else if (/^(3|9)[0-7]$/.test(code)) pen.fg = code;
    else if (/^(4|10)[0-7]$/.test(code)) pen.bg = code;
  }
}

/**
 * The first sixteen of the 256 colours have a class; the others keep the text's own colour.
 * @param {Pen} pen
 * @param {string[]} list
 * @param {number} i
 * @returns {number} where the colour's arguments end
 */
function extended(pen, list, i) {
  if (list[i + 1] !== "5") return i + 4;
  const colour = Number(list[i + 2]);
  const base = list[i] === "38" ? 30 : 40;
  const code = colour < 8 ? String(base + colour) : colour < 16 ? String(base + 52 + colour) : "";
  if (base === 30) pen.fg = code;
  else pen.bg = code;
  return i + 2;
}

/**
 * One line as nodes; the pen carries colours over to the next line.
 * @param {string} line
 * @param {Pen} pen
 * @returns {(Node | string)[]}
 */
export function paint(line, pen) {
  const text = line.slice(line.lastIndexOf("\r") + 1);
  if (!text.includes("\u001b") && !pen.fg && !pen.bg && !pen.on.size) return [text];
  /** @type {(Node | string)[]} */
  const nodes = [];
  let from = 0;
  for (const match of text.matchAll(sequence)) {
    push(nodes, text.slice(from, match.index), pen);
    if (match[1] !== undefined) turn(pen, match[1]);
    from = match.index + match[0].length;
  }
  push(nodes, text.slice(from), pen);
  return nodes;
}

/**
 * @param {(Node | string)[]} nodes
 * @param {string} text
 * @param {Pen} pen
 */
function push(nodes, text, pen) {
  const classes = [...pen.on, pen.fg, pen.bg].filter(Boolean).map((code) => `sgr-${code}`);
  if (!text) return;
  if (!classes.length) return nodes.push(text);
  const span = document.createElement("span");
  span.className = classes.join(" ");
  span.textContent = text;
  return nodes.push(span);
}
