// @ts-check
// <mr-film>: one film in a dialog: facts, people, reasons, similar films. Emits "said" and "closed".
import { api, ApiError, isAbort } from "../../api.js";
import { cardOf, remember } from "../../films.js";
import { closest, fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { languageName, list as listed, number, runtime, t } from "../../i18n.js";
import { announce, rehome, toast } from "../toast/toast.js";
import { contentOf } from "../notice/notice.js";
import { drawnBackdrop } from "../poster/poster.js";
import { VERDICTS } from "../card/card.js";
import { filmRow, wakeRows } from "../rows/rows.js";
import "../why/why.js";

/**
 * @import { EventType, Movie } from "../../api.js"
 * @import { Audience } from "../../audience.js"
 * @import { Knobs } from "../../route.js"
 * @typedef {{ movie: Movie, audience: Audience, knobs: Knobs }} Shown
 */

const STARS = [1, 2, 3, 4, 5];
const TMDB = "https://www.themoviedb.org/movie/";
const IMDB = "https://www.imdb.com/title/";

export class Film extends HTMLElement {
  /** @type {AbortController | null} */
  #abort = null;
  /** The film that is open, or being fetched. @type {number | null} */
  movieId = null;
  /** @type {Shown | null} */
  #shown = null;
  /** @type {HTMLDialogElement} */
  dialog;
  /** @type {HTMLElement} */
  content;

  connectedCallback() {
    if (this.dialog) return;
    fill(this, html`<dialog class="film" aria-labelledby="film-title"><div></div></dialog>`);
    this.dialog = find(this, "dialog");
    this.content = find(this.dialog, "div");
    this.dialog.addEventListener("close", () => {
      rehome();
      this.dispatchEvent(new CustomEvent("closed", { bubbles: true }));
    });
    this.dialog.addEventListener("click", (event) => this.#clicked(event));
    this.dialog.addEventListener("change", (event) => {
      const star = closest(event, "input");
      if (star?.name === "stars") this.#say("rating", Number(star.value));
    });
  }

  /**
   * Opens on a film; closes on null.
   *
   * @param {number | null} movieId
   * @param {Audience} audience
   * @param {Knobs} knobs
   */
  async show(movieId, audience, knobs) {
    this.#abort?.abort();
    this.movieId = movieId;
    if (movieId === null) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    const { signal } = (this.#abort = new AbortController());
    this.#shown = null;
    fill(
      this.content,
      html`<div class="film-blank" aria-busy="true">
          <h2 id="film-title" class="visually-hidden">${cardOf(movieId)?.title ?? t("film.loading")}</h2>
        </div>
        ${this.#closeButton()}`,
    );
    if (!this.dialog.open) this.dialog.showModal();
    rehome();
    this.dialog.scrollTop = 0;
    try {
      const movie = await api.movie(movieId, signal);
      if (signal.aborted) return;
      remember([movie]);
      this.#shown = { movie, audience, knobs };
      this.#build(this.#shown);
      find(this, "mr-why").show(movieId, audience, knobs);
      this.#addSimilar(movieId, signal);
    } catch (error) {
      if (!isAbort(error)) this.#failed(error, () => this.show(movieId, audience, knobs));
    }
  }

  #closeButton() {
    return html`<button type="button" class="act film-close" data-act="close" aria-label="${t("act.close")}">
      ${icons.close}
    </button>`;
  }

  /** @param {Shown} shown */
  #build(shown) {
    const { movie } = shown;
    const people = [
      movie.directors?.length && t("film.by", { names: listed(movie.directors) }),
      movie.cast?.length && t("film.with", { names: listed(movie.cast.slice(0, 6)) }),
    ].filter(Boolean);
    const facts = [
      movie.release_year && String(movie.release_year),
      movie.runtime_minutes && runtime(movie.runtime_minutes),
      movie.original_language && languageName(movie.original_language),
      movie.tmdb_vote_avg &&
        t("film.votes", { score: number(movie.tmdb_vote_avg, { maximumFractionDigits: 1 }) }),
    ].filter(Boolean);
    const isOther = movie.original_title && movie.original_title !== movie.title;
    const original = isOther && t("film.original", { title: String(movie.original_title) });
    const links = [
      movie.tmdb_id &&
        html`<a href="${TMDB}${movie.tmdb_id}" target="_blank" rel="noreferrer">${t("film.tmdb")}</a>`,
      movie.imdb_id &&
        html`<a href="${IMDB}${movie.imdb_id}/" target="_blank" rel="noreferrer">${t("film.imdb")}</a>`,
    ];
    fill(
      this.content,
      html`<div class="film-top">${drawnBackdrop(movie)}</div>
        <div class="film-body">
          <mr-poster></mr-poster>
          <div class="film-main">
            <h2 id="film-title" dir="auto" tabindex="-1">${movie.title}</h2>
            ${original && html`<p class="quiet">${original}</p>`}
            <p class="facts">${facts.join(" · ")}</p>
            <ul class="genres">
              ${(movie.genres ?? []).map((genre) => html`<li>${genre}</li>`)}
            </ul>
            <div class="film-acts">${this.#acts(shown)}</div>
            <p class="overview ${movie.overview ? "" : "quiet"}" dir="auto">
              ${movie.overview || t("film.noOverview")}
            </p>
            ${people.map((line) => html`<p class="people">${line}</p>`)}
            <p class="links">${links}</p>
          </div>
          <mr-why></mr-why>
        </div>
        <div class="film-similar"></div>
        ${this.#closeButton()}`,
    );
    find(this, "mr-poster").movie = movie;
    if (movie.backdrop_url) this.#addBackdrop(movie.backdrop_url);
    find(this, "#film-title").focus({ preventScroll: true });
  }

  /** @param {Shown} shown */
  #acts({ movie: { movie_id: id, title }, audience }) {
    const said = audience.said.find(({ movie }) => movie.movie_id === id)?.event_type;
    return html`<div role="group" aria-label="${t("card.verdict", { title })}">
        ${VERDICTS.map(
          (type) =>
            html`<button
              type="button"
              class="button"
              data-act="${type}"
              aria-pressed="${String(said === type)}"
            >
              ${icons[type]}<span>${t(`act.${type}`)}</span>
            </button>`,
        )}
        ${
          said &&
          html`<button
            type="button"
            class="button"
            data-act="undo"
            aria-label="${t("act.undo.of", { title })}"
          >
            ${icons.undo}<span>${t("act.undo")}</span>
          </button>`
        }
      </div>
      <fieldset class="stars">
        <legend class="visually-hidden">${t("film.rate")}</legend>
        ${STARS.map(
          (n) =>
            html`<label title="${t("film.stars", { n })}"
              ><input
                type="radio"
                name="stars"
                value="${n}"
                aria-label="${t("film.stars", { n })}"
              />${icons.rating}</label
            >`,
        )}
      </fieldset>`;
  }

  /** @param {string} address */
  #addBackdrop(address) {
    const picture = new Image();
    picture.alt = "";
    picture.referrerPolicy = "no-referrer";
    picture.addEventListener("load", () => this.querySelector(".film-top")?.append(picture), { once: true });
    picture.src = address;
  }

  /**
   * @param {number} movieId
   * @param {AbortSignal} signal
   */
  async #addSimilar(movieId, signal) {
    try {
      const { results } = await api.similar(movieId, signal);
      const place = find(this, ".film-similar");
      if (signal.aborted || !results.length) return;
      remember(results);
      wakeRows(fill(place, filmRow(t("film.similar"), results)), results);
    } catch {
      // Similar films are an extra.
    }
  }

  /**
   * @param {unknown} error
   * @param {() => void} retry
   */
  #failed(error, retry) {
    const missing = error instanceof ApiError && error.kind === "not_found";
    const notice = document.createElement("mr-notice");
    notice.content = missing ? { title: t("film.missing"), hint: t("film.missing.hint") } : contentOf(error);
    find(notice, "h2").id = "film-title";
    notice.addEventListener("retry", (event) => {
      event.stopPropagation();
      retry();
    });
    fill(this.content, this.#closeButton()).append(notice);
  }

  /** @param {Event} event */
  #clicked(event) {
    const act = closest(event, "[data-act]")?.dataset.act;
    if (act === "close" || event.target === this.dialog) this.dialog.close();
    else if (act) this.#say(/** @type {EventType} */ (act));
  }

  /**
   * @param {EventType} type
   * @param {number} [rating]
   */
  async #say(type, rating) {
    if (!this.#shown) return;
    const { movie, audience } = this.#shown;
    const undone = type === "undo";
    const stands = audience.said.some(
      (entry) => entry.movie.movie_id === movie.movie_id && entry.event_type === type,
    );
    // A second press says the same once more; only the undo button withdraws.
    if (stands && type !== "rating") return;
    try {
      await (undone ? audience.undo(movie) : audience.say(movie, type, { rating }));
    } catch (error) {
      toast(contentOf(error).title, { detail: t("done.failed") });
      return;
    }
    const text = t(undone ? "said.undo" : `said.${type}`, { title: movie.title });
    announce(text);
    fill(find(this, ".film-acts"), this.#acts(this.#shown));
    if (rating) {
      const star = /** @type {HTMLInputElement} */ (find(this, `[name=stars][value="${rating}"]`));
      star.checked = true;
      star.focus();
    } else find(this, `[data-act="${type === "undo" ? "like" : type}"]`).focus();
    this.dispatchEvent(new CustomEvent("said", { bubbles: true, detail: text }));
  }
}

customElements.define("mr-film", Film);
