// What is left out of a folder: .gitignore and .dockerignore at its top, in the forms that people mostly write.

const ALWAYS = new Set([".git", "node_modules", ".venv", "__pycache__", ".DS_Store", ".orc"]);

/** @param {string} path */
export const isAlwaysIgnored = (path) => path.split("/").some((part) => ALWAYS.has(part));

/**
 * @param {string} pattern
 * @param {boolean} anywhere Whether a name without a slash is meant at any depth, as Git means it.
 */
function expression(pattern, anywhere) {
  const trimmed = pattern.replace(/^\.?\//, "").replace(/\/$/, "");
  const inner = trimmed.replace(/[.+^${}()|[\]\\]/g, "\\$&").replace(/\*\*\/|\*\*|\*|\?/g, (sign) => ({ "**/": "(?:.+/)?", "**": ".*", "*": "[^/]*" })[sign] ?? "[^/]");
  const isFloating = anywhere && !pattern.replace(/\/$/, "").includes("/");
  return new RegExp(`^${isFloating ? "(?:.+/)?" : ""}${inner}(?:/.*)?$`);
}

/**
 * @param {string} text
 * @param {boolean} anywhere
 * @returns {(path: string) => boolean}
 */
export function ignoring(text, anywhere) {
  const lines = text.split(/\r?\n/).map((line) => line.trim()).filter((line) => line && !line.startsWith("#")).slice(0, 500);
  const rules = lines.map((line) => ({ keeps: line.startsWith("!"), test: expression(line.replace(/^!/, ""), anywhere) }));
  return (path) => rules.reduce((out, { keeps, test }) => (test.test(path) ? !keeps : out), false);
}
