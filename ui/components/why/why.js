// <mr-why>: why a film is where it is, contributions as bars that add up; or why it is not in the list.
import { api, isAbort } from "../../api.js";
import { fill, html } from "../../html.js";
import { list as listed, number, percent, signed, t } from "../../i18n.js";
import { familyText, systemText } from "../../reasons.js";

const SMALL = 0.005;

/** Bars from {family: contribution}: the base first, then by size; what is next to nothing is left out. */
export const barsOf = (contributions) => {
  const { base = 0, ...families } = contributions;
  const bars = Object.entries(families).filter(([, value]) => Math.abs(value) >= SMALL).sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return [["base", base], ...bars];
};

const sum = (contributions) => Object.values(contributions).reduce((total, value) => total + value, 0);

/** Why it is not in the list, in a sentence or two, from an answer of POST /explain. */
const whyNot = ({ verdict, filtered_by: rules, rank, would_rank: would, n_candidates: of, score, sources }, who, { k }) => {
  const place = { n: would, of, percent: percent(score) };
  if (verdict === "below_k") {
    return rank > k ? t("film.notShown", { ...place, n: rank, who, k }) : t("film.outvaried", { ...place, n: rank });
  }
  if (verdict === "not_a_candidate") {
    const n = sources.filter(({ proposes }) => proposes).length;
    return `${t("film.noCandidate", { n, of: sources.length, who })} ${t("film.would", place)}`;
  }
  const settings = rules.filter((rule) => rule.startsWith("filters.")).map((rule) => t(`rule.${rule.slice(8)}`));
  return [
    rules.includes("seen") && t("film.known"),
    rules.includes("hidden") && t("film.hidden"),
    settings.length > 0 && t("film.filtered", { settings: listed(settings) }),
    t("film.would", place),
  ].filter(Boolean).join(" ");
};

class Why extends HTMLElement {
  #abort = new AbortController();

  disconnectedCallback() {
    this.#abort.abort();
  }

  /** Explains `movieId` for this audience and these settings. */
  async show(movieId, audience, knobs) {
    const { signal } = this.#abort;
    const who = audience.isVisitor ? t("film.you") : audience.name;
    fill(this, html`<h3>${t("film.why")}</h3><p class="quiet">${t("film.why.loading")}</p>`);
    try {
      const { results } = await api.rank(audience.body(knobs, { explain: true }), signal);
      const place = results.findIndex((film) => film.movie_id === movieId);
      const found = place < 0 ? await api.explain(audience.body(knobs, { movie_id: movieId }), signal) : results[place];
      if (signal.aborted) return;
      if (place < 0) this.#tell(t("film.whyNot"), whyNot(found, who, knobs));
      else this.#tell(t("film.why"), t("film.place", { n: place + 1, percent: percent(found.score) }));
      if (found.contributions) this.#draw(found, who);
      if (found.sources?.length) this.#list(found.sources);
    } catch (error) {
      if (!isAbort(error)) this.#tell(t("film.why"), t("film.noAnswer"));
    }
  }

  #tell(title, text) {
    fill(this, html`<h3>${title}</h3><p>${text}</p>`);
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

  /** What each candidate source says of the film. */
  #list(sources) {
    const places = [...sources].sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity));
    const part = document.createElement("details");
    fill(
      part,
      html`<summary class="button">${t("film.sources")}</summary><table class="bars sources"><caption>${t("film.sources.lead")}</caption><tbody>${places.map(({ name, rank, proposes }) =>
        html`<tr><th scope="row">${systemText(name)}</th><td class="value">${rank ? t("film.sources.place", { n: number(rank) }) : t("film.sources.none")}</td
          ><td class="value">${t(proposes ? "film.sources.proposes" : "film.sources.not")}</td></tr>`)}</tbody></table>`,
    );
    this.append(part);
  }
}

customElements.define("mr-why", Why);
