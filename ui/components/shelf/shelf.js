// <mr-shelf>: an ordered list of cards that moves in place when the order changes, and says what moved.
import { fill, html } from "../../html.js";
import { t } from "../../i18n.js";
import "../card/card.js";

const CALM = matchMedia("(prefers-reduced-motion: reduce)");
const STEPS = { ArrowRight: [1, 0], ArrowLeft: [-1, 0], ArrowDown: [0, 1], ArrowUp: [0, -1] };

class Shelf extends HTMLElement {
  #items = new Map();

  connectedCallback() {
    if (this.list) return;
    this.list = fill(this, html`<ol class="shelf"></ol>`).firstElementChild;
    this.list.setAttribute("aria-label", this.getAttribute("label"));
    this.list.addEventListener("keydown", (event) => this.#walk(event));
  }

  cardOf(movieId) {
    return this.#items.get(movieId)?.firstElementChild;
  }

  get cards() {
    return [...this.list.children].map((item) => item.firstElementChild);
  }

  /** Grey shapes where cards will be. */
  showLoading(n) {
    this.#items.clear();
    this.setAttribute("aria-busy", "true");
    const blank = html`<li class="place" aria-hidden="true"><div class="card blank"><div class="card-picture"><div class="poster"></div></div><div class="card-text"><p></p><p></p><p></p></div></div></li>`;
    fill(this.list, html`${Array(n).fill(blank)}`);
  }

  /**
   * Shows these results, best first. Cards that carry a verdict stay where they are until the next call
   * that does not keep them; the rest moves around them. Returns {moved, fresh}: how many.
   */
  show(results, { keep = new Set(), animate = true } = {}) {
    const before = [...this.#items.keys()];
    const isFirst = before.length === 0;
    if (isFirst) fill(this.list, html``);
    this.removeAttribute("aria-busy");
    const films = this.#withKept(results, keep, before);
    const places = animate && !CALM.matches && !isFirst ? this.#places() : null;
    const active = document.activeElement;
    const held = this.list.contains(active) ? active : null;
    const heldAt = held ? [...this.list.children].findIndex((item) => item.contains(held)) : -1;
    const counts = this.#arrange(films, before, isFirst);
    if (places) this.#glide(places);
    if (held && document.activeElement !== held) this.#refocus(held, heldAt);
    return counts;
  }

  #withKept(results, keep, before) {
    const films = results.filter((film) => !keep.has(film.movie_id));
    const kept = before.map((id, place) => [id, place]).filter(([id]) => keep.has(id));
    for (const [id, place] of kept) films.splice(Math.min(place, films.length), 0, this.cardOf(id).film);
    return films;
  }

  #arrange(films, before, isFirst) {
    const counts = { moved: 0, fresh: 0 };
    const wanted = new Set(films.map((film) => film.movie_id));
    for (const [id, item] of this.#items) {
      if (wanted.has(id)) continue;
      item.remove();
      this.#items.delete(id);
    }
    const standing = before.filter((id) => wanted.has(id));
    const items = new Map();
    films.forEach((film, place) => {
      const id = film.movie_id;
      const item = this.#items.get(id) ?? this.#made();
      items.set(id, item);
      if (this.list.children[place] !== item) this.#put(item, this.list.children[place] ?? null);
      const card = item.firstElementChild;
      card.film = film;
      const from = standing.indexOf(id);
      const places = from < 0 ? "new" : from - place;
      card.moved = isFirst || card.verdict ? 0 : places;
      if (isFirst) return;
      if (from < 0) counts.fresh += 1;
      else if (places) counts.moved += 1;
    });
    this.#items = items;
    return counts;
  }

  #made() {
    const item = document.createElement("li");
    item.className = "place";
    item.append(document.createElement("mr-card"));
    return item;
  }

  #put(item, reference) {
    if (item.parentNode && this.list.moveBefore) this.list.moveBefore(item, reference);
    else this.list.insertBefore(item, reference);
  }

  // The focus stays on what it was on; if that left, it goes to what took its place.
  #refocus(held, at) {
    if (held.isConnected) held.focus({ preventScroll: true });
    else this.list.children[Math.min(at, this.list.children.length - 1)]?.querySelector(".card-title")?.focus({ preventScroll: true });
  }

  #places() {
    return new Map([...this.#items].map(([id, item]) => [id, item.getBoundingClientRect()]));
  }

  /** Every card glides from where it was (measured before) to where it is. */
  #glide(places) {
    for (const [id, item] of this.#items) {
      const from = places.get(id);
      const to = item.getBoundingClientRect();
      const options = { duration: 480, easing: "cubic-bezier(0.2, 0.7, 0.2, 1)" };
      if (!from) item.animate([{ opacity: 0, transform: "scale(0.94)" }, { opacity: 1, transform: "none" }], options);
      else if (from.x !== to.x || from.y !== to.y) {
        item.animate([{ transform: `translate(${from.x - to.x}px, ${from.y - to.y}px)` }, { transform: "none" }], options);
      }
    }
  }

  #walk(event) {
    const step = STEPS[event.key];
    if (!step || event.ctrlKey || event.metaKey || event.altKey) return;
    const items = [...this.list.children];
    const here = items.findIndex((item) => item.contains(event.target));
    const [across, down] = step;
    const way = getComputedStyle(this).direction === "rtl" ? -across : across;
    const there = across ? items[here + way] : this.#neighbour(items, here, down);
    if (!there) return;
    event.preventDefault();
    const act = event.target.dataset.act;
    (there.querySelector(act && `.act[data-act="${act}"]:not([hidden])`) ?? there.querySelector(".card-title")).focus();
  }

  #neighbour(items, here, down) {
    const box = (item) => item.getBoundingClientRect();
    const own = box(items[here]);
    const middle = own.x + own.width / 2;
    const rows = items.filter((item) => (down > 0 ? box(item).y >= own.bottom - 4 : box(item).bottom <= own.y + 4));
    const far = (item) => Math.abs(box(item).y - own.y) * 3 + Math.abs(box(item).x + box(item).width / 2 - middle);
    return rows.sort((a, b) => far(a) - far(b))[0];
  }
}

/** What a change of the list means, in a sentence for those who do not see it. */
export const tellChange = ({ moved, fresh }, films) => {
  const parts = [moved && t("list.moved", { n: moved }), fresh && t("list.new", { n: fresh })].filter(Boolean);
  const first = films[0] ? t("list.first", { title: films[0].title }) : "";
  return [t("list.updated"), parts.length ? `${parts.join(", ")}.` : "", first].filter(Boolean).join(" ");
};

customElements.define("mr-shelf", Shelf);
