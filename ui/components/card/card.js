// @ts-check
// <mr-card>: one recommended film: poster, facts, match, reasons, buttons. Emits "verdict" and "opened".
import { closest, fill, find, html, node } from "../../html.js";
import { iconOf, icons } from "../../icons.js";
import { number, t } from "../../i18n.js";
import { reasonText } from "../../names.js";
import { href } from "../../route.js";
import { factsOf, matchOf, turnDials } from "./facts.js";
import "../poster/poster.js";

/**
 * @import { EventType, RankedFilm } from "../../api.js"
 * @typedef {EventType | "retry"} Act A button of the card.
 * @typedef {{ type: EventType, failed?: boolean }} Verdict `failed`: it was not saved.
 * @typedef {{ movie: RankedFilm, act: Act, type: EventType }} VerdictDetail
 */

export const VERDICTS = /** @type {const} */ (["like", "dislike", "not_interested", "seen"]);
/** @type {Record<string, Act>} */
const KEYS = { l: "like", d: "dislike", n: "not_interested", s: "seen", u: "undo" };

export class Card extends HTMLElement {
  /** @type {RankedFilm | null} */
  #film = null;
  /** @type {Verdict | null} */
  #verdict = null;
  isListening = false;

  connectedCallback() {
    if (this.isListening) return;
    this.isListening = true;
    this.addEventListener("click", (event) => this.#clicked(event));
    this.addEventListener("keydown", (event) => this.#keyed(event));
  }

  // With this method, moving the card within its list does not disconnect it.
  connectedMoveCallback() {}

  /** A result of `POST /rank`. Setting it again updates the parts that may have changed. */
  get film() {
    if (!this.#film) throw new Error("the card has no film yet");
    return this.#film;
  }

  set film(film) {
    if (this.#film?.movie_id !== film.movie_id) this.#build(film);
    this.#film = film;
    for (const link of this.querySelectorAll("a")) link.setAttribute("href", href({ movie: film.movie_id }));
    turnDials(fill(find(this, ".match > span"), matchOf(film.score)));
    this.tellReasons();
  }

  /** @param {RankedFilm} film */
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
          ${VERDICTS.map(
            (type) =>
              html`<button
                type="button"
                class="act"
                data-act="${type}"
                title="${t(`act.${type}`)}"
                aria-label="${t(`act.${type}.of`, { title: film.title })}"
              >
                ${icons[type]}
              </button>`,
          )}
        </div>
      </article>`,
    );
    find(this, "mr-poster").movie = film;
  }

  /** Writes the reasons. Called again when names or titles in them have become known. */
  tellReasons() {
    const { title } = this.film;
    const reasons = this.film.reasons.map(reasonText);
    const [first = "", ...more] = reasons;
    const line = find(this, ".reason");
    const key = reasons.join("\n");
    if (line.dataset.key === key) return;
    line.dataset.key = key;
    const wasOpen = line.querySelector("button")?.getAttribute("aria-expanded") === "true";
    fill(
      line,
      html`<span class="first-reason">${first}</span>${
          more.length > 0 &&
          html`<button
            type="button"
            class="more"
            data-act="more"
            aria-expanded="${String(wasOpen)}"
            aria-label="${t("card.moreLabel", { n: more.length, title })}"
          >
            ${t("card.more", { n: more.length })}
          </button>`
        }
        <ul class="reasons" aria-label="${t("card.reasons", { title })}" ${wasOpen ? "" : html`hidden`}>
          ${reasons.map((reason) => html`<li>${reason}</li>`)}
        </ul>`,
    );
  }

  /** The verdict of the reader, while the card shows it. */
  get verdict() {
    return this.#verdict;
  }

  set verdict(verdict) {
    const before = this.#verdict;
    this.#verdict = verdict;
    if (before?.type === verdict?.type && before?.failed === verdict?.failed) return;
    const hadFocus = find(this, ".acts").contains(document.activeElement);
    this.querySelector(".stamp")?.remove();
    this.querySelector(".said")?.remove();
    this.classList.toggle("stamped", Boolean(verdict));
    find(this, ".acts").hidden = Boolean(verdict);
    if (verdict) this.#stamp(verdict);
    const lostFocus = before && !verdict && document.activeElement === document.body;
    if (!hadFocus && !lostFocus) return;
    const next = verdict ? ".said button" : `[data-act="${before?.type ?? "like"}"]`;
    /** @type {HTMLElement | null} */ (this.querySelector(next))?.focus({ preventScroll: true });
  }

  /** @param {Verdict} verdict */
  #stamp({ type, failed }) {
    const { title } = this.film;
    const act = failed ? "retry" : "undo";
    find(this, ".card-picture").append(node(html`<span class="stamp ${type}">${iconOf(type)}</span>`));
    find(this, ".card").append(
      node(
        html`<p class="said ${failed ? "failed" : ""}">
          <span>${t(failed ? "done.failed" : `done.${type}`)}</span>
          <button
            type="button"
            class="act wordy"
            data-act="${act}"
            aria-label="${t(`act.${act}.of`, { title })}"
          >
            ${icons.undo}<span>${t(`act.${act}`)}</span>
          </button>
        </p>`,
      ),
    );
  }

  /**
   * How many ranks the film went up (negative: down), or "new"; 0 shows nothing.
   *
   * @param {number | "new"} places
   */
  set moved(places) {
    this.querySelector(".moved")?.remove();
    if (!places) return;
    const way = places === "new" ? "fresh" : places > 0 ? "up" : "down";
    const arrow = way === "up" ? "▲" : "▼";
    const text = places === "new" ? t("list.fresh") : `${arrow} ${number(Math.abs(places))}`;
    find(this, ".match").append(node(html`<span class="moved ${way}" aria-hidden="true">${text}</span>`));
  }

  /** @param {Event} event */
  #clicked(event) {
    const button = closest(event, "[data-act]");
    if (button?.dataset.act === "more") {
      const isOpen = button.getAttribute("aria-expanded") !== "true";
      button.setAttribute("aria-expanded", String(isOpen));
      find(this, ".reasons").hidden = !isOpen;
    } else if (button) this.#say(/** @type {Act} */ (button.dataset.act));
    else if (closest(event, "a")) this.#emit("opened");
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Escape" && !find(this, ".reasons").hidden) {
      find(this, ".more").click();
      return;
    }
    const act = KEYS[event.key.toLowerCase()];
    if (!act || (act === "undo") !== Boolean(this.#verdict)) return;
    event.preventDefault();
    find(this, ".acts button").focus({ preventScroll: true });
    this.#say(act);
  }

  /** @param {Act} act */
  #say(act) {
    this.#emit("verdict", { act, type: act === "retry" ? this.#verdict?.type : act });
  }

  /**
   * @param {string} name
   * @param {object} detail
   */
  #emit(name, detail = {}) {
    this.dispatchEvent(new CustomEvent(name, { bubbles: true, detail: { movie: this.#film, ...detail } }));
  }
}

customElements.define("mr-card", Card);
