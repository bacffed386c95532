// Menus are popovers of the browser (light dismiss, Escape); this places them and moves the focus with the arrow keys.
import { closest } from "./dom.js";
import { htmx } from "./htmx-global.js";

const gap = 4;

/**
 * @param {HTMLElement} menu
 * @param {Element} anchor
 */
function place(menu, anchor) {
  const box = anchor.getBoundingClientRect();
  const { offsetWidth: width, offsetHeight: height } = menu;
  const below = box.bottom + gap + height <= innerHeight;
  const left = menu.dataset.align === "start" ? box.left : box.right - width;
  menu.style.top = `${below ? box.bottom + gap : Math.max(8, box.top - gap - height)}px`;
  menu.style.left = `${Math.max(8, Math.min(left, innerWidth - width - 8))}px`;
}

/** @param {Element} menu */
function anchorOf(menu) {
  return [...document.querySelectorAll(`[popovertarget="${menu.id}"]`)].find((anchor) => anchor.checkVisibility());
}

/** @param {Element} menu */
function itemsOf(menu) {
  return [...menu.querySelectorAll("a[href], button:not(:disabled), input[type=search]")].filter((item) => item instanceof HTMLElement);
}

document.addEventListener("toggle", (event) => {
  const menu = event.target;
  if (!(menu instanceof HTMLElement) || !menu.matches("[data-menu]")) return;
  const open = /** @type {ToggleEvent} */ (event).newState === "open";
  const anchor = anchorOf(menu);
  anchor?.setAttribute("aria-expanded", String(open));
  if (!open || !anchor) return;
  place(menu, anchor);
  const [first] = itemsOf(menu);
  first?.focus();
  if (first instanceof HTMLInputElement) htmx.trigger(first, "menu:open");
}, true);

document.addEventListener("keydown", (event) => {
  const menu = closest(event, "[data-menu]");
  if (!menu || (event.target instanceof Element && event.target.matches("select, input:not(.switcher-search)"))) return;
  const items = itemsOf(menu);
  const at = items.indexOf(/** @type {HTMLElement} */ (document.activeElement));
  const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
  if (event.key === "Enter" && event.target instanceof HTMLInputElement) return items[1]?.click();
  if (next === undefined || (event.target instanceof HTMLInputElement && !event.key.startsWith("Arrow"))) return;
  event.preventDefault();
  items.at(next % items.length)?.focus();
});

document.addEventListener("click", (event) => {
  const item = closest(event, "[data-menu] .menu-item");
  if (item && !item.hasAttribute("data-stay")) closest(event, "[data-menu]")?.hidePopover();
});

addEventListener("scroll", () => {
  for (const menu of document.querySelectorAll("[data-menu]:popover-open")) {
    const anchor = anchorOf(menu);
    if (anchor && menu instanceof HTMLElement) place(menu, anchor);
  }
}, { passive: true, capture: true });
