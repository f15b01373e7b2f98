// @ts-check
// <mr-rows>: the rows below the main list. Each row asks for its films when it comes near the screen.
import { api, isAbort } from "../../api.js";
import { learn, remember, titleOf } from "../../films.js";
import { fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";
import { tellWhatIsShown } from "../../impressions.js";
import { href } from "../../route.js";
import { factsOf } from "../card/facts.js";
import "../poster/poster.js";

/**
 * @import { Ranking } from "../../api.js"
 * @import { Audience } from "../../audience.js"
 * @import { Film } from "../../films.js"
 * @import { Knobs } from "../../route.js"
 * @typedef {object} Context The main list.
 * @property {Audience} audience
 * @property {Knobs} knobs
 * @property {string} asOf The end of the model's data, as ISO time.
 * @property {number[]} shown The movie ids of the list.
 * @typedef {{ title: string, hint?: string, films: Film[], ranking?: Ranking }} Row
 */

/** Maximum number of films in a row. */
const LENGTH = 14;
/** Minimum number of films in a row; shorter rows are not shown. */
const SHORTEST = 4;
/** Maximum share of people who have seen a film of the long tail. */
const FEW_OF_PEOPLE = 0.02;

/**
 * A row of small posters that scrolls sideways.
 *
 * @param {string} title
 * @param {Film[]} films
 * @param {string} [hint]
 */
export const filmRow = (title, films, hint) =>
  html`<section class="row" aria-label="${title}">
    <div class="row-head">
      <h2>${title}</h2>
      ${hint && html`<p class="quiet">${hint}</p>`}
      <span class="row-turn"
        ><button type="button" class="act" data-turn="-1" aria-label="${t("row.back")}: ${title}">
          ${icons.back}</button
        ><button type="button" class="act" data-turn="1" aria-label="${t("row.on")}: ${title}">
          ${icons.on}
        </button></span
      >
    </div>
    <ul class="row-films">
      ${films.map(
        (film) =>
          html`<li>
            <a href="${href({ movie: film.movie_id })}" data-movie="${film.movie_id}"
              ><mr-poster data-id="${film.movie_id}"></mr-poster
              ><span class="row-title" dir="auto">${film.title}</span
              ><span class="facts">${factsOf(film)}</span></a
            >
          </li>`,
      )}
    </ul>
  </section>`;

/**
 * Draws the posters of the rows below `root`, and connects their buttons.
 *
 * @param {ParentNode} root
 * @param {Film[]} films
 */
export const wakeRows = (root, films) => {
  const byId = new Map(films.map((film) => [String(film.movie_id), film]));
  for (const poster of root.querySelectorAll("mr-poster")) {
    const film = byId.get(poster.dataset.id ?? "");
    if (film) poster.movie = film;
  }
  for (const button of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-turn]"))) {
    button.addEventListener("click", () => {
      const row = button.closest(".row");
      if (!row) return;
      const films = find(row, ".row-films");
      const way = getComputedStyle(films).direction === "rtl" ? -1 : 1;
      films.scrollBy({
        left: way * Number(button.dataset.turn) * films.clientWidth * 0.8,
        behavior: "smooth",
      });
    });
  }
};

/**
 * The last film that somebody liked.
 *
 * @param {Audience} audience
 * @param {AbortSignal} signal
 */
const lastLiked = async (audience, signal) => {
  const said = [...audience.said].reverse();
  const last = said.find(({ event_type, rating }) => event_type === "like" || (rating ?? 0) >= 4)?.movie
    .movie_id;
  if (last !== undefined || audience.isVisitor) return last;
  const { history } = await api.user(audience.id, signal);
  return history.find(({ event_type, rating }) => event_type === "like" || (rating ?? 0) >= 4.5)?.movie_id;
};

/** @type {((context: Context & { signal: AbortSignal }) => Promise<Row | null>)[]} */
const ROWS = [
  async ({ audience, shown, signal }) => {
    const movieId = await lastLiked(audience, signal);
    if (movieId === undefined) return null;
    const [{ results }] = await Promise.all([api.similar(movieId, signal), learn([movieId], signal)]);
    const said = new Set(audience.said.map(({ movie }) => movie.movie_id));
    const films = results.filter(
      ({ movie_id }) => !said.has(movie_id) && !shown.slice(0, 6).includes(movie_id),
    );
    return { title: t("row.because", { title: titleOf(movieId) ?? t("reason.aFilm") }), films };
  },
  async ({ audience, knobs, asOf, shown, signal }) => {
    const from = new Date(asOf).getUTCFullYear() - 4;
    if (Number.isNaN(from) || knobs.to || knobs.from) return null;
    const ranking = await api.rank(audience.body({ ...knobs, from, k: LENGTH + 12 }), signal);
    return {
      title: t("row.fresh"),
      ranking,
      films: ranking.results.filter(({ movie_id }) => !shown.slice(0, 12).includes(movie_id)),
    };
  },
  async ({ audience, knobs, shown, signal }) => {
    const { n_users } = await api.model(signal);
    const body = audience.body({ ...knobs, k: LENGTH + shown.length });
    const filters = { ...body.filters, max_votes: Math.max(5, Math.round(FEW_OF_PEOPLE * n_users)) };
    const ranking = await api.rank({ ...body, filters }, signal);
    return {
      title: t("row.tail"),
      hint: t("row.tail.hint"),
      ranking,
      films: ranking.results.filter(({ movie_id }) => !shown.includes(movie_id)),
    };
  },
];

export class Rows extends HTMLElement {
  /** @type {AbortController | null} */
  #abort = null;
  /** @type {IntersectionObserver | null} */
  #watch = null;

  disconnectedCallback() {
    this.#abort?.abort();
    this.#watch?.disconnect();
  }

  /** @param {Context} context */
  show(context) {
    this.disconnectedCallback();
    this.#abort = new AbortController();
    const signal = this.#abort.signal;
    while (this.children.length < ROWS.length) this.append(document.createElement("div"));
    const watch = new IntersectionObserver(
      (entries) => {
        for (const { isIntersecting, target } of entries) {
          if (!isIntersecting) continue;
          watch.unobserve(target);
          this.#load(/** @type {HTMLElement} */ (target), ROWS[[...this.children].indexOf(target)], {
            ...context,
            signal,
          });
        }
      },
      { rootMargin: "400px" },
    );
    for (const row of this.children) watch.observe(row);
    this.#watch = watch;
  }

  /**
   * @param {HTMLElement} place
   * @param {typeof ROWS[number]} find
   * @param {Context & { signal: AbortSignal }} context
   */
  async #load(place, find, context) {
    try {
      const found = await find(context);
      if (context.signal.aborted) return;
      const films = (found?.films ?? []).slice(0, LENGTH);
      remember(films);
      const key = JSON.stringify([found?.title, films.map((film) => film.movie_id)]);
      if (place.dataset.key === key) return;
      place.dataset.key = key;
      fill(place, found && films.length >= SHORTEST ? filmRow(found.title, films, found.hint) : html``);
      wakeRows(place, films);
      const links = /** @type {HTMLElement[]} */ ([...place.querySelectorAll("[data-movie]")]);
      if (found?.ranking)
        tellWhatIsShown(
          found.ranking,
          links.map((link) => [link, Number(link.dataset.movie)]),
        );
    } catch (error) {
      // A row is an extra. The main list reports failures.
      if (!isAbort(error)) fill(place, html``);
    }
  }
}

customElements.define("mr-rows", Rows);
