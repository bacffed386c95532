// Reads a zip file in the browser, so that it can be sent as a tar archive.

const END = 0x06054b50;
const ENTRY = 0x02014b50;
const SYMLINK = 0o120000;
const KIND = 0o170000;
const PROGRAM = 0o111;
const STORED = 0;
const DEFLATED = 8;
const ENCRYPTED = 1;
const MOST_ENTRIES = 0xffff; // as a count it means: there are more, and another record says how many

/**
 * @param {Blob} file
 * @param {number} limit Bytes that its files may have together.
 * @returns {Promise<import("./archive.js").Entry[]>}
 */
export async function readZip(file, limit) {
  const { count, size, at } = await findDirectory(file);
  const view = new DataView(await file.slice(at, at + size).arrayBuffer());
  const entries = [];
  let total = 0;
  for (let place = 0, number = 0; number < count; number += 1) {
    if (place + 46 > view.byteLength || view.getUint32(place, true) !== ENTRY) throw new Error("The zip file is damaged.");
    const [nameLength, extra, comment] = [28, 30, 32].map((offset) => view.getUint16(place + offset, true));
    const path = new TextDecoder().decode(new Uint8Array(view.buffer, place + 46, nameLength));
    const mode = view.getUint32(place + 38, true) >>> 16;
    const [flags, method] = [8, 10].map((offset) => view.getUint16(place + offset, true));
    const [packed, unpacked] = [20, 24].map((offset) => view.getUint32(place + offset, true));
    const start = view.getUint32(place + 42, true);
    place += 46 + nameLength + extra + comment;
    if (path.endsWith("/") || (mode & KIND) === SYMLINK) continue;
    total += unpacked;
    if (total > limit) throw new Error("What is in the zip file is larger than an upload may be.");
    if (flags & ENCRYPTED) throw new Error("The zip file is encrypted. Unpack it and choose the folder instead.");
    const data = await readEntry(file, { start, packed, unpacked, method });
    entries.push({ path: checked(path), data, runs: (mode & PROGRAM) !== 0 });
  }
  return entries;
}

/** @param {string} path */
function checked(path) {
  if (path.startsWith("/") || path.includes("\\") || path.split("/").includes("..")) throw new Error("The zip file has a path that leads out of it.");
  return path;
}

/** @param {Blob} file */
async function findDirectory(file) {
  const from = Math.max(0, file.size - 65_557); // the longest comment, and the record before it
  const view = new DataView(await file.slice(from).arrayBuffer());
  for (let place = view.byteLength - 22; place >= 0; place -= 1) {
    if (view.getUint32(place, true) !== END) continue;
    const count = view.getUint16(place + 10, true);
    const [size, at] = [12, 16].map((offset) => view.getUint32(place + offset, true));
    if (count === MOST_ENTRIES || at === 0xffffffff) break;
    return { count, size, at };
  }
  throw new Error("This is no zip file, or one that is too large for a browser. Choose the folder instead.");
}

/**
 * @param {Blob} file
 * @param {{ start: number, packed: number, unpacked: number, method: number }} entry
 */
async function readEntry(file, { start, packed, unpacked, method }) {
  const local = new DataView(await file.slice(start, start + 30).arrayBuffer());
  if (local.byteLength < 30) throw new Error("The zip file is damaged.");
  const begin = start + 30 + local.getUint16(26, true) + local.getUint16(28, true);
  const data = file.slice(begin, begin + packed);
  if (method === STORED) return data;
  if (method !== DEFLATED) throw new Error("The zip file is packed in a way that browsers cannot read. Choose the folder instead.");
  return inflate(data, unpacked);
}

/**
 * A zip file may lie about its sizes: reading stops as soon as there is more than it says.
 * @param {Blob} data
 * @param {number} size
 */
async function inflate(data, size) {
  const reader = data.stream().pipeThrough(new DecompressionStream("deflate-raw")).getReader();
  /** @type {BlobPart[]} */
  const parts = [];
  for (let read = 0; ; ) {
    const { done, value } = await reader.read();
    if (done) return new Blob(parts);
    read += value.length;
    if (read > size) throw new Error("The zip file is damaged: a file in it is larger than it says.");
    parts.push(value);
  }
}
