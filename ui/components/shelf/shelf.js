// @ts-check
// <mr-shelf>: an ordered list of cards. When the order changes, the cards move and are counted.
import { fill, find, html } from "../../html.js";
import { t } from "../../i18n.js";
import { tellWhatIsShown } from "../../impressions.js";
import "../card/card.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
/**
 * @import { RankedFilm, Ranking } from "../../api.js"
 * @typedef {HTMLElementTagNameMap["mr-card"]} Card
 * @typedef {{ moved: number, fresh: number }} Counts How many films have another rank, and how many are new.
 */

/** Which way an arrow key goes: [across, down]. @type {Record<string, [number, number]>} */
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

export class Shelf extends HTMLElement {
  /** The list items, by movie id. @type {Map<number, HTMLLIElement>} */
  #items = new Map();
  /** @type {HTMLOListElement} */
  list;

  connectedCallback() {
    if (this.list) return;
    fill(this, html`<ol class="shelf" aria-label="${this.getAttribute("label")}"></ol>`);
    this.list = find(this, "ol");
    this.list.addEventListener("keydown", (event) => this.#walk(event));
  }

  /** @param {number} movieId */
  cardOf(movieId) {
    return this.#items.get(movieId)?.querySelector("mr-card");
  }

  get cards() {
    return [...this.list.querySelectorAll("mr-card")];
  }

  /**
   * Shows grey shapes where cards will be.
   *
   * @param {number} n
   */
  showLoading(n) {
    this.#items.clear();
    this.setAttribute("aria-busy", "true");
    const blank = html`<li class="place" aria-hidden="true">
      <div class="card blank">
        <div class="card-picture"><div class="poster"></div></div>
        <div class="card-text">
          <p></p>
          <p></p>
          <p></p>
        </div>
      </div>
    </li>`;
    fill(this.list, html`${Array(n).fill(blank)}`);
  }

  /**
   * Shows these results, best first. Cards of `keep` stay where they are, and the others move around them.
   *
   * @param {RankedFilm[]} results
   * @param {{ keep?: Set<number>, ranking?: Ranking }} [options] `ranking`: what the results are of, to tell
   *   the service which films are shown.
   * @returns {Counts}
   */
  show(results, { keep = new Set(), ranking } = {}) {
    const before = [...this.#items.keys()];
    const isFirst = before.length === 0;
    if (isFirst) fill(this.list, html``);
    this.removeAttribute("aria-busy");
    const films = this.#withKept(results, keep, before);
    const boxes = !CALM.matches && !isFirst ? this.#boxes() : null;
    const active = document.activeElement;
    const focused = active instanceof HTMLElement && this.list.contains(active) ? active : null;
    const index = [...this.list.children].findIndex((item) => item.contains(focused));
    const counts = this.#arrange(films, before, isFirst);
    if (boxes) this.#glide(boxes);
    if (ranking) tellWhatIsShown(ranking, this.#elements());
    if (focused && document.activeElement !== focused) this.#refocus(focused, index);
    return counts;
  }

  /**
   * The results with the kept films at their old ranks.
   *
   * @param {RankedFilm[]} results
   * @param {Set<number>} keep
   * @param {number[]} before The movie ids of the old list.
   */
  #withKept(results, keep, before) {
    const films = results.filter((film) => !keep.has(film.movie_id));
    before.forEach((id, rank) => {
      const card = keep.has(id) ? this.cardOf(id) : null;
      if (card) films.splice(Math.min(rank, films.length), 0, card.film);
    });
    return films;
  }

  /**
   * Puts the items into the order of `films`, and counts the moves.
   *
   * @param {RankedFilm[]} films
   * @param {number[]} before The movie ids of the old list.
   * @param {boolean} isFirst Whether there was no list before.
   */
  #arrange(films, before, isFirst) {
    const counts = { moved: 0, fresh: 0 };
    const wanted = new Set(films.map((film) => film.movie_id));
    for (const [id, item] of this.#items) {
      if (wanted.has(id)) continue;
      item.remove();
      this.#items.delete(id);
    }
    const standing = before.filter((id) => wanted.has(id));
    /** @type {Map<number, HTMLLIElement>} */
    const items = new Map();
    films.forEach((film, rank) => {
      const id = film.movie_id;
      const item = this.#items.get(id) ?? this.#made();
      items.set(id, item);
      if (this.list.children[rank] !== item) this.#put(item, this.list.children[rank] ?? null);
      const card = find(item, "mr-card");
      card.film = film;
      const from = standing.indexOf(id);
      const change = from < 0 ? "new" : from - rank;
      card.moved = isFirst || card.verdict ? 0 : change;
      if (isFirst) return;
      if (change === "new") counts.fresh += 1;
      else if (change) counts.moved += 1;
    });
    this.#items = items;
    return counts;
  }

  /** The items with their movie ids. @returns {[Element, number][]} */
  #elements() {
    return [...this.#items].map(([id, item]) => [item, id]);
  }

  #made() {
    const item = document.createElement("li");
    item.className = "place";
    item.append(document.createElement("mr-card"));
    return item;
  }

