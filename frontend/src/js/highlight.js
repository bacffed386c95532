// Marks what was searched for without touching the lines.

/**
 * @param {HTMLElement[]} rows
 * @param {string} wanted
 */
export function highlight(rows, wanted) {
  if (!("highlights" in CSS)) return;
  const ranges = rows.slice(-500).flatMap((row) => rangesIn(row, wanted));
  CSS.highlights.set("log-match", new Highlight(...ranges));
}

/**
 * @param {HTMLElement} row
 * @param {string} wanted
 */
function rangesIn(row, wanted) {
  const ranges = [];
  const walker = document.createTreeWalker(row, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const text = node.textContent?.toLowerCase() ?? "";
    for (let at = text.indexOf(wanted); at >= 0; at = text.indexOf(wanted, at + wanted.length)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + wanted.length);
      ranges.push(range);
    }
  }
  return ranges;
}
