// <mr-film>: one film in a dialog over the list: facts, people, why, similar films. Emits "said" after a verdict.
import { api, isAbort } from "../../api.js";
import { cardOf, remember } from "../../films.js";
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { languageName, list as listed, number, runtime, t } from "../../i18n.js";
import { announce, rehome, toast } from "../toast/toast.js";
import { contentOf } from "../notice/notice.js";
import { drawnBackdrop } from "../poster/poster.js";
import { VERDICTS } from "../card/card.js";
import { filmRow, wakeRows } from "../rows/rows.js";
import "../why/why.js";

const STARS = [1, 2, 3, 4, 5];
const TMDB = "https://www.themoviedb.org/movie/";
const IMDB = "https://www.imdb.com/title/";

class Film extends HTMLElement {
  #abort = null;

  connectedCallback() {
    if (this.dialog) return;
    this.dialog = fill(this, html`<dialog class="film" aria-labelledby="film-title"><div></div></dialog>`).firstElementChild;
    this.content = this.dialog.firstElementChild;
    this.dialog.addEventListener("close", () => {
      rehome();
      this.dispatchEvent(new CustomEvent("closed", { bubbles: true }));
    });
    this.dialog.addEventListener("click", (event) => this.#clicked(event));
    this.dialog.addEventListener("change", ({ target }) => target.name === "stars" && this.#say("rating", Number(target.value)));
  }

  /** Opens on a film, or closes on null. */
  async show(movieId, audience, knobs) {
    this.#abort?.abort();
    this.movieId = movieId;
    if (movieId === null) {
      if (this.dialog.open) this.dialog.close();
      return;
    }
    const { signal } = (this.#abort = new AbortController());
    Object.assign(this, { audience, knobs, movie: null });
    fill(this.content, html`<div class="film-blank" aria-busy="true"><h2 id="film-title" class="visually-hidden">${cardOf(movieId)?.title ?? t("film.loading")}</h2></div>${this.#closeButton()}`);
    if (!this.dialog.open) this.dialog.showModal();
    rehome();
    this.dialog.scrollTop = 0;
    try {
      const movie = await api.movie(movieId, signal);
      if (signal.aborted) return;
      remember([movie]);
      this.movie = movie;
      this.#build();
      this.querySelector("mr-why").show(movieId, audience, knobs);
      this.#addSimilar(movieId, signal);
    } catch (error) {
      if (!isAbort(error)) this.#failed(error, movieId);
    }
  }

  #closeButton() {
    return html`<button type="button" class="act film-close" data-act="close" aria-label="${t("act.close")}">${icons.close}</button>`;
  }

  #build() {
    const movie = this.movie;
    const people = [
      movie.directors?.length && t("film.by", { names: listed(movie.directors) }),
      movie.cast?.length && t("film.with", { names: listed(movie.cast.slice(0, 6)) }),
    ].filter(Boolean);
    const facts = [
      movie.release_year && String(movie.release_year),
      movie.runtime_minutes && runtime(movie.runtime_minutes),
      movie.original_language && languageName(movie.original_language),
      movie.tmdb_vote_avg && t("film.votes", { score: number(movie.tmdb_vote_avg, { maximumFractionDigits: 1 }) }),
    ].filter(Boolean);
    const links = [
      movie.tmdb_id && html`<a href="${TMDB}${movie.tmdb_id}" target="_blank" rel="noreferrer">${t("film.tmdb")}</a>`,
      movie.imdb_id && html`<a href="${IMDB}${movie.imdb_id}/" target="_blank" rel="noreferrer">${t("film.imdb")}</a>`,
    ];
    fill(
      this.content,
      html`<div class="film-top">${drawnBackdrop(movie)}</div>
        <div class="film-body"><mr-poster></mr-poster><div class="film-main">
          <h2 id="film-title" dir="auto" tabindex="-1">${movie.title}</h2>
          ${movie.original_title && movie.original_title !== movie.title && html`<p class="quiet">${t("film.original", { title: movie.original_title })}</p>`}
          <p class="facts">${facts.join(" · ")}</p>
          <ul class="genres">${(movie.genres ?? []).map((genre) => html`<li>${genre}</li>`)}</ul>
          <div class="film-acts">${this.#acts()}</div>
          <p class="overview ${movie.overview ? "" : "quiet"}" dir="auto">${movie.overview || t("film.noOverview")}</p>
          ${people.map((line) => html`<p class="people">${line}</p>`)}
          <p class="links">${links}</p></div>
          <mr-why></mr-why></div>
        <div class="film-similar"></div>${this.#closeButton()}`,
    );
    this.querySelector("mr-poster").movie = movie;
    if (movie.backdrop_url) this.#addBackdrop(movie.backdrop_url);
    this.querySelector("#film-title").focus({ preventScroll: true });
  }

  #acts() {
    const { movie_id: id, title } = this.movie;
    const said = this.audience.said.find(({ movie }) => movie.movie_id === id)?.event_type;
    return html`<div role="group" aria-label="${t("card.verdict", { title })}">
      ${VERDICTS.map((type) => html`<button type="button" class="button" data-act="${type}" aria-pressed="${String(said === type)}">${icons[type]}<span>${t(`act.${type}`)}</span></button>`)}
      ${said && html`<button type="button" class="button" data-act="undo" aria-label="${t("act.undo.of", { title })}">${icons.undo}<span>${t("act.undo")}</span></button>`}</div>
      <fieldset class="stars"><legend class="visually-hidden">${t("film.rate")}</legend>${STARS.map((n) => html`<label title="${t("film.stars", { n })}"><input type="radio" name="stars"
        value="${n}" aria-label="${t("film.stars", { n })}" />${icons.rating}</label>`)}</fieldset>`;
  }

