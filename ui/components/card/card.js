// <mr-card>: one recommended film: poster, facts, match, reasons, and what the reader says of it.
import { fill, html, node } from "../../html.js";
import { icons } from "../../icons.js";
import { number, t } from "../../i18n.js";
import { reasonText } from "../../reasons.js";
import { href } from "../../route.js";
import { factsOf, matchOf, turnDials } from "./facts.js";
import "../poster/poster.js";

export const VERDICTS = ["like", "dislike", "not_interested", "seen"];
const KEYS = { l: "like", d: "dislike", n: "not_interested", s: "seen", u: "undo" };

class Card extends HTMLElement {
  #film = null;
  #verdict = null;

  connectedCallback() {
    if (this.listening) return;
    this.listening = true;
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("keydown", (event) => this.#keyed(event));
  }

  // Moving the element within its list must not make it anew.
  connectedMoveCallback() {}

  get film() {
    return this.#film;
  }

  /** A result of `POST /rank`; setting it again updates what may have changed. */
  set film(film) {
    if (this.#film?.movie_id !== film.movie_id) this.#build(film);
    this.#film = film;
    for (const link of this.querySelectorAll("a")) link.setAttribute("href", href({ movie: film.movie_id }));
    turnDials(fill(this.querySelector(".match > span"), matchOf(film.score)));
    this.tellReasons();
  }

  #build(film) {
    const id = `film-${film.movie_id}`;
    fill(
      this,
      html`<article class="card" aria-labelledby="${id}">
        <a class="card-picture" tabindex="-1" aria-hidden="true"><mr-poster></mr-poster></a>
        <div class="card-text">
          <p class="match"><span></span></p>
          <h3 id="${id}"><a class="card-title" dir="auto">${film.title}</a></h3>
          <p class="facts">${factsOf(film)}</p>
          <div class="reason"></div>
        </div>
        <div class="acts" role="group" aria-label="${t("card.verdict", { title: film.title })}">
          ${VERDICTS.map((type) => html`<button type="button" class="act" data-act="${type}" title="${t(`act.${type}`)}"
            aria-label="${t(`act.${type}.of`, { title: film.title })}">${icons[type]}</button>`)}
        </div>
      </article>`,
    );
    this.querySelector("mr-poster").movie = film;
  }

  /** Writes the reasons; once more when the title of a film they name has become known. */
  tellReasons() {
    const [first, ...rest] = this.#film.reasons ?? [];
    const title = this.#film.title;
    const place = this.querySelector(".reason");
    const text = first ? reasonText(first) : "";
    const key = [text, ...rest.map(reasonText)].join("\n");
    if (place.dataset.key === key) return;
    place.dataset.key = key;
    const wasOpen = place.querySelector("button")?.getAttribute("aria-expanded") === "true";
    fill(
      place,
      html`<span class="first-reason">${text}</span>${rest.length > 0 &&
      html`<button type="button" class="more" data-act="more" aria-expanded="${String(wasOpen)}"
        aria-label="${t("card.moreLabel", { n: rest.length, title })}">${t("card.more", { n: rest.length })}</button>`}
        <ul class="reasons" aria-label="${t("card.reasons", { title })}" ${wasOpen ? "" : html`hidden`}>${[first, ...rest].filter(Boolean)
          .map((code) => html`<li>${reasonText(code)}</li>`)}</ul>`,
    );
  }

  get verdict() {
    return this.#verdict;
  }

  /** null, or {type, failed}: what was said of this film and is still to be seen here. */
  set verdict(verdict) {
    const before = this.#verdict;
    this.#verdict = verdict;
    if (before?.type === verdict?.type && before?.failed === verdict?.failed) return;
    const hadFocus = this.querySelector(".acts").contains(document.activeElement);
    this.querySelector(".stamp")?.remove();
    this.querySelector(".said")?.remove();
    this.classList.toggle("stamped", Boolean(verdict));
    this.querySelector(".acts").hidden = Boolean(verdict);
    if (verdict) this.#stamp(verdict);
    if (hadFocus || (before && !verdict && document.activeElement === document.body)) {
      this.querySelector(verdict ? ".said button" : `[data-act="${before?.type ?? "like"}"]`)?.focus({ preventScroll: true });
    }
  }

  #stamp({ type, failed }) {
    const title = this.#film.title;
    const act = failed ? "retry" : "undo";
    this.querySelector(".card-picture").append(node(html`<span class="stamp ${type}">${icons[type]}</span>`));
    this.querySelector(".card").append(
      node(html`<p class="said ${failed ? "failed" : ""}"><span>${t(failed ? "done.failed" : `done.${type}`)}</span>
        <button type="button" class="act wordy" data-act="${act}" aria-label="${t(`act.${act}.of`, { title })}"
        >${icons.undo}<span>${t(`act.${act}`)}</span></button></p>`),
    );
  }

  /** How many places it went up (negative: down), "new", or 0: shown for a while. */
  set moved(places) {
    this.querySelector(".moved")?.remove();
    if (!places) return;
    const way = places === "new" ? "fresh" : places > 0 ? "up" : "down";
    const text = places === "new" ? t("list.fresh") : `${places > 0 ? "▲" : "▼"} ${number(Math.abs(places))}`;
    this.querySelector(".match").append(node(html`<span class="moved ${way}" aria-hidden="true">${text}</span>`));
  }

  #clicked(event) {
    const act = event.target.closest("[data-act]")?.dataset.act;
    if (act === "more") {
      const button = event.target.closest("button");
      const open = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(open));
      this.querySelector(".reasons").hidden = !open;
    } else if (act) this.#say(act);
    else if (event.target.closest("a")) this.#emit("opened");
  }

  #keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && !this.querySelector(".reasons").hidden) {
      this.querySelector(".more")?.click();
      return;
    }
    const act = KEYS[event.key.toLowerCase()];
    if (!act || (act === "undo") !== Boolean(this.#verdict)) return;
    event.preventDefault();
    this.querySelector(".acts button").focus({ preventScroll: true });
    this.#say(act);
  }

  #say(act) {
    this.#emit("verdict", { act, type: act === "retry" ? this.#verdict.type : act });
  }

  #emit(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: { movie: this.#film, ...detail } }));
  }
}

customElements.define("mr-card", Card);
