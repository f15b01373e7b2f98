// The words of the page in the language of the reader, and numbers, dates and names as that language has them.
import en from "./strings/en.js";

const LANGUAGES = { en };
const language = (navigator.languages ?? ["en"]).map((tag) => tag.split("-")[0]).find((tag) => LANGUAGES[tag]) ?? "en";
const words = LANGUAGES[language];
const locale = navigator.languages?.find((tag) => tag.startsWith(language)) ?? language;
const plural = new Intl.PluralRules(locale);

const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufefc]/;
/** A name that runs the other way is set apart, so that it does not reorder the sentence around it. */
const isolated = (value) => (typeof value === "string" && RIGHT_TO_LEFT.test(value) ? `\u2068${value}\u2069` : value);

export const has = (key) => key in words;

/** The text of `key` with {names} filled in; `n` chooses the plural form and is shown as a number. */
export const t = (key, values = {}) => {
  const entry = words[key] ?? key;
  const text = typeof entry === "string" ? entry : (entry[plural.select(values.n)] ?? entry.other);
  return text.replace(/\{(\w+)\}/g, (_, name) => {
    const value = values[name];
    return typeof value === "number" ? number(value) : (isolated(value) ?? "");
  });
};

/** Fills elements that name their text: data-t (content), data-t-label (accessible name). */
export const translate = (root) => {
  document.documentElement.lang = language;
  document.documentElement.dir = t("lang.dir");
  for (const element of root.querySelectorAll("[data-t]")) element.textContent = t(element.dataset.t);
  for (const element of root.querySelectorAll("[data-t-label]")) element.setAttribute("aria-label", t(element.dataset.tLabel));
};

export const number = (value, options = {}) => new Intl.NumberFormat(locale, options).format(value);
/** The share of 1 as whole percent; never 100 % or 0 %, which would be a promise. */
export const percent = (share) => number(Math.min(0.99, Math.max(0.01, share)), { style: "percent" });
export const signed = (value) => number(value, { signDisplay: "exceptZero", minimumFractionDigits: 2, maximumFractionDigits: 2 });
export const milliseconds = (value) => `${number(value, { maximumFractionDigits: value < 10 ? 1 : 0 })} ms`;
export const list = (items) => new Intl.ListFormat(locale, { type: "conjunction" }).format(items);

const asDate = (value) => new Date(typeof value === "number" ? value * 1000 : value);
/** A day, from an ISO time or seconds since 1970; empty if it is neither. */
export const day = (value) => {
  const date = asDate(value);
  return Number.isNaN(date.valueOf()) ? "" : new Intl.DateTimeFormat(locale, { dateStyle: "medium" }).format(date);
};

export const yearOf = (value) => {
  const date = asDate(value);
  return Number.isNaN(date.valueOf()) ? "" : new Intl.DateTimeFormat(locale, { year: "numeric" }).format(date);
};

const STEPS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];
/** How long ago, in the largest unit that fits. */
export const ago = (value) => {
  const seconds = (asDate(value) - Date.now()) / 1000;
  if (Number.isNaN(seconds)) return "";
  const [unit, size] = STEPS.find(([, length]) => Math.abs(seconds) >= length) ?? STEPS[3];
  return new Intl.RelativeTimeFormat(locale, { numeric: "auto" }).format(Math.round(seconds / size), unit);
};

export const runtime = (minutes) => {
  const unit = (value, name) => number(value, { style: "unit", unit: name, unitDisplay: "narrow" });
  const hours = Math.floor(minutes / 60);
  return [hours && unit(hours, "hour"), minutes % 60 && unit(minutes % 60, "minute")].filter(Boolean).join(" ");
};

/** A language's name from its code; the code itself where nobody knows it. */
export const languageName = (code) => {
  try {
    return new Intl.DisplayNames(locale, { type: "language" }).of(code);
  } catch {
    return code;
  }
};

/** `some_code-name` as words. */
export const humanised = (code) => {
  const text = String(code).replace(/[_-]+/g, " ").trim();
  return text.charAt(0).toUpperCase() + text.slice(1);
};
