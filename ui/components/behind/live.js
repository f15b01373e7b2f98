// <mr-live>: the service at work, from its own metrics: calls a second, how long rankings take, events that came in.
import { api, isAbort } from "../../api.js";
import { fill, html } from "../../html.js";
import { has, humanised, list, milliseconds, number, t } from "../../i18n.js";
import { gained, histogram, quantile, samplesOf, total } from "../../prometheus.js";

const EVERY_MS = 2000;
const KEPT = 31;
const SHARES = [0.5, 0.95, 0.99];
// What this page, its files and the probes of machines cause says nothing about how the service is used.
const OWN = /^(\/metrics|\/model|\/health\/.*|\/schema.*|\/|\/\{path.*|unmatched)$/;

const isRank = ({ method, route }) => method === "POST" && route === "/rank";

const lookOf = (text) => {
  const samples = samplesOf(text);
  const events = new Map();
  for (const { name, labels, value } of samples) {
    if (name === "movierank_feedback_events_total" && labels.duplicate === "false") events.set(labels.event_type, value);
  }
  return {
    at: performance.now(),
    calls: total(samples, "movierank_requests_total", ({ route }) => !OWN.test(route)),
    ranks: histogram(samples, "movierank_request_seconds", isRank),
    events,
  };
};

const rate = (before, after) => ((after.calls - before.calls) * 1000) / (after.at - before.at);

class Live extends HTMLElement {
  #looks = [];
  #abort = null;
  #timer = 0;

  connectedCallback() {
    this.#abort = new AbortController();
    this.#look();
  }

  disconnectedCallback() {
    this.#abort.abort();
    clearTimeout(this.#timer);
  }

  async #look() {
    const { signal } = this.#abort;
    try {
      if (!document.hidden) this.#take(lookOf(await api.metrics(signal)));
    } catch (error) {
      if (isAbort(error)) return;
      this.#looks = [];
      const needsKey = error.problem?.status === 401;
      fill(this, html`<p class="quiet">${t(needsKey ? "live.key" : "live.none")}</p>`);
      if (needsKey) return;
    }
    if (!signal.aborted) this.#timer = setTimeout(() => this.#look(), EVERY_MS);
  }

  #take(look) {
    // A service that started anew counts from nothing.
    if (this.#looks.length && look.calls < this.#looks.at(-1).calls) this.#looks = [];
    this.#looks = [...this.#looks, look].slice(-KEPT);
    this.#show();
  }

  #show() {
    const [first, last] = [this.#looks[0], this.#looks.at(-1)];
    const lately = gained(last.ranks, first.ranks);
    const isLately = Boolean(lately.at(-1)?.[1]);
    const ranks = isLately ? lately : last.ranks;
    const n = ranks.at(-1)?.[1] ?? 0;
    const counted = [...last.events].filter(([, count]) => count).sort(([, a], [, b]) => b - a);
    const events = counted.reduce((sum, [, count]) => sum + count, 0);
    const tile = (label, value, more) => html`<div><dt>${label}</dt><dd>${value}${more && html` <span class="quiet">${more}</span>`}</dd></div>`;
    fill(
      this,
      html`<dl class="tiles">${tile(t("live.calls"), this.#looks.length > 1 ? number(rate(first, last), { maximumFractionDigits: 1 }) : "…")}
        ${SHARES.map((share) => {
          const seconds = quantile(ranks, share);
          const value = seconds === null ? t("live.noRanks") : seconds === Infinity ? t("live.long", { ms: milliseconds(ranks.at(-2)[0] * 1000) }) : milliseconds(seconds * 1000);
          return tile(t("live.latency", { share: number(share, { style: "percent" }) }), value);
        })}
        ${tile(t("live.events"), number(events), counted.length > 0 && html`(${list(counted.map(([type, count]) => `${has(`done.${type}`) ? t(`done.${type}`) : humanised(type)} ${number(count)}`))})`)}</dl>
        ${this.#drawn()}<p class="quiet">${n > 0 && t(isLately ? "live.lately" : "live.since", { n })}</p>`,
    );
  }

  /** Calls a second between looks, the newest on the right. */
  #drawn() {
    const rates = this.#looks.slice(1).map((look, n) => rate(this.#looks[n], look));
    const most = Math.max(1, ...rates);
    return html`<svg class="live-calls" viewBox="0 0 ${(KEPT - 1) * 10} 40" role="img" aria-label="${t("live.chart")}" preserveAspectRatio="none">${rates.map((value, n) => {
      const height = Math.max(0.75, (value / most) * 38);
      return html`<rect x="${(KEPT - 1 - rates.length + n) * 10}" y="${40 - height}" width="7" height="${height}" />`;
    })}</svg>`;
  }
}

customElements.define("mr-live", Live);
