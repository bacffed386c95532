// Parts of a form that belong to a choice: `data-choice="health_type=auto|http"` is shown only while one of these is chosen.
// A field in such a part that must be filled in while it is shown has `data-needed`.
import { htmx } from "./htmx-global.js";

/** @param {HTMLFormElement} form */
function show(form) {
  const chosen = new FormData(form);
  for (const part of form.querySelectorAll("[data-choice]")) {
    if (!(part instanceof HTMLElement)) continue;
    const [name, value] = (part.dataset.choice ?? "").split("=");
    part.hidden = !(value ?? "").split("|").includes(String(chosen.get(name ?? "")));
    for (const field of part.querySelectorAll("input[data-needed]")) if (field instanceof HTMLInputElement) field.required = !part.hidden;
  }
}

document.addEventListener("change", (event) => {
  const field = event.target;
  if (!(field instanceof HTMLInputElement || field instanceof HTMLSelectElement)) return;
  if (field.form?.dataset.choices !== undefined) show(field.form);
});

htmx.onLoad((content) => {
  if (!(content instanceof Element)) return;
  for (const form of content.querySelectorAll("form[data-choices]")) if (form instanceof HTMLFormElement) show(form);
});
