// @ts-check
// <mr-why>: why a film has its place in the list, as bars that add up; or why it is not in the list.
import { api, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { fill, html, sizeBars } from "../../html.js";
import { list as listed, number, percent, signed, t } from "../../i18n.js";
import { familyText, systemText } from "../../names.js";

/**
 * @import { Explanation } from "../../api.js"
 * @import { Audience } from "../../audience.js"
 * @import { Knobs } from "../../route.js"
 * @typedef {Record<string, number>} Contributions By family; with `base` they add up to the raw score.
 */

/** Minimum size of a contribution that is shown. */
const SMALL = 0.005;

/**
 * The bars of an explanation: the base first, then the families by size, without very small ones.
 *
 * @param {Contributions} contributions
 * @returns {[string, number][]}
 */
const barsOf = (contributions) => {
  const { base = 0, ...families } = contributions;
  const bars = Object.entries(families)
    .filter(([, value]) => Math.abs(value) >= SMALL)
    .sort((a, b) => Math.abs(b[1]) - Math.abs(a[1]));
  return [["base", base], ...bars];
};

/** @param {Contributions} contributions */
const sum = (contributions) => Object.values(contributions).reduce((total, value) => total + value, 0);

/**
 * Why a film is not in the list, in a sentence or two.
 *
 * @param {Explanation} explanation
 * @param {string} who
 * @param {Knobs} knobs
 */
const whyNot = (
  { verdict, filtered_by: rules, rank, would_rank: would, n_candidates: of, score, sources },
  who,
  { k },
) => {
  const place = { n: would, of, percent: percent(score) };
  if (verdict === "below_k") {
    return rank !== null && rank > k
      ? t("film.notShown", { ...place, n: rank, who, k })
      : t("film.outvaried", { ...place, n: rank ?? would });
  }
  if (verdict === "not_a_candidate") {
    const n = sources.filter(({ proposes }) => proposes).length;
    return `${t("film.noCandidate", { n, of: sources.length, who })} ${t("film.would", place)}`;
  }
  const settings = rules
    .filter((rule) => rule.startsWith("filters."))
    .map((rule) => t(`rule.${rule.slice(8)}`));
  return [
    rules.includes("seen") && t("film.known"),
    rules.includes("hidden") && t("film.hidden"),
    rules.includes("unreleased") && t("film.unreleased"),
    settings.length > 0 && t("film.filtered", { settings: listed(settings) }),
    t("film.would", place),
  ]
    .filter(Boolean)
    .join(" ");
};

export class Why extends HTMLElement {
  #abort = new AbortController();

  disconnectedCallback() {
    this.#abort.abort();
  }

  /**
   * Explains a film for somebody with these settings.
   *
   * @param {number} movieId
   * @param {Audience} audience
   * @param {Knobs} knobs
   */
  async show(movieId, audience, knobs) {
    const { signal } = this.#abort;
    const who = audience.isVisitor ? t("film.you") : audience.name;
    fill(
      this,
      html`<h3>${t("film.why")}</h3>
        <p class="quiet">${t("film.why.loading")}</p>`,
    );
    try {
      const asking = api.rank(audience.body(knobs, { explain: true }), signal);
      const [{ results }] = await Promise.all([asking, connection.namesKnown()]);
      const index = results.findIndex((film) => film.movie_id === movieId);
      if (index >= 0) {
        const { contributions, score } = results[index];
        this.#tell(t("film.why"), t("film.place", { n: index + 1, percent: percent(score) }));
        if (contributions) this.#draw(contributions, score, who);
        return;
      }
      const found = await api.explain(audience.body(knobs, { movie_id: movieId }), signal);
      this.#tell(t("film.whyNot"), whyNot(found, who, knobs));
      this.#draw(found.contributions, found.score, who);
      if (found.sources.length) this.#list(found.sources);
    } catch (error) {
      if (!isAbort(error)) this.#tell(t("film.why"), t("film.noAnswer"));
    }
  }

  /**
   * @param {string} title
   * @param {string} text
   */
  #tell(title, text) {
    fill(
      this,
      html`<h3>${title}</h3>
        <p>${text}</p>`,
    );
  }

  /**
   * @param {Contributions} contributions
   * @param {number} score
   * @param {string} who
   */
  #draw(contributions, score, who) {
    const bars = barsOf(contributions);
    const widest = Math.max(...bars.map(([, value]) => Math.abs(value)), SMALL);
    const part = document.createElement("div");
    fill(
      part,
      html`<table class="bars">
        <caption>
          ${t("film.why.lead", { who, raw: signed(sum(contributions)), percent: percent(score) })}
        </caption>
        <tbody>
          ${bars.map(
            ([family, value]) =>
              html`<tr class="${value < 0 ? "lowers" : "raises"}">
                <th scope="row">${familyText(family)}</th>
                <td class="track" aria-hidden="true">
                  <span class="bar" data-size="${Math.abs(value) / widest}"></span>
                </td>
                <td class="value">${signed(value)}</td>
              </tr>`,
          )}
        </tbody>
        <tfoot>
          <tr>
            <th scope="row">${t("film.why.sum")}</th>
            <td></td>
            <td class="value">${signed(sum(contributions))}</td>
          </tr>
        </tfoot>
      </table>`,
    );
    sizeBars(part);
    this.append(part);
  }

  /**
   * Lists where each candidate source ranks the film.
   *
   * @param {Explanation["sources"]} sources
   */
  #list(sources) {
    const sorted = [...sources].sort((a, b) => (a.rank ?? Infinity) - (b.rank ?? Infinity));
    const part = document.createElement("details");
    fill(
      part,
      html`<summary class="button">${t("film.sources")}</summary>
        <table class="bars sources">
          <caption>
            ${t("film.sources.lead")}
          </caption>
          <tbody>
            ${sorted.map(
              ({ name, rank, proposes }) =>
                html`<tr>
                  <th scope="row">${systemText(name)}</th>
                  <td class="value">
                    ${rank ? t("film.sources.place", { n: number(rank) }) : t("film.sources.none")}
                  </td>
                  <td class="value">${t(proposes ? "film.sources.proposes" : "film.sources.not")}</td>
                </tr>`,
            )}
          </tbody>
        </table>`,
    );
    this.append(part);
  }
}

customElements.define("mr-why", Why);
