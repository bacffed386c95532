// A field that is filled from the address: `data-from-fragment="token"` takes `#token=…`, which never left the browser.
function fill() {
  const values = new URLSearchParams(location.hash.slice(1));
  for (const field of document.querySelectorAll("[data-from-fragment]")) {
    if (!(field instanceof HTMLInputElement)) continue;
    const value = values.get(field.dataset.fromFragment ?? "");
    if (value === null) continue;
    field.value = value;
    history.replaceState(null, "", location.pathname);
  }
}

addEventListener("hashchange", fill);
fill();
