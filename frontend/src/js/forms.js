// Forms: move to what went wrong, show and hide secrets, submit on change, and say when the server cannot be reached.
import { byId, closest } from "./dom.js";
import { htmx } from "./htmx-global.js";
import { reveal } from "./sections.js";
import { toast } from "./toast.js";

htmx.onLoad((root) => {
  const summary = root instanceof Element ? root.querySelector("[data-error-summary]") : null;
  if (summary instanceof HTMLElement) summary.focus();
});

/** A link of the summary whose name is not a field's leads to the field that shows the same message. */
document.addEventListener("click", (event) => {
  const link = closest(event, "[data-error-summary] a");
  if (!link || byId(link.getAttribute("href")?.slice(1) ?? "")) return;
  const message = [...document.querySelectorAll(".field-error")].find((each) => each.textContent?.trim() === link.textContent?.trim());
  const field = message?.closest(".field")?.querySelector("input, select, textarea");
  if (!(field instanceof HTMLElement)) return;
  event.preventDefault();
  reveal(field);
  field.focus();
});

document.addEventListener("click", (event) => {
  const button = closest(event, "[data-reveal]");
  const input = button && document.querySelector(button.dataset.reveal ?? "");
  if (!button || !(input instanceof HTMLInputElement)) return;
  const hidden = input.type === "password";
  input.type = hidden ? "text" : "password";
  button.setAttribute("aria-pressed", String(hidden));
  button.querySelector("use")?.setAttribute("href", hidden ? "#i-eye-off" : "#i-eye");
});

document.addEventListener("change", (event) => {
  const field = closest(event, "[data-submit-on-change]");
  if (field instanceof HTMLSelectElement || field instanceof HTMLInputElement) field.form?.requestSubmit();
});

/**
 * What a refusal says: Orca answers with problem+json or its error page; a proxy in between may say neither.
 * @param {XMLHttpRequest} request
 */
function explain(request) {
  const type = request.getResponseHeader("Content-Type") ?? "";
  if (type.includes("json")) {
    const problem = JSON.parse(request.responseText);
    return { text: problem.detail ?? problem.title, hint: problem.hint ?? "" };
  }
  const page = new DOMParser().parseFromString(type.includes("html") ? request.responseText : "", "text/html");
  const said = (/** @type {string} */ part) => page.querySelector(`[data-error-${part}]`)?.textContent ?? "";
  if (said("message")) return { text: said("message"), hint: said("hint") };
  return { text: `The server answered ${request.status}`, hint: "Reload the page and try again." };
}

document.addEventListener("htmx:responseError", (event) => {
  const { xhr } = /** @type {CustomEvent<{ xhr: XMLHttpRequest }>} */ (event).detail;
  if (!xhr.getResponseHeader("HX-Trigger")) toast({ ...explain(xhr), tone: "bad" });
});

document.addEventListener("htmx:sendError", () => {
  toast({ text: "Orca cannot be reached", hint: "Check the connection; what runs on your servers goes on.", tone: "bad" });
});
