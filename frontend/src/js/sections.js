// Sub-pages of one page: of the elements with `data-section`, that is shown which the address names behind `#`, or
// contains the element that it names. All are there: a form across them keeps what was typed, and is sent whole.
import { byId } from "./dom.js";

const sections = () => [...document.querySelectorAll("[data-section]")];

/** @param {Element | undefined} chosen */
function choose(chosen) {
  if (!chosen) return;
  const form = chosen.closest("form");
  for (const section of sections()) section.toggleAttribute("hidden", section !== chosen);
  for (const link of document.querySelectorAll("[data-section-link]")) {
    const target = byId(link.getAttribute("href")?.slice(1) ?? "");
    if (target === chosen) link.setAttribute("aria-current", "true");
    else link.removeAttribute("aria-current");
    link.toggleAttribute("data-wrong", target?.querySelector("[aria-invalid]") !== null);
  }
  for (const bar of document.querySelectorAll("[data-section-bar]")) bar.toggleAttribute("hidden", !form);
  if (form) form.action = `${form.action.split("#")[0]}#${chosen.id}`; // the page after it shows the same section
}

/** Shows the section around an element. @param {Element} element */
export function reveal(element) {
  const section = element.closest("[data-section][hidden]");
  if (section) choose(section);
}

function named() {
  return byId(location.hash.slice(1));
}

addEventListener("hashchange", () => {
  const element = named();
  const section = element?.closest("[data-section]");
  if (!element || !section) return;
  choose(section);
  if (element !== section) element.focus();
});

/** A form that came back shows a section with something wrong. */
function begin() {
  const all = sections();
  const wrong = all.filter((section) => section.querySelector("[aria-invalid]"));
  const asked = named()?.closest("[data-section]");
  choose(wrong.length && !(asked && wrong.includes(asked)) ? wrong[0] : (asked ?? all[0]));
}

begin();
