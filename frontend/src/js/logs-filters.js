// The filters of a service's output: in the page's controls, in its address and in requests.

const names = ["level", "stream", "replica", "since", "until", "q"];
/** @type {Record<string, number>} */
const units = { m: 60_000, h: 3_600_000, d: 86_400_000 };

export class Filters {
  /**
   * @param {HTMLElement} root
   * @param {() => void} changed
   */
  constructor(root, changed) {
    this.root = root;
    this.changed = changed;
    this.params = new URLSearchParams([...new URLSearchParams(location.search)].filter(([name]) => names.includes(name)));
    this.show();
    root.addEventListener("click", (event) => this.clicked(event));
    root.addEventListener("change", (event) => this.chosen(event));
  }

  get query() {
    return this.params.get("q") ?? "";
  }

  get any() {
    return [...this.params.keys()].some((name) => name !== "q");
  }

  /** @param {string} text */
  search(text) {
    if (text) this.params.set("q", text);
    else this.params.delete("q");
    this.remember();
  }

  clear() {
    const query = this.query;
    this.params = new URLSearchParams(query ? { q: query } : {});
    this.apply();
  }

  /** For the API; what was searched for only where it is asked. */
  request(withQuery = false) {
    const wanted = new URLSearchParams();
    for (const [name, value] of this.params) {
      if (name === "q") {
        if (withQuery) wanted.set("grep", value);
      } else if (name === "since" || name === "until") wanted.set(name, instant(value));
      else wanted.append(name, value);
    }
    return wanted;
  }

  /** @param {Event} event */
  clicked(event) {
    const chip = event.target instanceof Element ? event.target.closest("[data-chip]") : null;
    if (!(chip instanceof HTMLElement)) return;
    const [name, value] = (chip.dataset.chip ?? "").split("=");
    const on = chip.getAttribute("aria-pressed") !== "true";
    const others = this.params.getAll(name).filter((other) => other !== value && name === "level");
    this.params.delete(name);
    for (const other of on ? [...others, value] : others) this.params.append(name, other);
    this.apply();
  }

  /** @param {Event} event */
  chosen(event) {
    const control = event.target;
    if (!(control instanceof HTMLSelectElement || control instanceof HTMLInputElement) || !control.dataset.filter) return;
    if (control.value) this.params.set(control.dataset.filter, control.value);
    else this.params.delete(control.dataset.filter);
    this.apply();
  }

  apply() {
    this.remember();
    this.show();
    this.changed();
  }

  remember() {
    const address = new URL(location.href);
    for (const name of [...names, "line"]) address.searchParams.delete(name);
    for (const [name, value] of this.params) address.searchParams.append(name, value);
    address.hash = "";
    history.replaceState(history.state, "", address);
  }

  show() {
    for (const chip of /** @type {NodeListOf<HTMLElement>} */ (this.root.querySelectorAll("[data-chip]"))) {
      const [name, value] = (chip.dataset.chip ?? "").split("=");
      chip.setAttribute("aria-pressed", String(this.params.getAll(name).includes(value)));
    }
    for (const control of /** @type {NodeListOf<HTMLInputElement | HTMLSelectElement>} */ (this.root.querySelectorAll("[data-filter]"))) {
      control.value = this.params.get(control.dataset.filter ?? "") ?? "";
    }
    const clear = this.root.querySelector("[data-logs-clear]");
    if (clear instanceof HTMLElement) clear.hidden = !this.any;
  }
}

/**
 * `15m` is so long ago; anything else is a date and time of this browser's zone.
 * @param {string} text
 */
function instant(text) {
  const ago = /^(\d{1,4})([mhd])$/.exec(text);
  const moment = ago ? new Date(Date.now() - Number(ago[1]) * units[ago[2]]) : new Date(text);
  return Number.isNaN(moment.getTime()) ? text : moment.toISOString();
}
