// <mr-why>: why a film is where it is: contributions as bars that add up, or why it is not in the list.
import { api, isAbort } from "../../api.js";
import { fill, html } from "../../html.js";
import { percent, signed, t } from "../../i18n.js";
import { familyText } from "../../reasons.js";
import { NO_KNOBS } from "../../route.js";

const FAR = 500;
const SMALL = 0.005;

/** Bars from {family: contribution}: the base first, then by size; what is next to nothing is left out. */
export const barsOf = (contributions) => {
  const { base = 0, ...families } = contributions;
  const bars = Object.entries(families).filter(([, value]) => Math.abs(value) >= SMALL).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return [["base", base], ...bars];
};

const sum = (contributions) => Object.values(contributions).reduce((total, value) => total + value, 0);

class Why extends HTMLElement {
  #abort = new AbortController();

  disconnectedCallback() {
    this.#abort.abort();
  }

  /** Explains `movieId` for this audience and these settings. */
  async show(movieId, audience, knobs) {
    fill(this, html`<h3>${t("film.why")}</h3><p class="quiet">${t("film.why.loading")}</p>`);
    try {
      const found = await this.#find(movieId, audience, knobs);
      if (!this.#abort.signal.aborted) this.#tell(found, audience, knobs);
    } catch (error) {
      if (!isAbort(error)) fill(this, html`<h3>${t("film.why")}</h3><p class="quiet">${t("film.noAnswer")}</p>`);
    }
  }

  // In the list; else further down; else left out by the settings; else already known; else beyond reach.
  async #find(movieId, audience, knobs) {
    const ask = async (settings, more = {}) => {
      const { results } = await api.rank(audience.body(settings, { explain: true, ...more }), this.#abort.signal);
      const place = results.findIndex((film) => film.movie_id === movieId);
      return place < 0 ? null : { film: results[place], place: place + 1 };
    };
    const shown = await ask(knobs);
    if (shown) return { ...shown, kind: "shown" };
    const further = await ask({ ...knobs, k: FAR });
    if (further) return { ...further, kind: "notShown" };
    const unfiltered = await ask({ ...NO_KNOBS, k: FAR });
    if (unfiltered) return { ...unfiltered, kind: "filtered" };
    const known = await ask({ ...NO_KNOBS, k: FAR }, { exclude_seen: false });
    return known ? { ...known, kind: "known" } : { kind: "beyond" };
  }

  #tell({ film, place, kind }, { name, isVisitor }, { k }) {
    const who = isVisitor ? t("film.you") : name;
    const match = film && percent(film.score);
    const text = {
      shown: () => t("film.place", { n: place, percent: match }),
      notShown: () => t("film.notShown", { n: place, who, percent: match, k }),
      filtered: () => t("film.filtered", { n: place, percent: match }),
      known: () => t("film.known"),
      beyond: () => t("film.beyond", { n: FAR, who }),
    }[kind]();
    fill(this, html`<h3>${t(kind === "shown" ? "film.why" : "film.whyNot")}</h3><p>${text}</p>`);
    if (film?.contributions) this.#draw(film, who);
  }

  #draw({ contributions, score }, who) {
    const bars = barsOf(contributions);
    const widest = Math.max(...bars.map(([, value]) => Math.abs(value)), SMALL);
    const part = document.createElement("div");
    fill(
      part,
      html`<table class="bars"><caption>${t("film.why.lead", { who, raw: signed(sum(contributions)), percent: percent(score) })}</caption>
        <tbody>${bars.map(([family, value]) => html`<tr class="${value < 0 ? "lowers" : "raises"}"><th scope="row">${familyText(family)}</th>
          <td class="track" aria-hidden="true"><span class="bar" data-size="${Math.abs(value) / widest}"></span></td><td class="value">${signed(value)}</td></tr>`)}</tbody>
        <tfoot><tr><th scope="row">${t("film.why.sum")}</th><td></td><td class="value">${signed(sum(contributions))}</td></tr></tfoot></table>`,
    );
    for (const bar of part.querySelectorAll(".bar")) bar.style.setProperty("--size", bar.dataset.size);
    this.append(part);
  }
}

customElements.define("mr-why", Why);
