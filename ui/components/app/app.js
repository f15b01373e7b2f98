// <mr-app>: the frame: which view is shown for an address, who is watching, and how the connection is.
import { ApiError } from "../../api.js";
import { connection } from "../../connection.js";
import { cardOf, learn } from "../../films.js";
import { fill, html } from "../../html.js";
import { t, translate } from "../../i18n.js";
import { audienceOf } from "../../audience.js";
import { go, leaveFilm, read } from "../../route.js";
import { visitor } from "../../visitor.js";
import { contentOf } from "../notice/notice.js";
import { toast } from "../toast/toast.js";
import { filmSearch } from "../combobox/sources.js";
import { rememberUser } from "../who/who.js";
import "../foot/foot.js";

// A view's code is fetched when it is first needed; the film view's too.
const VIEWS = {
  foryou: () => import("../foryou/foryou.js"),
  start: () => import("../start/start.js"),
  profile: () => import("../profile/profile.js"),
  compare: () => import("../compare/compare.js"),
  behind: () => import("../behind/behind.js"),
};
const loadFilm = () => import("../film/film.js");

class App extends HTMLElement {
  connectedCallback() {
    translate(this);
    this.main = this.querySelector("main");
    this.who = this.querySelector("mr-who");
    this.film = this.querySelector("mr-film");
    const search = this.querySelector(".film-search");
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
    connection.addEventListener("newmodel", () => toast(t("state.newModel", { version: String(connection.model.model_version) })));
    addEventListener("routechange", () => this.#follow());
    const { picks } = read();
    if (picks) this.#import(picks);
    else this.#follow();
  }

  #become(id) {
    if (id !== null) rememberUser(id);
    const view = id === null && !visitor.said.length ? "start" : "foryou";
    go({ user: id, view, movie: null });
  }

  /** Shows what the address says; if it changes again meanwhile, the later call goes on alone. */
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
    if (this.view?.localName !== `mr-${name}`) this.#replaceView(name, route);
    this.view.route = route;
    if (route.movie !== (this.film.movieId ?? null)) this.film.show(route.movie, audience, route.knobs);
  }

  /** A view's code could not be fetched. Browsers may remember that, so the way on is to load the page again. */
  #missCode() {
    this.view = null;
    const notice = document.createElement("mr-notice");
    notice.content = contentOf(new ApiError("unreachable"));
    notice.addEventListener("retry", () => location.reload());
    this.main.replaceChildren(notice);
    connection.probe();
  }

  #replaceView(name, route) {
    const isFirst = !this.view;
    this.view = document.createElement(`mr-${name}`);
    this.main.replaceChildren(this.view);
    if (isFirst || route.movie !== null) return;
    scrollTo(0, 0);
    queueMicrotask(() => this.view.querySelector("h1")?.focus({ preventScroll: true }));
  }

  #mark(name, user) {
    for (const link of this.querySelectorAll("[data-view]")) {
      link.setAttribute("href", this.#linkTo(link.dataset.view, user));
      if (link.dataset.view === name) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  }

  #linkTo(view, user) {
    const who = user === null || view === "start" ? "" : `&user=${user}`;
    // A comparison of two equal lists says nothing, so it begins with one difference.
    return `?view=${view}${who}${view === "compare" ? "&b-variety=0.6" : ""}`;
  }

  /** Favourites that came with a link: shown, and the reader's own kept to go back to. */
  async #import(picks) {
    const ids = [...new Set(picks.split(",").map(Number).filter((id) => Number.isInteger(id) && id))].slice(0, 100);
    const mine = visitor.said;
    await learn(ids.map(Math.abs));
    const now = Math.floor(Date.now() / 1000);
    const entries = ids.flatMap((id) => {
      const movie = cardOf(Math.abs(id));
      return movie ? [{ movie, event_type: id > 0 ? "like" : "dislike", timestamp: now }] : [];
    });
    if (entries.length) visitor.said = entries;
    go({ picks: null, user: null, view: "foryou" }, { replace: true });
    const back = mine.length && entries.length ? { action: t("list.backToMine"), onAction: () => { visitor.said = mine; this.view?.refresh?.(); } } : {};
    toast(t("list.sharedWithYou"), back);
  }

  #tellConnection() {
    const { state } = connection;
    const strip = this.querySelector(".connection");
    strip.hidden = state === "ok";
    const text = state === "unreachable" && !navigator.onLine ? t("state.offline") : t(`state.${state}`);
    fill(strip, state === "ok" ? html`` : html`<span>${text}</span> <button type="button" class="link">${t("state.retry")}</button>`);
    strip.querySelector("button")?.addEventListener("click", () => connection.probe());
  }
}

customElements.define("mr-app", App);
