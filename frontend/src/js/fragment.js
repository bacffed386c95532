// A field that is filled from the address: `data-from-fragment="token"` takes `#token=…`, which never left the browser.
const values = new URLSearchParams(location.hash.slice(1));

for (const field of document.querySelectorAll("[data-from-fragment]")) {
  const value = values.get(field instanceof HTMLInputElement ? (field.dataset.fromFragment ?? "") : "");
  if (value === null || !(field instanceof HTMLInputElement)) continue;
  field.value = value;
  history.replaceState(null, "", location.pathname);
}
