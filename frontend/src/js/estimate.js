// How far something is by how long it took the last times: `data-estimate` has when it began and when it will probably end.
import { elapsed } from "./time.js";

function refresh() {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (document.querySelectorAll("[data-estimate]"))) {
    const [began, ends] = [element.dataset.began, element.dataset.ends].map((text) => new Date(text ?? "").getTime());
    const left = (ends - Date.now()) / 1000;
    const bar = element.querySelector("progress");
    if (bar) bar.value = Math.min(98, (100 * (Date.now() - began)) / Math.max(1, ends - began));
    const words = element.querySelector("[data-estimate-left]");
    if (words) words.textContent = left > 0 ? `About ${elapsed(left + 1)} left` : "It takes longer than usual";
  }
}

document.addEventListener("live:shown", refresh);
setInterval(refresh, 1000);
refresh();
