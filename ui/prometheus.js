// Prometheus' text format, as far as this service writes it: counters, histograms, and what can be told from two looks.

const LINE = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/;
const LABEL = /([a-z_]+)="((?:[^"\\]|\\.)*)"/g;

/** [{name, labels, value}] of a whole answer of GET /metrics. */
export const samplesOf = (text) =>
  text.split("\n").flatMap((line) => {
    const [, name, labels = "", value] = LINE.exec(line) ?? [];
    return name ? [{ name, labels: Object.fromEntries([...labels.matchAll(LABEL)].map(([, key, text]) => [key, text])), value: Number(value) }] : [];
  });

/** The sum of a counter over the samples that `matches` their labels. */
export const total = (samples, name, matches = () => true) =>
  samples.reduce((sum, sample) => (sample.name === name && matches(sample.labels) ? sum + sample.value : sum), 0);

/** A histogram as [[upper bound, count up to it]], ascending; the last bound is infinite. */
export const histogram = (samples, name, matches) => {
  const buckets = new Map();
  for (const { name: found, labels, value } of samples) {
    if (found !== `${name}_bucket` || !matches(labels)) continue;
    const bound = labels.le === "+Inf" ? Infinity : Number(labels.le);
    buckets.set(bound, (buckets.get(bound) ?? 0) + value);
  }
  return [...buckets].sort(([a], [b]) => a - b);
};

/** What a histogram gained since an earlier look at it. */
export const gained = (later, earlier) => {
  const before = new Map(earlier);
  return later.map(([bound, count]) => [bound, count - (before.get(bound) ?? 0)]);
};

/** The value below which a share of the observations lies, straight between the bounds of its bucket; null without any. */
export const quantile = (buckets, share) => {
  const n = buckets.at(-1)?.[1] ?? 0;
  if (!n) return null;
  const at = buckets.findIndex(([, count]) => count >= share * n);
  const [bound, count] = buckets[at];
  const [from, below] = at ? buckets[at - 1] : [0, 0];
  return bound === Infinity ? Infinity : from + ((bound - from) * (share * n - below)) / (count - below || 1);
};
