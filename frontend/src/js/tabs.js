// Tabs that do not fit scroll sideways; the current one is brought into sight.
import { htmx } from "./htmx-global.js";

htmx.onLoad((content) => {
  if (!(content instanceof Element)) return;
  for (const tab of content.querySelectorAll(".tabs-nav [aria-current], .section-nav [aria-current]")) {
    const bar = tab.closest(".tabs-nav, .section-nav");
    if (bar instanceof HTMLElement && tab instanceof HTMLElement) bar.scrollLeft = tab.offsetLeft - bar.offsetLeft - (bar.clientWidth - tab.offsetWidth) / 2;
  }
});
