// Parts that few pages need are files of their own. `<meta name="orca-parts">` has their addresses; a page gets one by
// having an element that asks for it.
import { htmx } from "./htmx-global.js";

const wanted = new Map([["charts", "[data-chart]"]]);
/** @type {Record<string, string>} */
const addresses = JSON.parse(document.querySelector("meta[name=orca-parts]")?.getAttribute("content") ?? "{}");
/** @type {Map<string, Promise<unknown>>} */
const fetched = new Map();

/**
 * Fetches a part once: its script, and its styles if it has some.
 * @param {string} name
 */
export function fetchPart(name) {
  const known = fetched.get(name);
  if (known) return known;
  const part = Promise.all([import(String(addresses[`${name}.js`])), fetchStyles(addresses[`${name}.css`])]);
  part.catch(() => fetched.delete(name));
  fetched.set(name, part);
  return part;
}

/** @param {string | undefined} address */
function fetchStyles(address) {
  if (!address) return undefined;
  const link = document.createElement("link");
  link.rel = "stylesheet";
  link.href = address;
  const done = new Promise((resolve, reject) => {
    link.addEventListener("load", resolve);
    link.addEventListener("error", reject);
  });
  document.head.append(link);
  return done;
}

htmx.onLoad(() => {
  for (const [name, selector] of wanted) if (document.querySelector(selector)) fetchPart(name);
});
