// @ts-check
// The part of Prometheus' text format that this service writes: counters and histograms.

/**
 * @typedef {{ name: string, labels: Record<string, string>, value: number }} Sample
 * @typedef {[bound: number, count: number][]} Histogram
 *   Upper bounds and the number of observations up to each, ascending; the last bound is infinite.
 */

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/**
 * All samples of an answer of GET /metrics.
 *
 * @param {string} text
 * @returns {Sample[]}
 */
export const samplesOf = (text) =>
  text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    if (!name) return [];
    const pairs = [...labels.matchAll(LABEL)].map(([, key, content]) => [key, content]);
    return [{ name, labels: Object.fromEntries(pairs), value: Number(value) }];
  });

/**
 * The sum of a counter over the samples whose labels match.
 *
 * @param {Sample[]} samples
 * @param {string} name
 * @param {(labels: Record<string, string>) => boolean} matches
 */
export const total = (samples, name, matches) =>
  samples.reduce(
    (sum, sample) => (sample.name === name && matches(sample.labels) ? sum + sample.value : sum),
    0,
  );

/**
 * A histogram, summed over the samples whose labels match.
 *
 * @param {Sample[]} samples
 * @param {string} name
 * @param {(labels: Record<string, string>) => boolean} matches
 * @returns {Histogram}
 */
export const histogram = (samples, name, matches) => {
  const buckets = new Map();
  for (const { name: found, labels, value } of samples) {
    if (found !== `${name}_bucket` || !matches(labels)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  return [...buckets].sort(([a], [b]) => a - b);
};

/**
 * The observations that came between two readings of a histogram.
 *
 * @param {Histogram} later
 * @param {Histogram} earlier
 * @returns {Histogram}
 */
export const gained = (later, earlier) => {
  const before = new Map(earlier);
  return later.map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]);
};

/**
 * A quantile, interpolated within its bucket. Null without observations, infinite in the last bucket.
 *
 * @param {Histogram} buckets
 * @param {number} share From 0 to 1.
 */
export const quantile = (buckets, share) => {
  const n = buckets.at(-1)?.[1] ?? 0;
  if (!n) return null;
  const found = buckets.findIndex(([, count]) => count >= share * n);
  const [bound, count] = buckets[found];
  const [from, below] = found ? buckets[found - 1] : [0, 0];
  return bound === Infinity ? Infinity : from + ((bound - from) * (share * n - below)) / (count - below || 1);
};
