// @ts-check
// <mr-profile>: one person: tastes by genre and decade, the history by year, and the button "Forget me".
import { api, ApiError } from "../../api.js";
import { connection } from "../../connection.js";
import { remember } from "../../films.js";
import { closest, fill, find, html, sizeBars } from "../../html.js";
import { iconOf } from "../../icons.js";
import { yearOf, number, t } from "../../i18n.js";
import { go, href } from "../../route.js";
import { audienceOf } from "../../audience.js";
import { visitor } from "../../visitor.js";
import { contentOf } from "../notice/notice.js";
import { toast } from "../toast/toast.js";
import "../poster/poster.js";

/**
 * @import { Audience } from "../../audience.js"
 * @import { Film } from "../../films.js"
 * @import { Route } from "../../route.js"
 * @typedef {{ name: string, n_movies: number, mean_rating: number | null }} Taste
 * @typedef {Film & { event_type: string, rating?: number | null, timestamp: string | number }} Item
 * @typedef {{ n_events: number, history: Item[], genres: Taste[], decades: Taste[] }} Profiled
 */

/** Number of films of the history that are shown before the button "Show more". */
const AT_FIRST = 60;

/**
 * Films and mean rating by name.
 *
 * @param {{ name: string, rating?: number | null }[]} names
 * @returns {Taste[]}
 */
const counted = (names) => {
  const grouped = Object.entries(Object.groupBy(names, ({ name }) => name));
  return grouped.map(([name, films = []]) => {
    const ratings = films.flatMap(({ rating }) => rating || []);
    const sum = ratings.reduce((total, rating) => total + rating, 0);
    return { name, n_movies: films.length, mean_rating: ratings.length ? sum / ratings.length : null };
  });
};

/**
 * A visitor in the shape of `GET /users/{id}`.
 *
 * @returns {Profiled}
 */
const visitorProfile = () => {
  const history = [...visitor.said].reverse().map(({ movie, ...event }) => ({ ...movie, ...event }));
  const decade = (/** @type {number} */ year) => `${Math.floor(year / 10) * 10}s`;
  const named = history.flatMap(({ genres = [], rating }) => genres.map((name) => ({ name, rating })));
  const dated = history.flatMap(({ release_year: year, rating }) =>
    year ? { name: decade(year), rating } : [],
  );
  const byCount = (/** @type {Taste} */ a, /** @type {Taste} */ b) => b.n_movies - a.n_movies;
  const byName = (/** @type {Taste} */ a, /** @type {Taste} */ b) => (a.name < b.name ? -1 : 1);
  return {
    n_events: history.length,
    history,
    genres: counted(named).sort(byCount),
    decades: counted(dated).sort(byName),
  };
};

/** @param {Taste} taste */
const barText = ({ n_movies: n, mean_rating: mean }) =>
  mean === null
    ? t("profile.bar.unrated", { n })
    : t("profile.bar", { n, rating: number(mean, { minimumFractionDigits: 1, maximumFractionDigits: 1 }) });

/**
 * @param {string} title
 * @param {Taste[]} tastes
 */
const chart = (title, tastes) => {
  const most = Math.max(1, ...tastes.map(({ n_movies }) => n_movies));
  return html`<section class="chart">
    <h2>${title}</h2>
    <table class="bars">
      <tbody>
        ${tastes.map(
          (taste) =>
            html`<tr class="raises">
              <th scope="row">${taste.name}</th>
              <td class="track" aria-hidden="true">
                <span class="bar" data-size="${taste.n_movies / most}"></span>
              </td>
              <td class="value">${barText(taste)}</td>
            </tr>`,
        )}
      </tbody>
    </table>
  </section>`;
};

/** @param {number} rating */
const stars = (rating) =>
  html`<span class="given" role="img" aria-label="${t("profile.rated", { n: rating })}"
    >${"★".repeat(Math.floor(rating))}${rating % 1 ? "½" : ""}</span
  >`;

/** @param {Item} event */
const entry = (event) =>
  html`<li>
    <a href="${href({ movie: event.movie_id })}"
      ><mr-poster></mr-poster
      ><span
        ><span class="row-title" dir="auto">${event.title}</span
        ><span class="facts">${event.release_year ?? t("fact.unknownYear")}</span></span
      ></a
    >
    <span class="verdict-given ${event.event_type}"
      >${
        event.rating && event.event_type === "rating"
          ? stars(event.rating)
          : html`${iconOf(event.event_type)} ${t(`done.${event.event_type}`)}`
      }</span
    >
  </li>`;

