// @ts-check
// The films that the page knows: every card it has seen, and the films it asked for by id.
import { api } from "./api.js";

/**
 * @import { Card } from "./api.js"
 * @typedef {Pick<Card, "movie_id" | "title" | "release_year" | "genres" | "poster_url">} Film
 *   The facts that posters and lists need.
 */

/** @type {Map<number, Film>} */
const known = new Map();
/** @type {Map<number, Promise<unknown>>} */
const asked = new Map();

/** @param {Iterable<Film>} films */
export const remember = (films) => {
  for (const film of films) known.set(film.movie_id, { ...known.get(film.movie_id), ...film });
};

/** @param {number} movieId */
export const cardOf = (movieId) => known.get(movieId);
/** @param {number} movieId */
export const titleOf = (movieId) => known.get(movieId)?.title;

/**
 * Asks for the films that are not known yet. Films that the service does not give are left out.
 *
 * @param {number[]} movieIds
 * @param {AbortSignal} [signal]
 * @returns {Promise<boolean>} Whether any film was missing.
 */
export const learn = async (movieIds, signal) => {
  const missing = [...new Set(movieIds)].filter((id) => !known.has(id));
  for (const id of missing) {
    if (asked.has(id)) continue;
    const asking = api.movie(id, signal).then(
      (movie) => remember([movie]),
      () => asked.delete(id),
    );
    asked.set(id, asking);
  }
  await Promise.all(missing.map((id) => asked.get(id)));
  return missing.length > 0;
};

/** The genres of all known films, in alphabetical order: the choices of the genre filter. */
export const genresSeen = () => [...new Set([...known.values()].flatMap((film) => film.genres ?? []))].sort();