  /**
   * Moves an item before another; null moves it to the end.
   *
   * @param {HTMLLIElement} item
   * @param {Element | null} reference
   */
  #put(item, reference) {
    // `moveBefore` keeps the focus and running animations; not every browser has it.
    if (item.parentNode && this.list.moveBefore) this.list.moveBefore(item, reference);
    else this.list.insertBefore(item, reference);
  }

  /**
   * Gives the focus back to its element, or to the card that is there now.
   *
   * @param {HTMLElement} focused
   * @param {number} index The index of the item that had the focus.
   */
  #refocus(focused, index) {
    const item = this.list.children[Math.min(index, this.list.children.length - 1)];
    if (focused.isConnected) focused.focus({ preventScroll: true });
    else if (item) find(item, ".card-title").focus({ preventScroll: true });
  }

  #boxes() {
    return new Map([...this.#items].map(([id, item]) => [id, item.getBoundingClientRect()]));
  }

  /**
   * Lets every card glide from its old box to where it is.
   *
   * @param {Map<number, DOMRect>} boxes
   */
  #glide(boxes) {
    for (const [id, item] of this.#items) {
      const from = boxes.get(id);
      const to = item.getBoundingClientRect();
      const options = { duration: 480, easing: "cubic-bezier(0.2, 0.7, 0.2, 1)" };
      if (!from)
        item.animate(
          [
            { opacity: 0, transform: "scale(0.94)" },
            { opacity: 1, transform: "none" },
          ],
          options,
        );
      else if (from.x !== to.x || from.y !== to.y) {
        item.animate(
          [{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }],
          options,
        );
      }
    }
  }

  /** @param {KeyboardEvent} event */
  #walk(event) {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = [...this.list.children];
    const target = /** @type {HTMLElement} */ (event.target);
    const here = items.findIndex((item) => item.contains(target));
    const [across, down] = step;
    const way = getComputedStyle(this).direction === "rtl" ? -across : across;
    const there = across ? items[here + way] : this.#neighbour(items, here, down);
    if (!there) return;
    event.preventDefault();
    const { act } = target.dataset;
    const same = act && there.querySelector(`.act[data-act="${act}"]:not([hidden])`);
    (same instanceof HTMLElement ? same : find(there, ".card-title")).focus();
  }

  /**
   * The nearest item in the row above or below.
   *
   * @param {Element[]} items
   * @param {number} here
   * @param {number} down 1 or -1.
   */
  #neighbour(items, here, down) {
    const box = (/** @type {Element} */ item) => item.getBoundingClientRect();
    const own = box(items[here]);
    const middle = own.x + own.width / 2;
    const rows = items.filter((item) =>
      down > 0 ? box(item).y >= own.bottom - 4 : box(item).bottom <= own.y + 4,
    );
    const far = (/** @type {Element} */ item) =>
      Math.abs(box(item).y - own.y) * 3 + Math.abs(box(item).x + box(item).width / 2 - middle);
    return rows.sort((a, b) => far(a) - far(b))[0];
  }
}

/**
 * A change of the list in a sentence, for screen readers.
 *
 * @param {Counts} counts
 * @param {RankedFilm[]} films
 */
export const tellChange = ({ moved, fresh }, films) => {
  const counts = [moved && t("list.moved", { n: moved }), fresh && t("list.new", { n: fresh })];
  const parts = counts.filter(Boolean);
  const first = films[0] ? t("list.first", { title: films[0].title }) : "";
  return [t("list.updated"), parts.length ? `${parts.join(", ")}.` : "", first].filter(Boolean).join(" ");
};

customElements.define("mr-shelf", Shelf);
