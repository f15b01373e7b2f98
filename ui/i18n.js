// @ts-check
// The words of the page in the reader's language; numbers, dates and names as that language writes them.
import en from "./strings/en.js";

/** @typedef {Record<string, string | number | undefined>} Values Values for the {names} of a text. */

/** @type {Record<string, Record<string, string | Partial<Record<Intl.LDMLPluralRule, string>>>>} */
const LANGUAGES = { en };
const language =
  (navigator.languages ?? ["en"]).map((tag) => tag.split("-")[0]).find((tag) => LANGUAGES[tag]) ?? "en";
const words = LANGUAGES[language];
const locale = navigator.languages?.find((tag) => tag.startsWith(language)) ?? language;
const plural = new Intl.PluralRules(locale);

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;

/**
 * Right-to-left text is isolated, so that it does not reorder the sentence around it.
 *
 * @param {string | undefined} value
 */
const isolated = (value) => (value && RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

/** @param {string} key */
export const has = (key) => key in words;

/**
 * A text with its {names} filled in. Numbers are written as the language does.
 *
 * @param {string} text
 * @param {Values} values
 */
export const filled = (text, values) =>
  text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (isolated(value) ?? "");
  });

/**
 * The text of `key` with its {names} filled in; `n` chooses the plural form.
 *
 * @param {string} key
 * @param {Values} [values]
 */
export const t = (key, values = {}) => {
  const entry = words[key] ?? key;
  if (typeof entry === "string") return filled(entry, values);
  return filled(entry[plural.select(Number(values.n))] ?? entry.other ?? key, values);
};

/**
 * Fills the elements that name their text: `data-t` (content) and `data-t-label` (accessible name).
 *
 * @param {ParentNode} root
 */
export const translate = (root) => {
  document.documentElement.lang = language;
  document.documentElement.dir = t("lang.dir");
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t]")))
    element.textContent = t(element.dataset.t ?? "");
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-t-label]")))
    element.setAttribute("aria-label", t(element.dataset.tLabel ?? ""));
};

/**
 * @param {number} value
 * @param {Intl.NumberFormatOptions} options
 */
export const number = (value, options = {}) => new Intl.NumberFormat(locale, options).format(value);

/**
 * A share (0 to 1) as whole percent, from 1 % to 99 %: no score is certain.
 *
 * @param {number} share
 */
export const percent = (share) => number(Math.min(0.99, Math.max(0.01, share)), { style: "percent" });

/** @param {number} value */
export const signed = (value) =>
  number(value, { signDisplay: "exceptZero", minimumFractionDigits: 2, maximumFractionDigits: 2 });

/** @param {number} value */
export const milliseconds = (value) => `${number(value, { maximumFractionDigits: value < 10 ? 1 : 0 })} ms`;

/** @param {string[]} items */
export const list = (items) => new Intl.ListFormat(locale, { type: "conjunction" }).format(items);

/** @typedef {string | number} Moment An ISO 8601 time, or seconds since 1970. */

/** @param {Moment} value */
const asDate = (value) => new Date(typeof value === "number" ? value * 1000 : value);

/**
 * @param {Moment} value
 * @param {Intl.DateTimeFormatOptions} options
 */
const dateText = (value, options) => {
  const date = asDate(value);
  return Number.isNaN(date.valueOf()) ? "" : new Intl.DateTimeFormat(locale, options).format(date);
};

/**
 * A day; empty if `value` is not a time.
 *
 * @param {Moment} value
 */
export const day = (value) => dateText(value, { dateStyle: "medium" });

/**
 * A year; empty if `value` is not a time.
 *
 * @param {Moment} value
 */
export const yearOf = (value) => dateText(value, { year: "numeric" });

/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [
  ["day", 86400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
];

/**
 * How long ago, in the largest unit that fits; empty if `value` is not a time.
 *
 * @param {Moment} value
 */
export const ago = (value) => {
  const seconds = (asDate(value).valueOf() - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  const [unit, size] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? UNITS[3];
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.round(seconds / size), unit);
};

/**
 * A length such as "2h 5m".
 *
 * @param {number} minutes
 */
export const runtime = (minutes) => {
  const unit = (/** @type {number} */ value, /** @type {string} */ name) =>
    number(value, { style: "unit", unit: name, unitDisplay: "narrow" });
  const hours = Math.floor(minutes / 60);
  return [hours && unit(hours, "hour"), minutes % 60 && unit(minutes % 60, "minute")]
    .filter(Boolean)
    .join(" ");
};

/**
 * The name of a language; its code where the browser has no name.
 *
 * @param {string} code
 */
export const languageName = (code) => {
  try {
    return new Intl.DisplayNames(locale, { type: "language" }).of(code) ?? code;
  } catch {
    return code;
  }
};

/**
 * `some_code-name` as words.
 *
 * @param {string} code
 */
export const humanised = (code) => {
  const text = code.replace(/[_-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
};
