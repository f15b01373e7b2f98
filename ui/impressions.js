// @ts-check
// Impressions: tells the service which films of a ranking came into view, and no others.
import { api, ApiError } from "./api.js";

/** @import { Ranking } from "./api.js" */

/** How long films are collected before they are told, in milliseconds. */
const COLLECT_MS = 1000;
/** The share of a film's box that must be in view; of the window's height, if the box is higher than that. */
const IN_VIEW = 0.5;

/** Films in view that are not told yet, by ranking. @type {Map<Ranking, Set<number>>} */
const pending = new Map();
/** Films that are told. @type {WeakMap<Ranking, Set<number>>} */
const told = new WeakMap();
let timer = 0;

const tell = () => {
  clearTimeout(timer);
  timer = 0;
  for (const [{ ranking_id, user_id }, movies] of pending)
    api.shown({ ranking_id, user_id, movie_ids: [...movies] }).catch((error) => {
      // Nothing that a person sees depends on it.
      if (!(error instanceof ApiError)) throw error;
    });
  pending.clear();
};
addEventListener("pagehide", tell);
document.addEventListener("visibilitychange", () => document.hidden && tell());

/** The film of an element that is watched. @type {WeakMap<Element, { ranking: Ranking, movieId: number }>} */
const films = new WeakMap();
const watch = new IntersectionObserver(
  (entries) => {
    for (const { intersectionRatio, intersectionRect, rootBounds, target } of entries) {
      const film = films.get(target);
      const isFilling = rootBounds !== null && intersectionRect.height >= rootBounds.height * IN_VIEW;
      if (!film || (intersectionRatio < IN_VIEW && !isFilling)) continue;
      watch.unobserve(target);
      saw(film.ranking, film.movieId);
    }
  },
  { threshold: [0.1, 0.2, 0.3, 0.4, IN_VIEW] },
);

/**
 * @param {Ranking} ranking
 * @param {number} movieId
 */
const saw = (ranking, movieId) => {
  const seen = told.get(ranking) ?? new Set();
  if (seen.has(movieId)) return;
  told.set(ranking, seen.add(movieId));
  pending.set(ranking, (pending.get(ranking) ?? new Set()).add(movieId));
  timer ||= setTimeout(tell, COLLECT_MS);
};

/**
 * Tells of each film of a ranking when its element comes into view. Films of other rankings are left out.
 *
 * @param {Ranking} ranking
 * @param {Iterable<[Element, number]>} elements Elements with their movie ids.
 */
export const tellWhatIsShown = (ranking, elements) => {
  const ranked = new Set(ranking.results.map(({ movie_id }) => movie_id));
  for (const [element, movieId] of elements) {
    watch.unobserve(element);
    films.delete(element);
    if (!ranked.has(movieId)) continue;
    films.set(element, { ranking, movieId });
    watch.observe(element); // Tells of an element that is in view already, too.
  }
};
