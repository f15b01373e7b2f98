// <mr-behind>: which model answers, what it was trained on, how good it is, and the service at work.
import { connection } from "../../connection.js";
import { fill, html } from "../../html.js";
import { ago, day, milliseconds, t } from "../../i18n.js";
import { timings } from "../../timings.js";
import { reliabilityDiagram } from "./reliability.js";
import { figure, metricName, placeSpreads, systemsChart } from "./systems.js";
import "./live.js";

const SHOWN = 60;
const CHARTED = ["ndcg@10", "recall@100"];

const tile = (label, value, more) => html`<div><dt>${label}</dt><dd>${value}${more && html` <span class="quiet">${more}</span>`}</dd></div>`;

class Behind extends HTMLElement {
  #changes = new AbortController();

  connectedCallback() {
    document.title = `${t("behind.title")} · ${t("app.name")}`;
    const { signal } = this.#changes;
    connection.addEventListener("model", () => this.#show(), { signal });
    timings.addEventListener("change", () => this.#showTimings(), { signal });
    fill(
      this,
      html`<header class="view-head"><h1 tabindex="-1">${t("behind.title")}</h1></header><div class="behind">
        <section><h2>${t("behind.model")}</h2><p class="data-kind"></p><dl class="tiles model"></dl><p class="elsewhere"></p></section>
        <section class="quality"><h2>${t("behind.metrics")}</h2><div></div></section>
        <section class="honesty"><h2>${t("reliability.title")}</h2><div></div></section>
        <section><h2>${t("live.title")}</h2><mr-live></mr-live></section>
        <section><h2>${t("behind.latency")}</h2><p class="quiet">${t("behind.latency.lead")}</p><div class="pulse"></div></section></div>`,
    );
    this.#show();
    this.#showTimings();
    connection.readModel();
  }

  disconnectedCallback() {
    this.#changes.abort();
  }

  #show() {
    const { model } = connection;
    // The same answer again and again: what somebody is reading stays as it is.
    const key = JSON.stringify(model);
    if (!model || key === this.shown) return;
    this.shown = key;
    this.querySelector(".data-kind").textContent = model.ratings_are_simulated ? t("data.simulated") : t("data.real", { dataset: model.dataset });
    this.#showModel(model);
    this.#showQuality(model);
    const { reliability = [], expected_calibration_error: error } = model.evaluation ?? {};
    fill(
      this.querySelector(".honesty div"),
      reliability.length ? html`<p class="quiet">${t("reliability.lead")}</p>${reliabilityDiagram(reliability, error)}` : html`<p class="quiet">${t("behind.absent")}</p>`,
    );
  }

  #showModel(model) {
    const sizes = { movies: model.n_movies, users: model.n_users, events: model.n_interactions };
    const { mlflow, dagster } = model.links ?? {};
    fill(
      this.querySelector(".model"),
      html`${tile(t("behind.version"), String(model.model_version))}${tile(t("behind.trained"), day(model.created_at), ago(model.created_at))}
        ${tile(t("behind.data"), model.dataset)}${tile(t("behind.dataAsOf"), day(model.data_as_of))}${tile(t("behind.loaded"), ago(model.loaded_at))}
        ${tile(t("behind.size"), t("behind.sizes", sizes))}${model.histories && tile(t("behind.histories"), t("behind.histories.sizes", { users: model.histories.n_users, events: model.histories.n_events }))}
        ${model.run_id && tile(t("behind.run"), html`<code>${model.run_id}</code>`)}`,
    );
    fill(
      this.querySelector(".elsewhere"),
      html`${mlflow && html`<a class="button" href="${mlflow}" rel="noreferrer">${t("behind.mlflow")}</a>`}
        ${dagster && html`<a class="button" href="${dagster}" rel="noreferrer">${t("behind.dagster")}</a>`}<a class="button" href="schema">${t("behind.docs")}</a>`,
    );
  }

  #showQuality({ evaluation, metrics }) {
    const charted = evaluation ? CHARTED : [];
    const own = Object.entries(metrics ?? {}).filter(([name, value]) => Number.isFinite(value) && !charted.includes(name));
    const place = this.querySelector(".quality div");
    const lead = evaluation && {
      requests: evaluation.n_requests, users: evaluation.n_users, date: day(evaluation.split_time),
    };
    fill(
      place,
      html`${evaluation ? html`<p class="quiet">${t("behind.evaluated", lead)}</p>
          <div class="figures">${CHARTED.map((metric) => systemsChart(evaluation.systems, metric))}</div>`
        : html`<p class="quiet">${t("behind.absent")}</p>`}
        ${own.length > 0 && html`<table class="bars metrics"><caption>${t("behind.own")}</caption><tbody>${own.map(([name, value]) => html`<tr><th scope="row">${metricName(name)}</th
          ><td class="value">${figure(value)}</td></tr>`)}</tbody></table>`}`,
    );
    placeSpreads(place);
  }

  #showTimings() {
    const values = timings.values.slice(-SHOWN);
    const place = this.querySelector(".pulse");
    if (!values.length) {
      fill(place, html`<p>${t("behind.latency.none")}</p>`);
      return;
    }
    const sorted = [...values].sort((a, b) => a - b);
    const worst = sorted.at(-1);
    const summary = t("behind.latency.summary", { n: values.length, median: milliseconds(sorted[Math.floor(sorted.length / 2)]), worst: milliseconds(worst) });
    fill(
      place,
      html`<svg viewBox="0 0 ${SHOWN * 10} 80" role="img" aria-label="${summary}" preserveAspectRatio="none">${values.map((value, n) => {
        const height = Math.max(2, (value / worst) * 78);
        return html`<rect x="${(SHOWN - values.length + n) * 10}" y="${80 - height}" width="7" height="${height}" />`;
      })}</svg><p>${summary}</p>`,
    );
  }
}

customElements.define("mr-behind", Behind);
