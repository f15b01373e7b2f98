// @ts-check
// <mr-foot>: the data and the model behind the lists, and the credits.
import { connection } from "../../connection.js";
import { fill, find, html } from "../../html.js";
import { ago, day, milliseconds, t } from "../../i18n.js";
import { timings } from "../../timings.js";

/** How often the times are written again, in milliseconds. */
const EVERY_MS = 30_000;

export class Foot extends HTMLElement {
  #changes = new AbortController();
  #timer = 0;

  connectedCallback() {
    const { signal } = this.#changes;
    connection.addEventListener("model", () => this.#show(), { signal });
    timings.addEventListener("change", () => this.#show(), { signal });
    this.#timer = setInterval(() => this.#show(), EVERY_MS);
    this.#show();
  }

  disconnectedCallback() {
    clearInterval(this.#timer);
    this.#changes.abort();
  }

  #show() {
    const { model } = connection;
    const data =
      model &&
      (model.ratings_are_simulated ? t("data.simulated") : t("data.real", { dataset: model.dataset }));
    const serving =
      model &&
      t("foot.serving", {
        version: model.model_version,
        dataset: model.dataset,
        date: day(model.data_as_of),
        loaded: ago(model.loaded_at),
      });
    const strip = find(document, "#data-strip");
    strip.classList.toggle("simulated", Boolean(model?.ratings_are_simulated));
    strip.textContent = model?.ratings_are_simulated ? t("data.strip") : (data ?? t("data.unknown"));
    fill(
      this,
      html`${data && html`<p class="foot-data">${data}</p>`}${
          serving &&
          html`<p>
            ${serving}${
              timings.last !== undefined && html` ${t("foot.answered", { ms: milliseconds(timings.last) })}`
            }
          </p>`
        }
        <p>${t("foot.tmdb")}</p>
        <p>${t("foot.movielens")}</p>`,
    );
  }
}

customElements.define("mr-foot", Foot);
