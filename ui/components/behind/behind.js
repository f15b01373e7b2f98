// @ts-check
// <mr-behind>: the model, its data, its quality, and the service at work.
import { connection } from "../../connection.js";
import { fill, find, html } from "../../html.js";
import { ago, day, milliseconds, t } from "../../i18n.js";
import { timings } from "../../timings.js";
import { reliabilityDiagram } from "./reliability.js";
import { figure, metricName, placeSpreads, systemsChart } from "./systems.js";
import { tile } from "./tile.js";
import "./live.js";

/** @import { Model } from "../../api.js" */

/** Maximum number of timings in the chart. */
const SHOWN = 60;
const CHARTED = ["ndcg@10", "recall@100"];

export class Behind extends HTMLElement {
  #changes = new AbortController();
  /** The model that is shown, as one text. */
  shown = "";

  connectedCallback() {
    document.title = `${t("behind.title")} · ${t("app.name")}`;
    const { signal } = this.#changes;
    connection.addEventListener("model", () => this.#show(), { signal });
    timings.addEventListener("change", () => this.#showTimings(), { signal });
    fill(
      this,
      html`<header class="view-head"><h1 tabindex="-1">${t("behind.title")}</h1></header>
        <div class="behind">
          <section>
            <h2>${t("behind.model")}</h2>
            <p class="data-kind"></p>
            <dl class="tiles model"></dl>
            <p class="elsewhere"></p>
          </section>
          <section class="quality">
            <h2>${t("behind.metrics")}</h2>
            <div></div>
          </section>
          <section class="honesty">
            <h2>${t("reliability.title")}</h2>
            <div></div>
          </section>
          <section>
            <h2>${t("live.title")}</h2>
            <mr-live></mr-live>
          </section>
          <section>
            <h2>${t("behind.latency")}</h2>
            <p class="quiet">${t("behind.latency.lead")}</p>
            <div class="pulse"></div>
          </section>
        </div>`,
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
    // The model is read every few seconds; an equal answer must not disturb the reader.
    const key = JSON.stringify(model);
    if (!model || key === this.shown) return;
    this.shown = key;
    find(this, ".data-kind").textContent = model.ratings_are_simulated
      ? t("data.simulated")
      : t("data.real", { dataset: model.dataset });
    this.#showModel(model);
    this.#showQuality(model);
    const { reliability = [], expected_calibration_error: error } = model.evaluation ?? {};
    fill(
      find(this, ".honesty div"),
      reliability.length
        ? html`<p class="quiet">${t("reliability.lead")}</p>
            ${reliabilityDiagram(reliability, error)}`
        : html`<p class="quiet">${t("behind.absent")}</p>`,
    );
  }

  /** @param {Model} model */
  #showModel(model) {
    const sizes = { movies: model.n_movies, users: model.n_users, events: model.n_interactions };
    const { mlflow, dagster } = model.links;
    const used = model.histories;
    const histories = used && t("behind.histories.sizes", { users: used.n_users, events: used.n_events });
    fill(
      find(this, ".model"),
      html`${tile(t("behind.version"), model.model_version)}
      ${tile(t("behind.trained"), day(model.created_at), ago(model.created_at))}
      ${tile(t("behind.data"), model.dataset)} ${tile(t("behind.dataAsOf"), day(model.data_as_of))}
      ${tile(t("behind.loaded"), ago(model.loaded_at))} ${tile(t("behind.size"), t("behind.sizes", sizes))}
      ${histories && tile(t("behind.histories"), histories)}
      ${model.run_id && tile(t("behind.run"), html`<code>${model.run_id}</code>`)}`,
    );
    fill(
      find(this, ".elsewhere"),
      html`${mlflow && html`<a class="button" href="${mlflow}" rel="noreferrer">${t("behind.mlflow")}</a>`}
        ${dagster && html`<a class="button" href="${dagster}" rel="noreferrer">${t("behind.dagster")}</a>`}<a
          class="button"
          href="schema"
          >${t("behind.docs")}</a
        >`,
    );
  }

  /** @param {Model} model */
  #showQuality({ evaluation, metrics }) {
    const charted = evaluation ? CHARTED : [];
    const own = Object.entries(metrics ?? {}).filter(
      ([name, value]) => Number.isFinite(value) && !charted.includes(name),
    );
    const place = find(this, ".quality div");
    const lead = (/** @type {NonNullable<Model["evaluation"]>} */ { n_requests, n_users, split_time }) =>
      t("behind.evaluated", { requests: n_requests, users: n_users, date: day(split_time) });
    fill(
      place,
      html`${
        evaluation
          ? html`<p class="quiet">${lead(evaluation)}</p>
              <div class="figures">${CHARTED.map((metric) => systemsChart(evaluation.systems, metric))}</div>`
          : html`<p class="quiet">${t("behind.absent")}</p>`
      }
      ${
        own.length > 0 &&
        html`<table class="bars metrics">
          <caption>
            ${t("behind.own")}
          </caption>
          <tbody>
            ${own.map(
              ([name, value]) =>
                html`<tr>
                  <th scope="row">${metricName(name)}</th>
                  <td class="value">${figure(value)}</td>
                </tr>`,
            )}
          </tbody>
        </table>`
      }`,
    );
    placeSpreads(place);
  }

  #showTimings() {
    const values = timings.values.slice(-SHOWN);
    const place = find(this, ".pulse");
    if (!values.length) {
      fill(place, html`<p>${t("behind.latency.none")}</p>`);
      return;
    }
    const sorted = [...values].sort((a, b) => a - b);
    const worst = sorted[sorted.length - 1];
    const summary = t("behind.latency.summary", {
      n: values.length,
      median: milliseconds(sorted[Math.floor(sorted.length / 2)]),
      worst: milliseconds(worst),
    });
    fill(
      place,
      html`<svg viewBox="0 0 ${SHOWN * 10} 80" role="img" aria-label="${summary}" preserveAspectRatio="none">
          ${values.map((value, n) => {
            const height = Math.max(2, (value / worst) * 78);
            return html`<rect
              x="${(SHOWN - values.length + n) * 10}"
              y="${80 - height}"
              width="7"
              height="${height}"
            />`;
          })}
        </svg>
        <p>${summary}</p>`,
    );
  }
}

customElements.define("mr-behind", Behind);
