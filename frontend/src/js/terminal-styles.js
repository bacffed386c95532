// xterm.js writes its rules into <style> elements and colours into `style` attributes, and the content policy allows
// neither. It allows style sheets and properties that scripts set as objects, so these are what xterm.js gets.

const create = document.createElement.bind(document);

/** An element that stands for a style sheet: its text is the rules. */
function makeSheet() {
  const sheet = new CSSStyleSheet();
  const element = create("data");
  element.hidden = true;
  Object.defineProperty(element, "textContent", { set: (/** @type {string} */ rules) => sheet.replaceSync(rules) });
  element.remove = () => {
    document.adoptedStyleSheets = document.adoptedStyleSheets.filter((other) => other !== sheet);
    Element.prototype.remove.call(element);
  };
  document.adoptedStyleSheets.push(sheet);
  return element;
}

document.createElement = (/** @type {string} */ name, /** @type {ElementCreationOptions} */ options = {}) =>
  name === "style" ? makeSheet() : create(name, options);

/** @param {string} name @param {string} value */
HTMLSpanElement.prototype.setAttribute = function setAttribute(name, value) {
  if (name === "style") this.style.cssText = value;
  else Element.prototype.setAttribute.call(this, name, value);
};
