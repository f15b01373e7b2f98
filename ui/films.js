// What the page knows of films: every card it has seen, and the titles it had to ask for.
import { api } from "./api.js";

const known = new Map();
const asked = new Map();

export const remember = (cards) => {
  for (const card of cards) known.set(card.movie_id, { ...known.get(card.movie_id), ...card });
};

export const cardOf = (movieId) => known.get(movieId);
export const titleOf = (movieId) => known.get(movieId)?.title;

/** Asks for the films that are not known yet; a film that cannot be had is left out. */
export const learn = async (movieIds, signal) => {
  const missing = [...new Set(movieIds)].filter((id) => !known.has(id));
  for (const id of missing) {
    if (!asked.has(id)) asked.set(id, api.movie(id, signal).then((movie) => remember([movie]), () => asked.delete(id)));
  }
  await Promise.all(missing.map((id) => asked.get(id)));
  return missing.length > 0;
};

/** Genres seen so far, in alphabetical order: the choices of the genre filter. */
export const genresSeen = () => [...new Set([...known.values()].flatMap((card) => card.genres ?? []))].sort();
