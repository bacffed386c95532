// The state of what a page shows, in its title and icon: `data-page-state="bad"` with a number as its value.

const signs = new Map([["bad", "✕"], ["warn", "▲"], ["busy", "◐"], ["good", "●"]]);
const colours = new Map([["bad", "#d64545"], ["warn", "#c98a1b"], ["busy", "#7c6cf0"], ["good", "#2f9e6b"]]);
const title = document.title;
const icon = document.querySelector("link[rel=icon]");
const usual = icon?.getAttribute("href") ?? "";

/** A disc for a page that is well or busy, a cross for one that is not: the colour alone would not do. @param {string} state */
function draw(state) {
  const shape = state === "bad"
    ? '<path d="M4 4l8 8M12 4l-8 8" stroke="white" stroke-width="2.4" stroke-linecap="round"/>'
    : state === "busy" ? '<path d="M8 3a5 5 0 0 1 0 10z" fill="white"/>' : state === "warn" ? '<path d="M8 3l5 9H3z" fill="white"/>' : "";
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="8" fill="${colours.get(state)}"/>${shape}</svg>`;
  return `data:image/svg+xml,${encodeURIComponent(svg)}`;
}

export function showState() {
  const place = document.querySelector("[data-page-state]");
  const state = place?.getAttribute("data-page-state") ?? "";
  const count = place?.getAttribute("value") ?? "";
  const sign = signs.get(state);
  const wanted = sign ? `${sign} ${Number(count) > 0 ? `${count} · ` : ""}${title}` : title;
  if (document.title !== wanted) document.title = wanted;
  const href = sign ? draw(state) : usual;
  if (icon && icon.getAttribute("href") !== href) icon.setAttribute("href", href);
}