  #addBackdrop(address) {
    const picture = new Image();
    picture.alt = "";
    picture.referrerPolicy = "no-referrer";
    picture.addEventListener("load", () => this.querySelector(".film-top")?.append(picture), { once: true });
    picture.src = address;
  }

  async #addSimilar(movieId, signal) {
    try {
      const { results } = await api.similar(movieId, signal);
      const place = this.querySelector(".film-similar");
      if (signal.aborted || !results.length) return;
      remember(results);
      wakeRows(fill(place, filmRow(t("film.similar"), results)), results);
    } catch {
      // The film stands on its own without its neighbours.
    }
  }

  #failed(error, movieId) {
    const missing = error.kind === "not_found";
    const notice = document.createElement("mr-notice");
    notice.content = missing ? { title: t("film.missing"), hint: t("film.missing.hint") } : contentOf(error);
    notice.querySelector("h2").id = "film-title";
    notice.addEventListener("retry", (event) => {
      event.stopPropagation();
      this.show(movieId, this.audience, this.knobs);
    });
    fill(this.content, this.#closeButton()).append(notice);
  }

  #clicked({ target }) {
    const act = target.closest("[data-act]")?.dataset.act;
    if (act === "close" || target === this.dialog) this.dialog.close();
    else if (act) this.#say(act);
  }

  async #say(type, rating) {
    const { movie } = this;
    const pressed = this.audience.said.some((entry) => entry.movie.movie_id === movie.movie_id && entry.event_type === type);
    const undone = type === "undo" || (pressed && type !== "rating");
    try {
      await (undone ? this.audience.undo(movie) : this.audience.say(movie, type, { rating }));
    } catch (error) {
      toast(contentOf(error).title, { detail: t("done.failed") });
      return;
    }
    const text = t(undone ? "said.undo" : `said.${type}`, { title: movie.title });
    announce(text);
    const focused = document.activeElement;
    const again = focused?.name === "stars" ? `[name=stars][value="${focused.value}"]` : `[data-act="${type === "undo" ? "like" : type}"]`;
    fill(this.querySelector(".film-acts"), this.#acts());
    if (rating) this.querySelector(`[name=stars][value="${rating}"]`).checked = true;
    this.querySelector(again)?.focus();
    this.dispatchEvent(new CustomEvent("said", { bubbles: true, detail: text }));
  }
}

customElements.define("mr-film", Film);
