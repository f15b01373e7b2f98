// <mr-behind>: which model answers, what it was trained on, how good and how fast it is.
import { connection } from "../../connection.js";
import { fill, html } from "../../html.js";
import { ago, day, has, humanised, milliseconds, number, t } from "../../i18n.js";
import { timings } from "../../timings.js";

const SHOWN = 60;

/** `ndcg@10` in words, with its cut-off. */
const metricName = (name) => {
  const [kind, cutOff] = name.split("@");
  const at = cutOff ? `@${cutOff}` : "";
  return has(`metric.${kind}`) ? t(`metric.${kind}`, { at }) : humanised(kind) + at;
};

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
        <section><h2>${t("behind.model")}</h2><p class="data-kind"></p><dl class="tiles"></dl></section>
        <section><h2>${t("behind.metrics")}</h2><p class="quiet">${t("behind.metrics.lead")}</p><table class="bars metrics"><tbody></tbody></table></section>
        <section><h2>${t("behind.latency")}</h2><p class="quiet">${t("behind.latency.lead")}</p><div class="pulse"></div></section>
        <p><a href="schema">${t("behind.docs")}</a></p></div>`,
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
    if (!model) return;
    const sizes = { movies: model.n_movies, users: model.n_users, events: model.n_interactions };
    this.querySelector(".data-kind").textContent = model.ratings_are_simulated ? t("data.simulated") : t("data.real", { dataset: model.dataset });
    fill(
      this.querySelector(".tiles"),
      html`${tile(t("behind.version"), String(model.model_version))}${tile(t("behind.trained"), day(model.created_at), ago(model.created_at))}
        ${tile(t("behind.data"), model.dataset)}${tile(t("behind.dataAsOf"), day(model.data_as_of))}${tile(t("behind.loaded"), ago(model.loaded_at))}
        ${tile(t("behind.size"), t("behind.sizes", sizes))}${model.run_id && tile(t("behind.run"), html`<code>${model.run_id}</code>`)}`,
    );
    const metrics = Object.entries(model.metrics ?? {}).filter(([, value]) => Number.isFinite(value));
    fill(
      this.querySelector(".metrics tbody"),
      html`${metrics.map(([name, value]) => html`<tr class="raises"><th scope="row">${metricName(name)}</th><td class="track" aria-hidden="true">${value >= 0 && value <= 1 && html`<span class="bar"
        data-size="${value}"></span>`}</td><td class="value">${number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 })}</td></tr>`)}`,
    );
    for (const bar of this.querySelectorAll(".bar")) bar.style.setProperty("--size", bar.dataset.size);
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
