// <mr-profile>: one person: tastes by genre and decade, the history as a timeline, and how to be forgotten.
import { api } from "../../api.js";
import { connection } from "../../connection.js";
import { remember } from "../../films.js";
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { yearOf, number, t } from "../../i18n.js";
import { go, href } from "../../route.js";
import { audienceOf } from "../../audience.js";
import { visitor } from "../../visitor.js";
import { contentOf } from "../notice/notice.js";
import { toast } from "../toast/toast.js";
import "../poster/poster.js";

const AT_FIRST = 60;

const counted = (names) => {
  const tastes = new Map();
  for (const { name, rating } of names) {
    const taste = tastes.get(name) ?? { name, n_movies: 0, ratings: [] };
    taste.n_movies += 1;
    if (rating) taste.ratings.push(rating);
    tastes.set(name, taste);
  }
  const mean = (ratings) => (ratings.length ? ratings.reduce((sum, rating) => sum + rating, 0) / ratings.length : null);
  return [...tastes.values()].map(({ name, n_movies, ratings }) => ({ name, n_movies, mean_rating: mean(ratings) }));
};

/** A visitor in the shape of `GET /users/{id}`. */
const visitorProfile = () => {
  const history = [...visitor.said].reverse().map(({ movie, ...event }) => ({ ...movie, ...event }));
  const decade = (year) => `${Math.floor(year / 10) * 10}s`;
  const named = history.flatMap(({ genres = [], rating }) => genres.map((name) => ({ name, rating })));
  const dated = history.filter(({ release_year }) => release_year).map(({ release_year, rating }) => ({ name: decade(release_year), rating }));
  const byCount = (a, b) => b.n_movies - a.n_movies;
  const byName = (a, b) => (a.name < b.name ? -1 : 1);
  return { n_events: history.length, history, genres: counted(named).sort(byCount), decades: counted(dated).sort(byName) };
};

const barText = ({ n_movies: n, mean_rating: mean }) =>
  mean === null || mean === undefined ? t("profile.bar.unrated", { n }) : t("profile.bar", { n, rating: number(mean, { minimumFractionDigits: 1, maximumFractionDigits: 1 }) });

const chart = (title, tastes) => {
  const most = Math.max(1, ...tastes.map(({ n_movies }) => n_movies));
  return html`<section class="chart"><h2>${title}</h2><table class="bars"><tbody>${tastes.map((taste) => html`<tr class="raises"><th scope="row">${taste.name}</th>
    <td class="track" aria-hidden="true"><span class="bar" data-size="${taste.n_movies / most}"></span></td><td class="value">${barText(taste)}</td></tr>`)}</tbody></table></section>`;
};

const stars = (rating) => html`<span class="given" role="img" aria-label="${t("profile.rated", { n: rating })}">${"★".repeat(Math.floor(rating))}${rating % 1 ? "½" : ""}</span>`;

const entry = (event) => html`<li><a href="${href({ movie: event.movie_id })}"><mr-poster></mr-poster><span><span class="row-title" dir="auto">${event.title}</span
  ><span class="facts">${event.release_year ?? t("fact.unknownYear")}</span></span></a>
  <span class="verdict-given ${event.event_type}">${event.rating && event.event_type === "rating" ? stars(event.rating) : html`${icons[event.event_type]} ${t(`done.${event.event_type}`)}`}</span></li>`;

/** Somebody of whom nothing is recorded has an empty history; other errors stay errors. */
const unknownIsEmpty = (error) => {
  if (error.kind !== "not_found") throw error;
  return { n_events: 0, history: [], genres: [], decades: [] };
};

class Profile extends HTMLElement {
  #changes = new AbortController();

  connectedCallback() {
    connection.addEventListener("recovered", () => this.#load(), { signal: this.#changes.signal });
    this.addEventListener("retry", () => this.#load());
    this.addEventListener("click", ({ target }) => {
      const name = target.closest("button")?.name;
      if (name === "forget") this.querySelector("dialog").showModal();
      else if (name === "keep") this.querySelector("dialog").close();
      else if (name === "yes") this.#forget();
      else if (name === "all") this.#build(this.profile, Infinity);
    });
  }

  disconnectedCallback() {
    this.#changes.abort();
  }

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
    const title = audience.isVisitor ? t("profile.title.visitor") : t("profile.title.user", { id: String(audience.id) });
    document.title = `${title} · ${t("app.name")}`;
    if (!this.firstElementChild) fill(this, html`<header class="view-head"><h1 tabindex="-1">${title}</h1></header><p class="quiet">${t("list.loading")}</p>`);
    try {
      const profile = audience.isVisitor ? visitorProfile() : await api.user(audience.id).catch(unknownIsEmpty);
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

  #build({ history, n_events, genres, decades }, most, title = this.querySelector("h1").textContent) {
    const shown = history.slice(0, most);
    const years = new Map();
    for (const event of shown) {
      const year = yearOf(event.timestamp);
      years.set(year, [...(years.get(year) ?? []), event]);
    }
    const { name } = this.audience;
    fill(
      this,
      html`<header class="view-head"><div><h1 tabindex="-1">${title}</h1><p class="taste">${t("who.films", { n: n_events })}</p></div>
          <div class="view-acts"><a class="button" href="${href({ view: "foryou" })}">${t("profile.back")}</a>
          ${history.length > 0 && html`<button type="button" class="button" name="forget">${t("profile.forget")}</button>`}</div></header>
        ${history.length ? html`<div class="charts">${chart(t("profile.genres"), genres.slice(0, 10))}${chart(t("profile.decades"), decades)}</div>
          <section class="timeline"><h2>${t("profile.history")}</h2>${[...years].map(([year, events]) => html`<h3>${year}</h3><ul>${events.map(entry)}</ul>`)}
          ${history.length > shown.length && html`<button type="button" class="button" name="all">${t("profile.more", { n: history.length - shown.length })}</button>`}</section>`
        : html`<p>${t("profile.empty")}</p>`}
        <dialog class="ask" aria-label="${t("profile.forget")}"><p>${t("profile.forget.ask", { who: name })}</p>
          <div class="panel-acts"><button type="button" class="button" name="keep">${t("profile.forget.no")}</button>
          <button type="button" class="button danger" name="yes">${t("profile.forget.yes")}</button></div></dialog>`,
    );
    this.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = [...years.values()].flat()[n]));
    for (const bar of this.querySelectorAll(".bar")) bar.style.setProperty("--size", bar.dataset.size);
  }

  async #forget() {
    try {
      if (this.audience.isVisitor) visitor.said = [];
      else await api.forget(this.audience.id);
      this.querySelector("dialog").close();
      toast(t("profile.forgotten"));
      go({ view: "start", user: null });
    } catch (error) {
      toast(contentOf(error).title);
    }
  }
}

customElements.define("mr-profile", Profile);
