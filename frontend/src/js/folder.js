// A folder or a zip file that is deployed from the page: `data-folder` on the part with the pickers. It is packed here, looked
// at by the server, and sent when the button `data-folder-deploy` is pressed.
import { tarOf } from "./archive.js";
import { closest } from "./dom.js";
import { ignoring, isAlwaysIgnored } from "./ignored.js";
import { toast } from "./toast.js";
import { readZip } from "./zip.js";

/** @typedef {import("./archive.js").Entry} Entry */

const MOST_FILES = 50_000;
const LOOKED_AT = 64 * 2 ** 20;
const LIMIT_MB = 512;
/** @type {WeakMap<Element, Blob>} */
const packed = new WeakMap();
/** @type {WeakMap<Element, { id: string }>} The service that was created before its folder could be sent. */
const created = new WeakMap();

/** @param {unknown} error */
const complain = (error) => toast({ text: error instanceof Error ? error.message : String(error), hint: "", tone: "bad" });
const sizeOf = (/** @type {number} */ bytes) => (bytes < 2 ** 20 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 2 ** 20).toFixed(1)} MiB`);

/**
 * @param {Element} part
 * @param {string} text
 * @param {number} [share] Of the work that is done, from 0 to 1.
 */
function say(part, text, share) {
  const words = part.querySelector("[data-folder-state]");
  const bar = part.querySelector("progress");
  if (words) words.textContent = text;
  if (bar) {
    bar.hidden = share === undefined;
    bar.value = share ?? 0;
  }
}

/**
 * @param {FileSystemEntry} entry
 * @param {Entry[]} into
 */
async function walk(entry, into, prefix = "") {
  const path = prefix + entry.name;
  if (isAlwaysIgnored(path)) return;
  if (into.length > MOST_FILES) throw new Error(`There are more than ${MOST_FILES} files. Deploy it with orc deploy.`);
  if (entry.isFile) {
    const file = await new Promise((found, failed) => /** @type {FileSystemFileEntry} */ (entry).file(found, failed));
    into.push({ path, data: file });
    return;
  }
  const reader = /** @type {FileSystemDirectoryEntry} */ (entry).createReader();
  for (;;) {
    const batch = await new Promise((found, failed) => reader.readEntries(found, failed));
    if (!batch.length) return;
    for (const inner of batch) await walk(inner, into, `${path}/`);
  }
}

/** @param {File[]} files As a picker of folders returns them: each path begins with the folder's own name. */
function picked(files) {
  const name = files[0]?.webkitRelativePath.split("/")[0] ?? "";
  const entries = files.map((file) => ({ path: file.webkitRelativePath.split("/").slice(1).join("/"), data: file }));
  return { name, entries };
}

/** @param {DataTransfer} transfer */
async function dropped(transfer) {
  const roots = [...transfer.items].map((item) => item.webkitGetAsEntry()).filter((entry) => entry !== null);
  const [root] = roots;
  if (roots.length !== 1 || !root) throw new Error("Drop one folder, or one zip file.");
  /** @type {Entry[]} */
  const entries = [];
  await walk(root, entries);
  if (root.isDirectory) return { name: root.name, entries: entries.map(({ path, data }) => ({ path: path.slice(root.name.length + 1), data })) };
  const [only] = entries;
  if (!only || !/\.zip$/i.test(root.name)) throw new Error("Drop a folder, or a zip file.");
  return { name: root.name, zip: only.data };
}

/** @param {Entry[]} entries */
async function leaveOut(entries) {
  const tests = [isAlwaysIgnored];
  for (const [name, anywhere] of /** @type {const} */ ([[".gitignore", true], [".dockerignore", false]])) {
    const file = entries.find(({ path }) => path === name);
    if (file) tests.push(ignoring(await file.data.text(), anywhere));
  }
  return entries.filter(({ path }) => !tests.some((test) => test(path)));
}

/** @param {Entry} entry A program that the browser does not name one: it says by whom it is run. */
async function marked(entry) {
  if (entry.runs !== undefined || entry.data.size < 3) return entry;
  return { ...entry, runs: (await entry.data.slice(0, 2).text()) === "#!" };
}

/** A zip file mostly has one folder, with everything in it. @param {Entry[]} entries */
function unwrapped(entries) {
  const top = new Set(entries.map(({ path }) => path.split("/")[0]));
  const isWrapped = top.size === 1 && entries.every(({ path }) => path.includes("/"));
  return isWrapped ? entries.map((entry) => ({ ...entry, path: entry.path.slice(entry.path.indexOf("/") + 1) })) : entries;
}

/**
 * @param {HTMLElement} part
 * @param {{ name: string, entries?: Entry[], zip?: Blob }} source
 */
async function take(part, { name, entries, zip }) {
  const limit = (Number(part.dataset.folderLimit) || LIMIT_MB) * 2 ** 20;
  say(part, "Reading…", 0);
  const all = entries ?? unwrapped(await readZip(/** @type {Blob} */ (zip), limit));
  const kept = await leaveOut(all);
  if (!kept.length) throw new Error("There are no files in it that could be deployed.");
  const tar = tarOf(await Promise.all(kept.map(marked)));
  if (tar.size > limit) throw new Error(`It has ${sizeOf(tar.size)}, and an upload may have ${sizeOf(limit)}.`);
  packed.set(part, tar);
  part.dataset.folderReady = "";
  const left = all.length - kept.length;
  say(part, `${name}: ${kept.length} file${kept.length === 1 ? "" : "s"}, ${sizeOf(tar.size)}${left ? `; ${left} left out` : ""}`);
  if (part.dataset.folderLook && tar.size <= LOOKED_AT) await look(part, tar, name);
}

/**
 * @param {HTMLElement} part
 * @param {Blob} tar
 * @param {string} name
 */
async function look(part, tar, name) {
  const found = await send(part, part.dataset.folderLook ?? "", tar);
  const words = found.builder ? `Found: ${found.summary}${found.port ? `, port ${found.port}` : ""}.` : [found.reason || "Nothing here says how to build it.", ...found.hints].join(" ");
  const list = part.querySelector("[data-folder-found]");
  if (list) list.textContent = [words, ...(found.warnings ?? [])].join(" ");
  suggest(part, "name", found.name === "app" ? name.replace(/\.zip$/i, "") : found.name);
  suggest(part, "kind", found.kind);
  suggest(part, "port", found.kind === "worker" || !found.port ? "" : String(found.port));
}

/**
 * @param {HTMLElement} part
 * @param {string} name
 * @param {string} value
 */
function suggest(part, name, value) {
  const field = part.closest("form")?.elements.namedItem(name);
  if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement) || field.hasAttribute("data-typed")) return;
  field.value = value;
  field.dataset.suggested = "";
  field.dispatchEvent(new CustomEvent("suggested", { bubbles: true }));
}

/** @param {HTMLElement} part */
const tokenOf = (part) => String(new FormData(part.closest("form") ?? undefined).get("csrf_token") ?? "");

/**
 * @param {HTMLElement} part
 * @param {string} address
 * @param {Blob | object} body
 * @returns {Promise<any>}
 */
function send(part, address, body) {
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.setRequestHeader("X-CSRF-Token", tokenOf(part));
    request.setRequestHeader("Content-Type", body instanceof Blob ? "application/x-tar" : "application/json");
    request.setRequestHeader("X-Orca-Trigger", "page");
    const before = part.querySelector("[data-folder-state]")?.textContent ?? "";
    if (body instanceof Blob) request.upload.onprogress = ({ loaded, total }) => say(part, `Sending ${sizeOf(loaded)} of ${sizeOf(total)}`, loaded / total);
    request.onerror = () => failed(new Error("Orca cannot be reached. Check the connection and try again."));
    request.onload = () => {
      if (body instanceof Blob) say(part, before);
      if (request.status < 300) return done(JSON.parse(request.responseText));
      let problem;
      try {
        problem = JSON.parse(request.responseText);
      } catch {
        problem = { detail: `The server answered ${request.status}.` };
      }
      const fields = Object.entries(problem.fields ?? {}).map(([name, text]) => `${name}: ${text}`);
      failed(new Error([problem.detail ?? problem.title, ...fields, problem.hint].filter(Boolean).join(" ")));
    };
    request.send(body instanceof Blob ? body : JSON.stringify(body));
  });
}

/** @param {HTMLElement} part */
async function findService(part) {
  if (part.dataset.folderService) return part.dataset.folderService;
  const made = created.get(part);
  if (made) return made.id;
  const form = new FormData(part.closest("form") ?? undefined);
  const text = (/** @type {string} */ name) => String(form.get(name) ?? "").trim();
  const body = { name: text("name"), kind: text("kind"), source: { type: "directory" } };
  const slug = text("slug") ? { slug: text("slug") } : {};
  const ports = text("port") ? { ports: [{ name: "http", port: Number(text("port")), public: true }] } : {};
  const environment = text("environment") ? { environment: text("environment") } : {};
  const service = await send(part, part.dataset.folderCreate ?? "", { ...body, ...slug, ...ports, ...environment });
  created.set(part, service);
  return service.id;
}

/** @param {HTMLElement} part */
async function deploy(part) {
  const tar = packed.get(part);
  if (!tar) throw new Error("Choose a folder or a zip file first.");
  const address = `/api/v1/services/${encodeURIComponent(await findService(part))}`;
  const upload = await send(part, `${address}/uploads`, tar);
  const deployment = await send(part, `${address}/deployments`, { upload_id: upload.id });
  location.assign(`/deployments/${deployment.id}`);
}

document.addEventListener("change", (event) => {
  const input = event.target;
  const part = input instanceof Element && input.closest("[data-folder]");
  if (!(input instanceof HTMLInputElement) || input.type !== "file" || !(part instanceof HTMLElement) || !input.files?.length) return;
  const files = [...input.files];
  input.value = ""; // the same folder can be chosen again
  const source = input.webkitdirectory ? picked(files) : { name: files[0]?.name ?? "", zip: files[0] };
  take(part, source).catch((error) => (say(part, ""), complain(error)));
});

for (const type of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(type, (event) => {
    const part = closest(event, "[data-folder]");
    if (!part || !(event instanceof DragEvent) || !event.dataTransfer) return;
    event.preventDefault();
    part.toggleAttribute("data-folder-over", type === "dragover");
    if (type === "drop") dropped(event.dataTransfer).then((source) => take(part, source)).catch((error) => (say(part, ""), complain(error)));
  });
}

document.addEventListener("click", (event) => {
  const button = closest(event, "[data-folder-deploy]");
  const part = button?.closest("form")?.querySelector("[data-folder]");
  if (!(button instanceof HTMLButtonElement) || !(part instanceof HTMLElement)) return;
  if (part.closest("[hidden]") || !button.form?.reportValidity()) return;
  event.preventDefault();
  button.disabled = true;
  deploy(part).catch(complain).finally(() => (button.disabled = false));
});
