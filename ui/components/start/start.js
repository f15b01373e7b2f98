// @ts-check
// <mr-start>: a visitor picks favourite films and sees a first list.
import { api, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { remember } from "../../films.js";
import { closest, fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";
import { tellWhatIsShown } from "../../impressions.js";
import { href, NO_KNOBS } from "../../route.js";
import { audienceOf } from "../../audience.js";
import { visitor } from "../../visitor.js";
import { factsOf } from "../card/facts.js";
import { contentOf } from "../notice/notice.js";
import { announce } from "../toast/toast.js";
import { tellChange } from "../shelf/shelf.js";
import { filmSearch, userSearch } from "../combobox/sources.js";
import { anyUser } from "../who/who.js";

/**
 * @import { Ranking } from "../../api.js"
 * @import { VerdictDetail } from "../card/card.js"
 */

/** Number of favourites for a first good list. */
const GOAL = 3;
/** Number of favourites that are plenty. */
const PLENTY = 10;
/** Number of films to pick from at a time. */
const GRID = 36;
/** Number of films that "Show others" goes through. */
const POOL = 180;
/** Number of films of the first list. */
const PREVIEW = 8;

export class Start extends HTMLElement {
  #changes = new AbortController();
  /** @type {AbortController | null} */
  #abort = null;
  /** The ranking of the films to pick from. @type {Ranking | null} */
  #ranking = null;
  /** The index of the first film that is shown. */
  #from = 0;
  /** @type {HTMLElementTagNameMap["mr-shelf"]} */
  shelf;

  /** The films to pick from. */
  get #pool() {
    return this.#ranking?.results ?? [];
  }

  connectedCallback() {
    if (this.shelf) return;
    document.title = `${t("start.title")} · ${t("app.name")}`;
    fill(
      this,
      html`<div class="start-top">
          <header class="start-head">
            <h1 tabindex="-1">${t("start.title")}</h1>
            <p>${t("start.lead")}</p>
            <mr-combobox class="start-search"></mr-combobox>
          </header>
          <section class="someone" aria-label="${t("start.someone")}">
            <h2>${t("start.someone")}</h2>
            <p class="quiet">${t("start.someoneHint")}</p>
            <mr-combobox class="someone-search"></mr-combobox
            ><button type="button" class="button" name="random">
              ${icons.dice}<span>${t("who.random")}</span>
            </button>
          </section>
        </div>
        <section class="tray" aria-live="polite"></section>
        <section class="so-far" aria-label="${t("start.soFar")}" hidden>
          <div class="row-head"><h2>${t("start.soFar")}</h2></div>
          <mr-shelf class="compact" label="${t("start.soFar")}"></mr-shelf>
        </section>
        <section aria-label="${t("start.grid")}">
          <div class="row-head">
            <h2>${t("start.grid")}</h2>
            <button type="button" class="link" data-more>${t("start.more")}</button>
          </div>
          <ul class="picks" aria-busy="true"></ul>
        </section>`,
    );
    this.shelf = find(this, "mr-shelf");
    find(find(this, ".start-head"), "mr-combobox").settings = filmSearch(t("start.search"));
    find(find(this, ".someone"), "mr-combobox").settings = userSearch();
    const { signal } = this.#changes;
    visitor.addEventListener("change", () => this.#changed(), { signal });
    connection.addEventListener("recovered", () => this.#begin(), { signal });
    connection.addEventListener("newmodel", () => this.#begin(), { signal });
    this.addEventListener("choose", (event) => this.#chosen(event));
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("retry", () => this.#begin());
    this.addEventListener("verdict", ({ detail }) => this.#verdict(detail));
    this.#begin();
  }

  disconnectedCallback() {
    this.#changes.abort();
    this.#abort?.abort();
  }

  #begin() {
    this.#tray();
    this.#offer();
    this.#recommend();
  }

  /** @param {CustomEvent} event */
  #chosen(event) {
    if (closest(event, ".someone")) {
      this.#become(event.detail.user_id);
      return;
    }
    remember([event.detail]);
    visitor.say(event.detail, "like");
  }

  /** @param {number | null} id */
  #become(id) {
    this.dispatchEvent(new CustomEvent("who", { bubbles: true, detail: id }));
  }

  /** @param {Event} event */
  #clicked(event) {
    const button = closest(event, "button");
    if (button?.matches("[data-more]")) this.#offerOthers();
    else if (button?.name === "random") this.#becomeAny();
    else if (button?.name === "pick") this.#toggle(Number(button.value));
  }

  async #becomeAny() {
    const id = await anyUser().catch(() => undefined);
    if (id !== undefined) this.#become(id);
  }

  /** @param {number} movieId */
  #toggle(movieId) {
    const film = this.#pool.find(({ movie_id }) => movie_id === movieId);
    if (visitor.said.some(({ movie }) => movie.movie_id === movieId)) visitor.unsay(movieId);
    else if (film) visitor.say(film, "like");
  }

  /** @param {VerdictDetail} detail */
  #verdict({ movie, act, type }) {
    if (act === "undo") visitor.unsay(movie.movie_id);
    else visitor.say(movie, type);
  }

  #changed() {
    this.#tray();
    this.#marks();
    this.#recommend();
  }

  /** Shows the films that were picked. */
  #tray() {
    const tray = find(this, ".tray");
    const said = visitor.said;
    const n = visitor.likes().length;
    const missing = GOAL - n;
    const advice = n >= PLENTY ? t("start.enough") : missing > 0 ? t("start.goal", { n: missing }) : "";
    const focused = tray.contains(document.activeElement);
    tray.hidden = said.length === 0;
    fill(
      tray,
      html`<ul class="tray-films">
          ${said.map(
            ({ movie }) =>
              html`<li>
                <button type="button" name="pick" value="${movie.movie_id}" title="${movie.title}">
                  <mr-poster></mr-poster
                  ><span class="visually-hidden">${t("start.unpick", { title: movie.title })}</span
                  >${icons.close}
                </button>
              </li>`,
          )}
        </ul>
        <p><strong>${t("start.picked", { n })}</strong> <span class="quiet">${advice}</span></p>
        <a class="button strong" href="${href({ view: "foryou", user: null })}">${t("start.see")}</a>`,
    );
    tray.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = said[n].movie));
    if (focused) find(tray, "a").focus({ preventScroll: true });
  }

  /** Shows films to pick from that many people know. */
  async #offer() {
    const place = find(this, ".picks");
    if (this.#pool.length) {
      this.#grid();
      return;
    }
    fill(
      place,
      html`${Array(18).fill(
        html`<li aria-hidden="true">
          <div class="pick blank"><div class="poster"></div></div>
        </li>`,
      )}`,
    );
    this.querySelector("mr-notice")?.remove();
    try {
      this.#ranking = await api.rank({ history: [], k: GRID });
      remember(this.#pool);
      place.removeAttribute("aria-busy");
      this.#grid();
    } catch (error) {
      if (isAbort(error)) return;
      fill(place, html``);
      const notice = document.createElement("mr-notice");
      notice.content = contentOf(error);
      place.before(notice);
    }
  }

  /** Shows the next films to pick from. The first call asks the service for more films. */
  async #offerOthers() {
    if (this.#pool.length <= GRID) {
      try {
        this.#ranking = await api.rank({ history: [], k: POOL });
      } catch {
        // The films that are there are shown again.
      }
      remember(this.#pool);
    }
    this.#from = (this.#from + GRID) % Math.max(1, this.#pool.length);
    this.#grid();
  }

  #grid() {
    const films = [...this.#pool, ...this.#pool].slice(
      this.#from,
      this.#from + Math.min(GRID, this.#pool.length),
    );
    const place = find(this, ".picks");
    fill(
      place,
      html`${films.map(
        (film) =>
          html`<li>
            <button type="button" class="pick" name="pick" value="${film.movie_id}">
              <mr-poster></mr-poster><span class="pick-mark">${icons.plus}${icons.check}</span
              ><span class="row-title" dir="auto">${film.title}</span>
              <span class="facts">${factsOf(film)}</span>
            </button>
          </li>`,
      )}`,
    );
    place.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = films[n]));
    if (this.#ranking)
      tellWhatIsShown(
        this.#ranking,
        [...place.children].map((item, n) => [item, films[n].movie_id]),
      );
    this.#marks();
  }

  #marks() {
    const said = new Set(visitor.said.map(({ movie }) => String(movie.movie_id)));
    for (const button of /** @type {NodeListOf<HTMLButtonElement>} */ (this.querySelectorAll(".pick"))) {
      button.setAttribute("aria-pressed", String(said.has(button.value)));
    }
  }

  /** Shows the list so far. */
  async #recommend() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    const any = visitor.said.length > 0;
    const section = find(this, ".so-far");
    section.hidden = !any;
    if (!any) return;
    if (!this.shelf.cards.length) this.shelf.showLoading(PREVIEW);
    try {
      const asking = api.rank(audienceOf({ user: null }).body({ ...NO_KNOBS, k: PREVIEW }), signal);
      const [answer] = await Promise.all([asking, connection.namesKnown()]);
      if (signal.aborted) return;
      remember(answer.results);
      announce(tellChange(this.shelf.show(answer.results, { ranking: answer }), answer.results));
    } catch (error) {
      // The films to pick from report failures.
      if (!isAbort(error)) section.hidden = true;
    }
  }
}

customElements.define("mr-start", Start);
