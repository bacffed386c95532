// The theme switch. The choice lives in a cookie, so the server sends the right theme and nothing flashes.
import { closest } from "./dom.js";

const year = 365 * 24 * 3600;

/** @param {string} theme */
function apply(theme) {
  const root = document.documentElement;
  if (theme === "auto") root.removeAttribute("data-theme");
  else root.setAttribute("data-theme", theme);
  for (const button of document.querySelectorAll(".menu-item[data-theme-set]")) {
    button.setAttribute("aria-pressed", String(button.getAttribute("data-theme-set") === theme));
  }
  document.dispatchEvent(new Event("orca:theme"));
}

document.addEventListener("click", (event) => {
  const theme = closest(event, "[data-theme-set]")?.dataset.themeSet;
  if (!theme) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `orca_theme=${theme}; Path=/; Max-Age=${year}; SameSite=Lax${secure}`;
  apply(theme);
});