/**
 * The profile of a user without any event; other errors are thrown again.
 *
 * @param {unknown} error
 * @returns {Profiled}
 */
const unknownIsEmpty = (error) => {
  if (!(error instanceof ApiError) || error.kind !== "not_found") throw error;
  return { n_events: 0, history: [], genres: [], decades: [] };
};

export class Profile extends HTMLElement {
  #changes = new AbortController();
  /** @type {Audience} */
  audience;
  /** @type {Profiled | null} */
  profile = null;

  connectedCallback() {
    connection.addEventListener("recovered", () => this.#load(), { signal: this.#changes.signal });
    this.addEventListener("retry", () => this.#load());
    this.addEventListener("click", (event) => {
      const name = closest(event, "button")?.name;
      if (name === "forget") find(this, "dialog").showModal();
      else if (name === "keep") find(this, "dialog").close();
      else if (name === "yes") this.#forget();
      else if (name === "all" && this.profile) this.#build(this.profile, Infinity);
    });
  }

  disconnectedCallback() {
    this.#changes.abort();
  }

  /** @param {Route} route */
  set route(route) {
    const audience = audienceOf(route);
    if (audience === this.audience) return;
    this.audience = audience;
    this.#load();
  }

  refresh() {
    this.#load();
  }

  async #load() {
    const { audience } = this;
    const title = audience.isVisitor
      ? t("profile.title.visitor")
      : t("profile.title.user", { id: String(audience.id) });
    document.title = `${title} · ${t("app.name")}`;
    if (!this.firstElementChild)
      fill(
        this,
        html`<header class="view-head"><h1 tabindex="-1">${title}</h1></header>
          <p class="quiet">${t("list.loading")}</p>`,
      );
    try {
      const profile = audience.isVisitor
        ? visitorProfile()
        : await api.user(audience.id).catch(unknownIsEmpty);
      if (audience !== this.audience) return;
      remember(profile.history);
      this.profile = profile;
      this.#build(profile, AT_FIRST, title);
    } catch (error) {
      const notice = document.createElement("mr-notice");
      notice.content = contentOf(error);
      fill(this, html`<header class="view-head"><h1 tabindex="-1">${title}</h1></header>`).append(notice);
    }
  }

  /**
   * @param {Profiled} profile
   * @param {number} most Maximum number of films that are shown.
   * @param {string} [title]
   */
  #build({ history, n_events, genres, decades }, most, title = find(this, "h1").textContent) {
    const shown = history.slice(0, most);
    const years = Map.groupBy(shown, ({ timestamp }) => yearOf(timestamp));
    const n = history.length - shown.length;
    const { name } = this.audience;
    fill(
      this,
      html`<header class="view-head">
          <div>
            <h1 tabindex="-1">${title}</h1>
            <p class="taste">${t("who.films", { n: n_events })}</p>
          </div>
          <div class="view-acts">
            <a class="button" href="${href({ view: "foryou" })}">${t("profile.back")}</a>
            ${
              history.length > 0 &&
              html`<button type="button" class="button" name="forget">${t("profile.forget")}</button>`
            }
          </div>
        </header>
        ${
          history.length
            ? html`<div class="charts">
                  ${chart(t("profile.genres"), genres.slice(0, 10))}${chart(t("profile.decades"), decades)}
                </div>
                <section class="timeline">
                  <h2>${t("profile.history")}</h2>
                  ${[...years].map(
                    ([year, events]) =>
                      html`<h3>${year}</h3>
                        <ul>
                          ${events.map(entry)}
                        </ul>`,
                  )}
                  ${
                    n > 0 &&
                    html`<button type="button" class="button" name="all">${t("profile.more", { n })}</button>`
                  }
                </section>`
            : html`<p>${t("profile.empty")}</p>`
        }
        <dialog class="ask" aria-label="${t("profile.forget")}">
          <p>${t("profile.forget.ask", { who: name })}</p>
          <div class="panel-acts">
            <button type="button" class="button" name="keep">${t("profile.forget.no")}</button>
            <button type="button" class="button danger" name="yes">${t("profile.forget.yes")}</button>
          </div>
        </dialog>`,
    );
    this.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = [...years.values()].flat()[n]));
    sizeBars(this);
  }

  async #forget() {
    try {
      if (this.audience.isVisitor) visitor.said = [];
      else await api.forget(this.audience.id);
      find(this, "dialog").close();
      toast(t("profile.forgotten"));
      go({ view: "start", user: null });
    } catch (error) {
      toast(contentOf(error).title);
    }
  }
}

customElements.define("mr-profile", Profile);
