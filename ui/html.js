// Text to markup. Every value put into a template is escaped, unless it is itself a template.

const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

class Markup {
  constructor(text) {
    this.text = text;
  }
}

const toText = (value) => {
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(toText).join("");
  if (value === null || value === undefined || value === false) return "";
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]);
};

/** A piece of markup; null, undefined and false leave nothing, arrays are joined. */
export const html = (strings, ...values) =>
  new Markup(strings.map((part, n) => (n ? toText(values[n - 1]) : "") + part).join(""));

/** Replaces what is in `element`; takes only what `html` made, so that no bare string is ever parsed. */
export const fill = (element, markup) => {
  if (!(markup instanceof Markup)) throw new TypeError("fill() takes html`…` only");
  element.innerHTML = markup.text;
  return element;
};

/** The first element of a piece of markup, detached. */
export const node = (markup) => fill(document.createElement("template"), markup).content.firstElementChild;
