// Makes a tar archive of files in the browser. File contents stay where they are: the archive only refers to them.

/**
 * @typedef {object} Entry
 * @property {string} path
 * @property {Blob} data
 * @property {boolean} [runs] Whether the file is a program.
 */

const BLOCK = 512;
const LONGEST_NAME = 100;
const encoder = new TextEncoder();

/** @param {number} size */
const padding = (size) => new Uint8Array((BLOCK - (size % BLOCK)) % BLOCK);

/**
 * @param {Uint8Array} name
 * @param {number} size
 * @param {string} mode
 * @param {string} type
 */
function header(name, size, mode, type) {
  const block = new Uint8Array(BLOCK);
  const write = (/** @type {string} */ text, /** @type {number} */ at) => block.set(encoder.encode(text), at);
  block.set(name.subarray(0, LONGEST_NAME));
  write(`0000${mode}\0`, 100);
  write("0000000\0".repeat(2), 108);
  write(`${size.toString(8).padStart(11, "0")}\0`, 124);
  write("00000000000\0", 136);
  write(" ".repeat(8), 148);
  write(type, 156);
  write("ustar\x0000", 257);
  const sum = block.reduce((total, byte) => total + byte, 0);
  write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return block;
}

/**
 * A path of any length and any letters, as a record in front of the file (POSIX pax).
 * @param {string} path
 */
function longPath(path) {
  const text = ` path=${path}\n`;
  const bytes = encoder.encode(text).length;
  let length = bytes + String(bytes).length;
  if (String(length).length > String(bytes).length) length += 1;
  return encoder.encode(`${length}${text}`);
}

/** @param {Entry[]} entries */
export function tarOf(entries) {
  /** @type {BlobPart[]} */
  const parts = [];
  for (const { path, data, runs } of entries) {
    const name = encoder.encode(path);
    if (name.length > LONGEST_NAME || name.length !== path.length) {
      const record = longPath(path);
      parts.push(header(encoder.encode("pax"), record.length, "644", "x"), record, padding(record.length));
    }
    parts.push(header(name, data.size, runs ? "755" : "644", "0"), data, padding(data.size));
  }
  parts.push(new Uint8Array(2 * BLOCK));
  return new Blob(parts, { type: "application/x-tar" });
}
