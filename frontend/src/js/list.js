// Lists: arrows walk the rows, rows are chosen for what is done to several at once; density, columns and saved views
// are kept in this browser.
import { closest, isTyping, make } from "./dom.js";
import { htmx } from "./htmx-global.js";

const storage = {
  /** @param {string} key @returns {any} */
  read(key) {
    try {
      return JSON.parse(localStorage.getItem(`orca.${key}`) ?? "null");
    } catch {
      return null;
    }
  },
  /** @param {string} key @param {unknown} value */
  write(key, value) {
    try {
      localStorage.setItem(`orca.${key}`, JSON.stringify(value));
    } catch {
      // A browser that keeps nothing works all the same.
    }
  },
};

/** @param {string} density */
function setDensity(density) {
  document.documentElement.dataset.density = density;
  for (const button of document.querySelectorAll("[data-density-set]")) {
    if (button instanceof HTMLElement) button.setAttribute("aria-pressed", String(button.dataset.densitySet === density));
  }
}

const hiding = new CSSStyleSheet();
document.adoptedStyleSheets = [...document.adoptedStyleSheets, hiding];

function view() {
  const found = document.querySelector("[data-list-view]");
  return found instanceof HTMLElement ? found : null;
}

function showColumns() {
  const name = view()?.dataset.listView ?? "";
  const hidden = /** @type {string[]} */ (storage.read(`columns.${name}`) ?? []);
  hiding.replaceSync(hidden.map((key) => `.list[data-name="${CSS.escape(name)}"] .col-${CSS.escape(key)} { display: none; }`).join("\n"));
  for (const box of document.querySelectorAll("[data-column]")) {
    if (box instanceof HTMLInputElement) box.checked = !hidden.includes(box.dataset.column ?? "");
  }
}

/** @typedef {{ name: string, query: string }} View */

/** @returns {View[]} */
function views() {
  return storage.read(`views.${view()?.dataset.path}`) ?? [];
}

/** @param {View[]} kept */
function keepViews(kept) {
  storage.write(`views.${view()?.dataset.path}`, kept);
  showViews();
}

function showViews() {
  const place = document.querySelector(".list-views");
  place?.replaceChildren(...views().map(({ name, query }) => {
    const item = make("li", "");
    const link = make("a", "link", name);
    link.href = `${view()?.dataset.path}${query}`;
    const remove = make("button", "btn btn-ghost btn-sm", "Remove");
    remove.type = "button";
    remove.setAttribute("aria-label", `Remove the view ${name}`);
    remove.addEventListener("click", () => keepViews(views().filter((each) => each.name !== name)));
    item.append(link, remove);
    return item;
  }));
}

document.addEventListener("submit", (event) => {
  const form = closest(event, "[data-view-save]");
  if (!(form instanceof HTMLFormElement)) return;
  event.preventDefault();
  const name = String(new FormData(form).get("view") ?? "").trim();
  if (!name) return;
  keepViews([...views().filter((each) => each.name !== name), { name, query: location.search }]);
  form.reset();
});

/** What the address asks for is also in the form, whatever link led here. */
function syncForm() {
  const form = document.querySelector("#list-form");
  if (!(form instanceof HTMLFormElement)) return;
  const asked = new URLSearchParams(location.search);
  for (const field of form.elements) {
    if (field instanceof HTMLInputElement && field !== document.activeElement) field.value = asked.get(field.name) ?? "";
    if (field instanceof HTMLSelectElement && asked.has(field.name)) field.value = asked.get(field.name) ?? "";
  }
}

document.addEventListener("keydown", (event) => {
  if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
  const search = document.querySelector("[data-list-search]");
  if (event.key === "Escape" && event.target === search && search instanceof HTMLInputElement) {
    search.value = "";
    search.dispatchEvent(new Event("input", { bubbles: true }));
  }
  if (isTyping(event) && !(event.target === search && event.key === "ArrowDown")) return;
  if (document.querySelector("dialog[open]")) return;
  if (event.key === "ArrowDown" || event.key === "ArrowUp") walk(event);
  if (event.key === "x") toggleRow();
});

/** @param {KeyboardEvent} event */
function walk(event) {
  const links = [...document.querySelectorAll("[data-list] .list:first-of-type .cover")].filter((link) => link instanceof HTMLElement);
  const row = event.target instanceof Element ? event.target.closest("tr") : null;
  const inSearch = event.target instanceof Element && event.target.matches("[data-list-search]");
  if (!row && !inSearch) return;
  const at = links.findIndex((link) => row?.contains(link));
  const next = links[at + (event.key === "ArrowDown" ? 1 : -1)];
  if (!next) return;
  event.preventDefault();
  next.focus();
}

function toggleRow() {
  document.activeElement?.closest("tr")?.querySelector("input[form=list-bulk]")?.dispatchEvent(new MouseEvent("click", { bubbles: true }));
}

/** @returns {HTMLInputElement[]} */
function boxes() {
  return [...document.querySelectorAll("input[form=list-bulk][name=id]")].filter((box) => box instanceof HTMLInputElement);
}

function showChosen() {
  const bar = document.querySelector("#list-bulk");
  if (!(bar instanceof HTMLElement)) return;
  const all = boxes();
  const chosen = all.filter((box) => box.checked);
  bar.hidden = !chosen.length;
  const count = bar.querySelector("[data-chosen-count]");
  if (count && count.textContent !== String(chosen.length)) count.textContent = String(chosen.length);
  const head = document.querySelector("[data-choose-all]");
  if (head instanceof HTMLInputElement) {
    head.checked = Boolean(all.length) && chosen.length === all.length;
    head.indeterminate = chosen.length > 0 && chosen.length < all.length;
  }
}

/** @type {HTMLInputElement | null} */
let last = null;

document.addEventListener("click", (event) => {
  const box = event.target;
  if (box instanceof HTMLInputElement && box.matches("[form=list-bulk][name=id]")) {
    const all = boxes();
    if (event.shiftKey && last && all.includes(last)) {
      const [from, to] = [all.indexOf(last), all.indexOf(box)].sort((a, b) => a - b);
      for (const each of all.slice(from, to + 1)) each.checked = box.checked;
    }
    last = box;
  }
  if (closest(event, "[data-choose-none]")) for (const each of boxes()) each.checked = false;
  const density = closest(event, "[data-density-set]")?.dataset.densitySet;
  if (density) {
    storage.write("density", density);
    setDensity(density);
  }
  const asks = closest(event, "[data-ask]")?.dataset.ask;
  if (asks && !confirm(asks)) event.preventDefault();
  showChosen();
});

document.addEventListener("change", (event) => {
  if (!(event.target instanceof HTMLInputElement)) return;
  if (event.target.matches("[data-choose-all]")) for (const box of boxes()) box.checked = event.target.checked;
  if (event.target.dataset.column) {
    const hidden = [...document.querySelectorAll("[data-column]")].filter((box) => box instanceof HTMLInputElement && !box.checked);
    storage.write(`columns.${view()?.dataset.listView}`, hidden.map((box) => /** @type {HTMLElement} */ (box).dataset.column));
    showColumns();
  }
  showChosen();
});

function refresh() {
  syncForm();
  showChosen();
}

setDensity(String(storage.read("density") ?? "comfortable"));
showColumns();
showViews();
document.addEventListener("htmx:afterSettle", refresh);
document.addEventListener("live:shown", showChosen);
htmx.onLoad(showChosen);
