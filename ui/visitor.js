// @ts-check
// A visitor's history, kept in this browser only: one entry per film, newest last.

/**
 * @import { EventType } from "./api.js"
 * @import { Film } from "./films.js"
 * @typedef {{ movie: Film, event_type: EventType, rating?: number, timestamp: number }} Entry
 *   `timestamp` in seconds since 1970.
 */

const KEY = "movierank.visitor";
/** Maximum number of events in a request. An event has about 70 bytes, and the service takes 64 KiB. */
const SENT = 800;

const nowSeconds = () => Math.floor(Date.now() / 1000);

class Visitor extends EventTarget {
  constructor() {
    super();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#tell();
      this.dispatchEvent(new Event("elsewhere"));
    });
  }

  /** @returns {Entry[]} */
  get said() {
    try {
      const stored = JSON.parse(localStorage.getItem(KEY) ?? "[]");
      return Array.isArray(stored) ? stored.filter((entry) => Number.isInteger(entry?.movie?.movie_id)) : [];
    } catch {
      return [];
    }
  }

  set said(entries) {
    try {
      localStorage.setItem(KEY, JSON.stringify(entries));
    } catch {
      // Storage is full or forbidden, so the next page will not know these entries.
    }
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  /**
   * @param {Film} film
   * @param {EventType} eventType
   * @param {number} [rating]
   */
  say(film, eventType, rating) {
    const { movie_id, title, release_year, genres, poster_url } = film;
    const movie = { movie_id, title, release_year, genres, poster_url };
    /** @type {Entry} */
    const entry = { movie, event_type: eventType, timestamp: nowSeconds(), ...(rating && { rating }) };
    this.said = [...this.said.filter((other) => other.movie.movie_id !== movie_id), entry];
  }

  /** @param {number} movieId */
  unsay(movieId) {
    this.said = this.said.filter(({ movie }) => movie.movie_id !== movieId);
  }

  likes() {
    return this.said
      .filter(({ event_type, rating = 0 }) => event_type === "like" || rating >= 4)
      .map(({ movie }) => movie);
  }

  /** The history as `POST /rank` takes it; only the newest events of a very long one. */
  events() {
    return this.said.slice(-SENT).map(({ movie, event_type, rating, timestamp }) => ({
      movie_id: movie.movie_id,
      event_type,
      timestamp,
      ...(rating && { rating }),
    }));
  }
}

export const visitor = new Visitor();
