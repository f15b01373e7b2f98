// <mr-compare>: one person's list twice, side by side: under two settings, or from two versions; with what moved.
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
const SIDES = ["left", "right"];

class Compare extends HTMLElement {
  #abort = null;
  #changes = new AbortController();

  connectedCallback() {
    document.title = `${t("compare.title")} · ${t("app.name")}`;
    this.addEventListener("knobs", ({ target, detail }) => go(target.dataset.side === "right" ? { other: detail } : { knobs: detail }));
    this.addEventListener("retry", () => this.#load());
    const { signal } = this.#changes;
    for (const type of ["recovered", "newmodel"]) connection.addEventListener(type, () => this.#load(), { signal });
    connection.addEventListener("model", () => this.#offer(), { signal });
  }

  disconnectedCallback() {
    this.#abort?.abort();
    this.#changes.abort();
  }

  set route(route) {
    const key = JSON.stringify([route.user, route.knobs, route.other, route.against]);
    if (key === this.key) return;
    const rebuild = !this.key || route.against !== this.against;
    Object.assign(this, { key, audience: audienceOf(route), against: route.against });
    this.settings = [route.knobs, this.against ? route.knobs : route.other];
    if (rebuild) this.#build();
    this.#offer();
    this.#load();
  }

  #build() {
    const heading = (side) => (this.against ? html`&nbsp;` : t(`compare.${side}`));
    fill(
      this,
      html`<header class="view-head"><div><h1 tabindex="-1">${t("compare.title")}</h1><p>${t(this.against ? "compare.lead.versions" : "compare.lead")}</p></div></header>
        <div class="choices" role="group" aria-label="${t("compare.what")}" hidden></div>
        ${this.against && html`<mr-knobs></mr-knobs>`}
        <p class="shared" role="status">&nbsp;</p>
        <div class="sides">${SIDES.map((side) => html`<section class="side" aria-labelledby="${side}-title"><h2 id="${side}-title">${heading(side)}</h2>
          ${!this.against && html`<mr-knobs data-side="${side}"></mr-knobs>`}<ol></ol></section>`)}</div>`,
    );
  }

  /** The choice between settings and versions, where there is a second version. */
  #offer() {
    const place = this.querySelector(".choices");
    place.hidden = !connection.model?.challenger && !this.against;
    const choice = (against, text) => html`<a class="button" href="${href({ against })}" ${this.against === against && html`aria-current="true"`}>${text}</a>`;
    fill(place, html`${choice(null, t("compare.settings"))}${choice("challenger", t("compare.versions"))}`);
  }

  #bodies() {
    return this.settings.map((knobs, side) =>
      this.audience.body({ ...knobs, k: Math.min(knobs.k, LENGTH) }, side && this.against ? { version: this.against } : {}));
  }

  #showKnobs() {
    [...this.querySelectorAll("mr-knobs")].forEach((view, n) => view.show(this.settings[n], genresSeen()));
  }

  async #load() {
    this.#abort?.abort();
    const { signal } = (this.#abort = new AbortController());
    this.#showKnobs();
    try {
      const answers = await Promise.all(this.#bodies().map((body) => api.rank(body, signal)));
      if (signal.aborted) return;
      this.querySelector("mr-notice")?.remove();
      const lists = answers.map(({ results }) => results);
      lists.forEach(remember);
      await learn(moviesIn(lists.flat().flatMap(({ reasons }) => reasons ?? [])), signal);
      if (signal.aborted) return;
      this.#show(lists, answers);
      this.#showKnobs();
    } catch (error) {
      if (isAbort(error)) return;
      this.#failed(error);
    }
  }

  #failed(error) {
    this.querySelector("mr-notice")?.remove();
    const notice = document.createElement("mr-notice");
    const content = contentOf(error);
    const { type = "", detail, remedy } = error.problem;
    notice.content = type.endsWith(":no-challenger") ? { title: t("compare.noChallenger"), hint: `${detail} ${remedy ?? ""}` } : content;
    this.querySelector(".sides").before(notice);
  }

  #show(lists, answers) {
    const ids = lists.map((films) => films.map(({ movie_id }) => movie_id));
    const both = ids[1].filter((id) => ids[0].includes(id));
    const moved = both.filter((id) => ids[0].indexOf(id) !== ids[1].indexOf(id)).length;
    this.querySelector(".shared").textContent = [
      t("compare.shared", { n: both.length, of: Math.max(ids[0].length, ids[1].length) }),
      moved ? t("compare.moved", { n: moved }) : both.length > 0 && t("compare.same"),
    ].filter(Boolean).join(", ");
    if (this.against) {
      const names = ["compare.production", "compare.challenger"];
      this.querySelectorAll(".side h2").forEach((title, side) => (title.textContent = t(names[side], { version: String(answers[side].model_version) })));
    }
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
