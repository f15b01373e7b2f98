// @ts-check
// <mr-app>: the frame of the page. It chooses the view for an address and tells how the connection is.
import { ApiError } from "../../api.js";
import { connection } from "../../connection.js";
import { cardOf, learn } from "../../films.js";
import { fill, find, html } from "../../html.js";
import { t, translate } from "../../i18n.js";
import { audienceOf } from "../../audience.js";
import { go, leaveFilm, read } from "../../route.js";
import { visitor } from "../../visitor.js";
import { contentOf } from "../notice/notice.js";
import { toast } from "../toast/toast.js";
import { filmSearch } from "../combobox/sources.js";
import { rememberUser } from "../who/who.js";
import "../foot/foot.js";

/**
 * @import { Route, ViewName } from "../../route.js"
 * @import { Entry } from "../../visitor.js"
 * @typedef {HTMLElement & { route: Route, refresh?: (said?: string) => void }} View
 */

/** Maximum number of favourites that a link may bring. */
const MOST_PICKS = 100;

// The code of a view, and of the film dialog, is fetched when it is first needed.
const VIEWS = {
  foryou: () => import("../foryou/foryou.js"),
  start: () => import("../start/start.js"),
  profile: () => import("../profile/profile.js"),
  compare: () => import("../compare/compare.js"),
  behind: () => import("../behind/behind.js"),
};
const loadFilm = () => import("../film/film.js");

export class App extends HTMLElement {
  /** The view that is shown; null where its code could not be fetched. @type {View | null | undefined} */
  view;
  /** The newest call of #follow. @type {symbol | undefined} */
  following;
  /** @type {HTMLElement} */
  main;
  /** @type {HTMLElementTagNameMap["mr-who"]} */
  who;
  /** @type {HTMLElementTagNameMap["mr-film"]} */
  film;

  connectedCallback() {
    translate(this);
    this.main = find(this, "main");
    this.who = find(this, "mr-who");
    this.film = find(this, "mr-film");
    const search = find(this, "mr-combobox");
    search.settings = filmSearch(t("search.label"));
    search.addEventListener("choose", ({ detail }) => go({ movie: detail.movie_id }));
    this.addEventListener("who", ({ detail }) => this.#become(detail));
    this.film.addEventListener("closed", () => read().movie !== null && leaveFilm());
    this.film.addEventListener("said", ({ detail }) => this.view?.refresh?.(detail));
    connection.addEventListener("change", () => this.#tellConnection());
    connection.addEventListener("recovered", () => {
      if (this.view === null) location.reload();
      else toast(t("state.back"));
    });
    connection.addEventListener("newmodel", () =>
      toast(t("state.newModel", { version: connection.model?.model_version })),
    );
    addEventListener("routechange", () => this.#follow());
    const { picks } = read();
    if (picks) this.#import(picks);
    else this.#follow();
  }

  /** @param {number | null} id */
  #become(id) {
    if (id !== null) rememberUser(id);
    const view = id === null && !visitor.said.length ? "start" : "foryou";
    go({ user: id, view, movie: null });
  }

  /** Shows the view of the address. If the address changes again meanwhile, only the later call goes on. */
  async #follow() {
    const route = read();
    const call = (this.following = Symbol("following"));
    const name = route.view ?? (route.user !== null || visitor.said.length ? "foryou" : "start");
    const audience = audienceOf(route);
    this.who.audience = audience;
    this.#mark(name, route.user);
    try {
      await Promise.all([VIEWS[name](), route.movie !== null && loadFilm()]);
    } catch {
      if (call === this.following) this.#missCode();
      return;
    }
    if (call !== this.following) return;
    const view = this.view?.localName === `mr-${name}` ? this.view : this.#replaceView(name, route);
    view.route = route;
    if (route.movie !== (this.film.movieId ?? null)) this.film.show(route.movie, audience, route.knobs);
  }

  /** The code of a view could not be fetched. Browsers may remember that, so only a reload helps. */
  #missCode() {
    this.view = null;
    const notice = document.createElement("mr-notice");
    notice.content = contentOf(new ApiError("unreachable"));
    notice.addEventListener("retry", () => location.reload());
    this.main.replaceChildren(notice);
    connection.probe();
  }

  /**
   * @param {ViewName} name
   * @param {Route} route
   */
  #replaceView(name, route) {
    const isFirst = !this.view;
    const view = /** @type {View} */ (document.createElement(`mr-${name}`));
    this.view = view;
    this.main.replaceChildren(view);
    if (!isFirst && route.movie === null) {
      scrollTo(0, 0);
      queueMicrotask(() => view.querySelector("h1")?.focus({ preventScroll: true }));
    }
    return view;
  }

  /**
   * @param {ViewName} name
   * @param {number | null} user
   */
  #mark(name, user) {
    for (const link of /** @type {NodeListOf<HTMLElement>} */ (this.querySelectorAll("[data-view]"))) {
      link.setAttribute("href", this.#linkTo(link.dataset.view ?? "", user));
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  /**
   * @param {string} view
   * @param {number | null} user
   */
  #linkTo(view, user) {
    const who = user === null || view === "start" ? "" : `&user=${user}`;
    // A comparison of two equal lists says nothing, so it begins with a difference.
    return `?view=${view}${who}${view === "compare" ? "&b-variety=0.6" : ""}`;
  }

  /**
   * Shows the favourites of a shared link, and offers the way back to the reader's own.
   *
   * @param {string} picks Movie ids, separated by commas; a negative id is a dislike.
   */
  async #import(picks) {
    const ids = [
      ...new Set(
        picks
          .split(",")
          .map(Number)
          .filter((id) => Number.isInteger(id) && id),
      ),
    ].slice(0, MOST_PICKS);
    const mine = visitor.said;
    await learn(ids.map(Math.abs));
    const now = Math.floor(Date.now() / 1000);
    /** @type {Entry[]} */
    const entries = ids.flatMap((id) => {
      const movie = cardOf(Math.abs(id));
      return movie ? [{ movie, event_type: id > 0 ? "like" : "dislike", timestamp: now }] : [];
    });
    if (entries.length) visitor.said = entries;
    go({ picks: null, user: null, view: "foryou" }, { replace: true });
    const back =
      mine.length && entries.length
        ? {
            action: t("list.backToMine"),
            onAction: () => {
              visitor.said = mine;
              this.view?.refresh?.();
            },
          }
        : {};
    toast(t("list.sharedWithYou"), back);
  }

  #tellConnection() {
    const { state } = connection;
    const strip = find(this, ".connection");
    strip.hidden = state === "ok";
    const text = state === "unreachable" && !navigator.onLine ? t("state.offline") : t(`state.${state}`);
    fill(
      strip,
      state === "ok"
        ? html``
        : html`<span>${text}</span> <button type="button" class="link">${t("state.retry")}</button>`,
    );
    strip.querySelector("button")?.addEventListener("click", () => connection.probe());
  }
}

customElements.define("mr-app", App);
