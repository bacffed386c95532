// The command palette: Ctrl-K opens it, the server answers /palette?q=..., arrows choose, Enter goes.
import { byId, closest } from "./dom.js";
import { htmx } from "./htmx-global.js";

// Where one was lately, as kinds and ids: the server says what they are called, to those who may know.
const memory = "orca.recent";
const kept = 7;
const [here] = location.pathname.match(/(?<=^\/)(services|projects)\/[\w-]{1,64}/) ?? [];
if (here) {
  const before = (localStorage.getItem(memory) ?? "").split(",").filter((place) => place && place !== here);
  localStorage.setItem(memory, [here, ...before].slice(0, kept).join(","));
}

const search = () => /** @type {HTMLInputElement | null} */ (byId("palette-search"));
const options = () => [...document.querySelectorAll("#palette-list [role=option]")];

export function openPalette() {
  const dialog = byId("palette");
  const input = search();
  if (!(dialog instanceof HTMLDialogElement) || !input || dialog.open) return;
  dialog.showModal();
  input.value = "";
  const recent = document.querySelector("[data-palette-recent]");
  if (recent instanceof HTMLInputElement) recent.value = localStorage.getItem(memory) ?? "";
  htmx.trigger(input, "palette:open");
}

/** @param {Element | undefined} option */
function choose(option) {
  for (const other of options()) other.setAttribute("aria-selected", String(other === option));
  if (option) search()?.setAttribute("aria-activedescendant", option.id);
  else search()?.removeAttribute("aria-activedescendant");
  option?.scrollIntoView({ block: "nearest" });
}

/** @param {number} step */
function move(step) {
  const all = options();
  const at = all.findIndex((option) => option.getAttribute("aria-selected") === "true");
  choose(all.at((at + step + all.length) % all.length));
}

document.addEventListener("click", (event) => {
  if (closest(event, "[data-palette-open]")) openPalette();
});

document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey) {
    event.preventDefault();
    openPalette();
  } else if (event.target === search()) navigate(event);
});

/** @param {KeyboardEvent} event */
function navigate(event) {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    move(event.key === "ArrowDown" ? 1 : -1);
  } else if (event.key === "Enter") {
    event.preventDefault();
    const chosen = options().find((option) => option.getAttribute("aria-selected") === "true");
    if (chosen instanceof HTMLElement) chosen.click();
  }
}

document.addEventListener("htmx:afterSettle", (event) => {
  if (!(event.target instanceof Element) || event.target.id !== "palette-list") return;
  options().forEach((option, index) => { option.id = `palette-option-${index}`; });
  choose(options()[0]);
});
