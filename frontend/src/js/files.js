// A file whose content goes into a text field: `<input type="file" data-file-into="certificate">`. What is no text goes there
// in base64, as the API takes it. The file itself is never sent: its input has no name.

/** @param {ArrayBuffer} data */
function textOf(data) {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(data);
    if (text.includes("-----BEGIN") || text.trimStart().startsWith("{")) return text;
  } catch {
    // not text: base64 below
  }
  return btoa(Array.from(new Uint8Array(data), (byte) => String.fromCharCode(byte)).join(""));
}

document.addEventListener("change", async (event) => {
  const input = event.target;
  if (!(input instanceof HTMLInputElement) || input.dataset.fileInto === undefined) return;
  const field = input.form?.elements.namedItem(input.dataset.fileInto);
  const file = input.files?.[0];
  if (!file || !(field instanceof HTMLTextAreaElement)) return;
  const limit = Number(input.dataset.fileLimit ?? 49152);
  input.setCustomValidity(file.size > limit ? `This file is larger than ${limit / 1024} KiB` : "");
  if (input.reportValidity()) field.value = textOf(await file.arrayBuffer());
});
