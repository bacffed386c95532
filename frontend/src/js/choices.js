// Parts of a form that belong to one choice: `data-choice="source_type=git"` is shown only while that is chosen.
import { htmx } from "./htmx-global.js";

/** @param {HTMLFormElement} form */
function show(form) {
  const chosen = new FormData(form);
  for (const part of form.querySelectorAll("[data-choice]")) {
    if (!(part instanceof HTMLElement)) continue;
    const [name, value] = (part.dataset.choice ?? "").split("=");
    part.hidden = chosen.get(name ?? "") !== value;
  }
}

document.addEventListener("change", (event) => {
  if (event.target instanceof HTMLInputElement && event.target.form?.dataset.choices !== undefined) show(event.target.form);
});

htmx.onLoad((content) => {
  if (!(content instanceof Element)) return;
  for (const form of content.querySelectorAll("form[data-choices]")) if (form instanceof HTMLFormElement) show(form);
});
