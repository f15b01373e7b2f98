// @ts-check
// <mr-live>: the service at work, by its own metrics: calls per second, latency of rankings, events.
import { api, ApiError, isAbort } from "../../api.js";
import { fill, html } from "../../html.js";
import { has, humanised, list, milliseconds, number, t } from "../../i18n.js";
import { tile } from "./tile.js";
import { gained, histogram, quantile, samplesOf, total } from "../../prometheus.js";

/**
 * @import { Histogram } from "../../prometheus.js"
 * @typedef {{ at: number, calls: number, ranks: Histogram, events: Map<string, number> }} Reading
 *   `at`: when it was taken, in milliseconds.
 */

/** How often the metrics are read, in milliseconds. */
const EVERY_MS = 2000;
/** Number of readings that are kept: one minute. */
const KEPT = 31;
const QUANTILES = [0.5, 0.95, 0.99];
/** Routes that do not count as use of the service: this page itself, its files and health checks. */
const OWN = /^(\/metrics|\/model|\/health\/.*|\/schema.*|\/|\/\{path.*|unmatched)$/;

/** @param {Record<string, string>} labels */
const isRank = ({ method, route }) => method === "POST" && route === "/rank";

/**
 * @param {string} text
 * @returns {Reading}
 */
const readingOf = (text) => {
  const samples = samplesOf(text);
  const events = new Map();
  for (const { name, labels, value } of samples) {
    if (name === "movierank_feedback_events_total" && labels.duplicate === "false")
      events.set(labels.event_type, value);
  }
  return {
    at: performance.now(),
    calls: total(samples, "movierank_requests_total", ({ route }) => !OWN.test(route)),
    ranks: histogram(samples, "movierank_request_seconds", isRank),
    events,
  };
};

/**
 * Calls per second between two readings.
 *
 * @param {Reading} before
 * @param {Reading} after
 */
const rate = (before, after) => ((after.calls - before.calls) * 1000) / (after.at - before.at);

/** @param {string} type */
const eventText = (type) => (has(`done.${type}`) ? t(`done.${type}`) : humanised(type));

/**
 * @param {Histogram} ranks
 * @param {number} share
 */
const latencyText = (ranks, share) => {
  const seconds = quantile(ranks, share);
  if (seconds === null) return t("live.noRanks");
  if (seconds < Infinity) return milliseconds(seconds * 1000);
  const [bound] = ranks[ranks.length - 2];
  return t("live.long", { ms: milliseconds(bound * 1000) });
};

export class Live extends HTMLElement {
  /** @type {Reading[]} */
  #readings = [];
  #abort = new AbortController();
  #timer = 0;

  connectedCallback() {
    this.#abort = new AbortController();
    this.#read();
  }

  disconnectedCallback() {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async #read() {
    const { signal } = this.#abort;
    try {
      if (!document.hidden) this.#take(readingOf(await api.metrics(signal)));
    } catch (error) {
      if (isAbort(error)) return;
      this.#readings = [];
      const needsKey = error instanceof ApiError && error.problem.status === 401;
      fill(this, html`<p class="quiet">${t(needsKey ? "live.key" : "live.none")}</p>`);
      if (needsKey) return;
    }
    if (!signal.aborted) this.#timer = setTimeout(() => this.#read(), EVERY_MS);
  }

  /** @param {Reading} reading */
  #take(reading) {
    // The counters of a service that was restarted begin at 0.
    if (reading.calls < (this.#readings.at(-1)?.calls ?? 0)) this.#readings = [];
    this.#readings = [...this.#readings, reading].slice(-KEPT);
    this.#show();
  }

  #show() {
    const [first, last] = [this.#readings[0], this.#readings[this.#readings.length - 1]];
    const lately = gained(last.ranks, first.ranks);
    const isLately = Boolean(lately.at(-1)?.[1]);
    const ranks = isLately ? lately : last.ranks;
    const n = ranks.at(-1)?.[1] ?? 0;
    const counted = [...last.events].filter(([, count]) => count).sort(([, a], [, b]) => b - a);
    const events = counted.reduce((sum, [, count]) => sum + count, 0);
    const kinds = counted.map(([type, count]) => `${eventText(type)} ${number(count)}`);
    const calls = this.#readings.length > 1 ? number(rate(first, last), { maximumFractionDigits: 1 }) : "…";
    const latencies = QUANTILES.map((share) =>
      tile(t("live.latency", { share: number(share, { style: "percent" }) }), latencyText(ranks, share)),
    );
    fill(
      this,
      html`<dl class="tiles">
          ${tile(t("live.calls"), calls)}${latencies}
          ${tile(t("live.events"), number(events), kinds.length > 0 && `(${list(kinds)})`)}
        </dl>
        ${this.#drawn()}
        <p class="quiet">${n > 0 && t(isLately ? "live.lately" : "live.since", { n })}</p>`,
    );
  }

  /** A chart of the calls per second between readings, the newest on the right. */
  #drawn() {
    const rates = this.#readings.slice(1).map((reading, n) => rate(this.#readings[n], reading));
    const most = Math.max(1, ...rates);
    return html`<svg
      class="live-calls"
      viewBox="0 0 ${(KEPT - 1) * 10} 40"
      role="img"
      aria-label="${t("live.chart")}"
      preserveAspectRatio="none"
    >
      ${rates.map((value, n) => {
        const height = Math.max(0.75, (value / most) * 38);
        return html`<rect
          x="${(KEPT - 1 - rates.length + n) * 10}"
          y="${40 - height}"
          width="7"
          height="${height}"
        />`;
      })}
    </svg>`;
  }
}

customElements.define("mr-live", Live);
