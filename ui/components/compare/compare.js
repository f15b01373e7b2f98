// @ts-check
// <mr-compare>: two lists of one person side by side, by two settings or by two versions, and what moved.
import { api, ApiError, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { genresSeen, learn, remember } from "../../films.js";
import { closest, fill, find, html } from "../../html.js";
import { percent, t } from "../../i18n.js";
import { moviesIn, reasonText } from "../../names.js";
import { go, href } from "../../route.js";
import { audienceOf } from "../../audience.js";
import { factsOf } from "../card/facts.js";
import { contentOf } from "../notice/notice.js";
import "../knobs/knobs.js";
import "../poster/poster.js";

/**
 * @import { RankedFilm, Ranking } from "../../api.js"
 * @import { Audience } from "../../audience.js"
 * @import { Knobs, Route } from "../../route.js"
 */

/** Maximum length of the two lists. */
const LENGTH = 20;
const SIDES = /** @type {const} */ (["left", "right"]);

export class Compare extends HTMLElement {
  /** @type {AbortController | null} */
  #abort = null;
  #changes = new AbortController();
  /** The route that is shown, as one text. */
  key = "";
  /** @type {Audience} */
  audience;
  /** @type {Route["against"]} */
  against = null;
  /** The settings of the two lists. @type {Knobs[]} */
  settings = [];

  connectedCallback() {
    document.title = `${t("compare.title")} · ${t("app.name")}`;
    this.addEventListener("knobs", (event) => {
      const isRight = closest(event, "mr-knobs")?.dataset.side === "right";
      go(isRight ? { other: event.detail } : { knobs: event.detail });
    });
    this.addEventListener("retry", () => this.#load());
    const { signal } = this.#changes;
    for (const type of ["recovered", "newmodel"])
      connection.addEventListener(type, () => this.#load(), { signal });
    connection.addEventListener("model", () => this.#offer(), { signal });
  }

  disconnectedCallback() {
    this.#abort?.abort();
    this.#changes.abort();
  }

  /** @param {Route} route */
  set route(route) {
    const key = JSON.stringify([route.user, route.knobs, route.other, route.against]);
    if (key === this.key) return;
    const rebuild = !this.key || route.against !== this.against;
    this.key = key;
    this.audience = audienceOf(route);
    this.against = route.against;
    this.settings = [route.knobs, this.against ? route.knobs : route.other];
    if (rebuild) this.#build();
    this.#offer();
    this.#load();
  }

  #build() {
    const heading = (/** @type {string} */ side) => (this.against ? html`&nbsp;` : t(`compare.${side}`));
    fill(
      this,
      html`<header class="view-head">
          <div>
            <h1 tabindex="-1">${t("compare.title")}</h1>
            <p>${t(this.against ? "compare.lead.versions" : "compare.lead")}</p>
          </div>
        </header>
        <div class="choices" role="group" aria-label="${t("compare.what")}" hidden></div>
        ${this.against && html`<mr-knobs></mr-knobs>`}
        <p class="shared" role="status">&nbsp;</p>
        <div class="sides">
          ${SIDES.map(
            (side) =>
              html`<section class="side" aria-labelledby="${side}-title">
                <h2 id="${side}-title">${heading(side)}</h2>
                ${!this.against && html`<mr-knobs data-side="${side}"></mr-knobs>`}
                <ol></ol>
              </section>`,
          )}
        </div>`,
    );
  }

  /** The choice between settings and versions, where there is a second version. */
  #offer() {
    const place = find(this, ".choices");
    place.hidden = !connection.model?.challenger && !this.against;
    const choice = (/** @type {Route["against"]} */ against, /** @type {string} */ text) =>
      html`<a
        class="button"
        href="${href({ against })}"
        ${this.against === against && html`aria-current="true"`}
        >${text}</a
      >`;
    fill(place, html`${choice(null, t("compare.settings"))}${choice("challenger", t("compare.versions"))}`);
  }

  #bodies() {
    return this.settings.map((knobs, side) =>
      this.audience.body(
        { ...knobs, k: Math.min(knobs.k, LENGTH) },
        side && this.against ? { version: this.against } : {},
      ),
    );
  }

  #showKnobs() {
    [...this.querySelectorAll("mr-knobs")].forEach((view, n) => view.show(this.settings[n], genresSeen()));
  }

  async #load() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#showKnobs();
    try {
      const asking = this.#bodies().map((body) => api.rank(body, signal));
      const [answers] = await Promise.all([Promise.all(asking), connection.namesKnown()]);
      if (signal.aborted) return;
      this.querySelector("mr-notice")?.remove();
      const lists = answers.map(({ results }) => results);
      lists.forEach(remember);
      await learn(moviesIn(lists.flat().flatMap(({ reasons }) => reasons)), signal);
      if (signal.aborted) return;
      this.#show(lists, answers);
      this.#showKnobs();
    } catch (error) {
      if (isAbort(error)) return;
      this.#failed(error);
    }
  }

  /** @param {unknown} error */
  #failed(error) {
    this.querySelector("mr-notice")?.remove();
    const notice = document.createElement("mr-notice");
    const { type = "", detail, remedy } = error instanceof ApiError ? error.problem : {};
    notice.content = type.endsWith(":no-challenger")
      ? { title: t("compare.noChallenger"), hint: `${detail} ${remedy ?? ""}` }
      : contentOf(error);
    find(this, ".sides").before(notice);
  }

  /**
   * @param {RankedFilm[][]} lists
   * @param {Ranking[]} answers
   */
  #show(lists, answers) {
    const ids = lists.map((films) => films.map(({ movie_id }) => movie_id));
    const both = ids[1].filter((id) => ids[0].includes(id));
    const moved = both.filter((id) => ids[0].indexOf(id) !== ids[1].indexOf(id)).length;
    find(this, ".shared").textContent = [
      t("compare.shared", { n: both.length, of: Math.max(ids[0].length, ids[1].length) }),
      moved ? t("compare.moved", { n: moved }) : both.length > 0 && t("compare.same"),
    ]
      .filter(Boolean)
      .join(", ");
    if (this.against) {
      const names = ["compare.production", "compare.challenger"];
      this.querySelectorAll(".side h2").forEach(
        (title, side) => (title.textContent = t(names[side], { version: answers[side].model_version })),
      );
    }
    this.querySelectorAll(".side ol").forEach((list, side) => {
      const others = ids[1 - side];
      const lines = lists[side].map((film, n) => {
        const other = others.indexOf(film.movie_id);
        // Moves are shown in the second list only.
        return this.#line(film, other < 0 ? "new" : side ? other - n : 0);
      });
      fill(list, html`${lines}`);
      list.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = lists[side][n]));
    });
  }

  /**
   * One film of a list.
   *
   * @param {RankedFilm} film
   * @param {number | "new"} change How many ranks higher than in the other list; "new" if only here.
   */
  #line(film, change) {
    const way = change === "new" ? "fresh" : change > 0 ? "up" : "down";
    const badge =
      change === "new" ? t("compare.only") : t(change > 0 ? "list.up" : "list.down", { n: Math.abs(change) });
    return html`<li>
      <a href="${href({ movie: film.movie_id })}"
        ><mr-poster></mr-poster
        ><span
          ><span class="row-title" dir="auto">${film.title}</span
          ><span class="facts">${percent(film.score)} · ${factsOf(film)}</span
          ><span class="facts">${film.reasons[0] && reasonText(film.reasons[0])}</span></span
        ></a
      >
      ${change !== 0 && html`<span class="moved ${way}">${badge}</span>`}
    </li>`;
  }
}

customElements.define("mr-compare", Compare);
