// A part of a page that is put away for good. The choice lives in a cookie, so that the server leaves the part out.
import { closest } from "./dom.js";

const year = 365 * 24 * 3600;

document.addEventListener("click", (event) => {
  const button = closest(event, "[data-put-away]");
  const name = button?.dataset.putAway;
  if (!button || !name) return;
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `${name}=away; Path=/; Max-Age=${year}; SameSite=Lax${secure}`;
  button.closest("section")?.remove();
});
