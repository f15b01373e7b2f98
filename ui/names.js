// @ts-check
// Names of candidate sources and feature families, and reason codes as sentences.
//
// The served model gives these names (GET /model), so the page shows a new source or family unchanged.
// Until the model is known, a code is shown as words. The strings name only the systems that are neither.
import { connection } from "./connection.js";
import { titleOf } from "./films.js";
import { filled, has, humanised, t } from "./i18n.js";

/**
 * A reason code in two parts, `kind:detail`.
 *
 * @param {string} code
 */
const split = (code) => {
  const colon = code.indexOf(":");
  return colon < 0 ? [code, ""] : [code.slice(0, colon), code.slice(colon + 1)];
};

/** @param {string} name */
const sourceNamed = (name) => connection.model?.sources?.find((source) => source.name === name);
/** @param {string} name */
const familyNamed = (name) => connection.model?.families?.find((family) => family.name === name);

/**
 * The ids of the movies that these codes name.
 *
 * @param {string[]} codes
 */
export const moviesIn = (codes) =>
  codes
    .map(split)
    .filter(([kind]) => kind === "because_you_liked")
    .map(([, id]) => Number(id));

/**
 * A reason code as a sentence. Without a sentence from the model, the code as words.
 *
 * @param {string} code
 */
export const reasonText = (code) => {
  const [kind, detail] = split(code);
  const title = titleOf(Number(detail)) ?? t("reason.aFilm");
  const sentence = familyNamed(kind)?.reason;
  const words = detail.replaceAll("_", " ");
  if (sentence) return filled(sentence, { genre: words, decade: detail, title });
  return detail ? `${humanised(kind)}: ${/^\d+$/.test(detail) ? title : words}` : humanised(kind);
};

/**
 * The name of a candidate source, or of another system of an evaluation.
 *
 * @param {string} name
 */
export const systemText = (name) =>
  sourceNamed(name)?.label || (has(`system.${name}`) ? t(`system.${name}`) : humanised(name));

/** @param {string} name */
export const familyText = (name) => familyNamed(name)?.label || humanised(name);
