// <mr-compare>: one person's list under two settings, side by side, with what differs.
import { api, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { genresSeen, learn, remember } from "../../films.js";
import { fill, html } from "../../html.js";
import { percent, t } from "../../i18n.js";
import { moviesIn, reasonText } from "../../reasons.js";
import { go, href } from "../../route.js";
import { audienceOf } from "../../audience.js";
import { factsOf } from "../card/facts.js";
import { contentOf } from "../notice/notice.js";
import "../knobs/knobs.js";
import "../poster/poster.js";

const LENGTH = 20;

class Compare extends HTMLElement {
  #abort = null;
  #changes = new AbortController();

  connectedCallback() {
    document.title = `${t("compare.title")} · ${t("app.name")}`;
    fill(
      this,
      html`<header class="view-head"><div><h1 tabindex="-1">${t("compare.title")}</h1><p>${t("compare.lead")}</p></div></header>
        <p class="shared" role="status">&nbsp;</p>
        <div class="sides">${["left", "right"].map((side) => html`<section class="side" aria-label="${t(`compare.${side}`)}"><h2>${t(`compare.${side}`)}</h2>
          <mr-knobs data-side="${side}"></mr-knobs><ol></ol></section>`)}</div>`,
    );
    this.addEventListener("knobs", ({ target, detail }) => go(target.dataset.side === "left" ? { knobs: detail } : { other: detail }));
    this.addEventListener("retry", () => this.#load());
    const { signal } = this.#changes;
    for (const type of ["recovered", "newmodel"]) connection.addEventListener(type, () => this.#load(), { signal });
  }

  disconnectedCallback() {
    this.#abort?.abort();
    this.#changes.abort();
  }

  set route(route) {
    const key = JSON.stringify([route.user, route.knobs, route.other]);
    if (key === this.key) return;
    Object.assign(this, { key, audience: audienceOf(route), settings: [route.knobs, route.other] });
    this.#load();
  }

  async #load() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    const knobViews = [...this.querySelectorAll("mr-knobs")];
    knobViews.forEach((view, n) => view.show(this.settings[n], genresSeen()));
    try {
      const answers = await Promise.all(this.settings.map((knobs) => api.rank(this.audience.body({ ...knobs, k: Math.min(knobs.k, LENGTH) }), signal)));
      if (signal.aborted) return;
      this.querySelector("mr-notice")?.remove();
      const lists = answers.map(({ results }) => results);
      lists.forEach(remember);
      await learn(moviesIn(lists.flat().flatMap(({ reasons }) => reasons ?? [])), signal);
      this.#show(lists);
      knobViews.forEach((view, n) => view.show(this.settings[n], genresSeen()));
    } catch (error) {
      if (isAbort(error)) return;
      this.querySelector("mr-notice")?.remove();
      const notice = document.createElement("mr-notice");
      notice.content = contentOf(error);
      this.querySelector(".sides").before(notice);
    }
  }

  #show(lists) {
    const ids = lists.map((films) => films.map(({ movie_id }) => movie_id));
    const shared = ids[0].filter((id) => ids[1].includes(id)).length;
    this.querySelector(".shared").textContent = t("compare.shared", { n: shared, of: Math.max(ids[0].length, ids[1].length) });
    this.querySelectorAll(".side ol").forEach((place, side) => {
      fill(place, html`${lists[side].map((film, n) => this.#line(film, ids[1 - side].indexOf(film.movie_id), side ? n : null))}`);
      place.querySelectorAll("mr-poster").forEach((poster, n) => (poster.movie = lists[side][n]));
    });
  }

  /** One film; `elsewhere` is its place in the other list (-1: none), `place` the one here if moves are told. */
  #line(film, elsewhere, place) {
    const change = elsewhere < 0 ? "new" : place === null ? 0 : elsewhere - place;
    const badge = change === "new" ? t("compare.only") : t(change > 0 ? "list.up" : "list.down", { n: Math.abs(change) });
    return html`<li><a href="${href({ movie: film.movie_id })}"><mr-poster></mr-poster><span><span class="row-title" dir="auto">${film.title}</span
      ><span class="facts">${percent(film.score)} · ${factsOf(film)}</span><span class="facts">${film.reasons?.[0] && reasonText(film.reasons[0])}</span></span></a>
      ${change !== 0 && html`<span class="moved ${change === "new" ? "fresh" : change > 0 ? "up" : "down"}">${badge}</span>`}</li>`;
  }
}

customElements.define("mr-compare", Compare);
