// @ts-check
// Text to markup. Every value in a template is escaped, unless it is itself a template.

/** @type {Record<string, string>} */
const ESCAPES = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;" };

class Markup {
  /** @param {string} text */
  constructor(text) {
    this.text = text;
  }
}

/**
 * @param {unknown} value
 * @returns {string}
 */
const toText = (value) => {
  if (value instanceof Markup) return value.text;
  if (Array.isArray(value)) return value.map(toText).join("");
  if (value === null || value === undefined || value === false) return "";
  return String(value).replace(/[&<>"']/g, (character) => ESCAPES[character]);
};

/**
 * A piece of markup. Null, undefined and false give nothing; arrays are joined.
 *
 * @param {TemplateStringsArray} strings
 * @param {unknown[]} values
 */
export const html = (strings, ...values) =>
  new Markup(strings.map((part, n) => (n ? toText(values[n - 1]) : "") + part).join(""));

/**
 * Replaces the content of `element`. It takes only the result of `html`, so no plain string is ever parsed.
 *
 * @template {Element} T
 * @param {T} element
 * @param {Markup} markup
 */
export const fill = (element, markup) => {
  if (!(markup instanceof Markup)) throw new TypeError("fill() takes html`…` only");
  element.innerHTML = markup.text;
  return element;
};

/**
 * The first element of a piece of markup, not yet in the page.
 *
 * @param {Markup} markup
 */
export const node = (markup) =>
  /** @type {HTMLElement} */ (fill(document.createElement("template"), markup).content.firstElementChild);

/**
 * The first element below `root` that matches; an error where there is none. The name of an element gives its
 * type.
 *
 * @type {{
 *   <K extends keyof HTMLElementTagNameMap>(root: ParentNode, selector: K): HTMLElementTagNameMap[K];
 *   (root: ParentNode, selector: string): HTMLElement;
 * }}
 */
export const find = (/** @type {ParentNode} */ root, /** @type {string} */ selector) => {
  const found = root.querySelector(selector);
  if (!found) throw new Error(`no element matches ${selector}`);
  return /** @type {any} */ (found);
};

/**
 * The closest element around the target of an event that matches; null where there is none.
 *
 * @type {{
 *   <K extends keyof HTMLElementTagNameMap>(event: Event, selector: K): HTMLElementTagNameMap[K] | null;
 *   (event: Event, selector: string): HTMLElement | null;
 * }}
 */
export const closest = (/** @type {Event} */ { target }, /** @type {string} */ selector) =>
  target instanceof Element ? /** @type {any} */ (target.closest(selector)) : null;

/**
 * Gives the bars below `root` their sizes. The service's policy forbids styles in markup.
 *
 * @param {ParentNode} root
 */
export const sizeBars = (root) => {
  for (const bar of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".bar")))
    bar.style.setProperty("--size", bar.dataset.size ?? "0");
};
