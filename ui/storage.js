// @ts-check
// Small values kept in this browser. Where the browser forbids storage, they are forgotten.

/**
 * The value kept under `key`; `otherwise` where there is none.
 *
 * @template T
 * @param {string} key
 * @param {T} otherwise
 * @returns {T}
 */
export const recall = (key, otherwise) => {
  try {
    return JSON.parse(localStorage.getItem(`movierank.${key}`) ?? "null") ?? otherwise;
  } catch {
    return otherwise;
  }
};

/**
 * @param {string} key
 * @param {unknown} value
 */
export const keep = (key, value) => {
  try {
    localStorage.setItem(`movierank.${key}`, JSON.stringify(value));
  } catch {
    // Nothing depends on it being kept.
  }
};
