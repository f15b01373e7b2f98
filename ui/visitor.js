// A visitor's history, kept in this browser only: what they said of which film, newest last.

const KEY = "movierank.visitor";
// A request may be 64 KiB long and hold 1,000 events; an event takes about 70 bytes.
const SENT = 800;

class Visitor extends EventTarget {
  constructor() {
    super();
    addEventListener("storage", (event) => {
      if (event.key !== KEY) return;
      this.#tell();
      this.dispatchEvent(new Event("elsewhere"));
    });
  }

  /** [{movie: card, event_type, rating?, timestamp}], one per film. */
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
      // Storage is full or forbidden: the list simply does not outlive what it shows.
    }
    this.#tell();
  }

  #tell() {
    this.dispatchEvent(new Event("change"));
  }

  say(card, eventType, rating) {
    const { movie_id, title, release_year, genres, poster_url } = card;
    const entry = { movie: { movie_id, title, release_year, genres, poster_url }, event_type: eventType, timestamp: Math.floor(Date.now() / 1000) };
    this.said = [...this.said.filter(({ movie }) => movie.movie_id !== movie_id), rating ? { ...entry, rating } : entry];
  }

  unsay(movieId) {
    this.said = this.said.filter(({ movie }) => movie.movie_id !== movieId);
  }

  likes() {
    return this.said.filter(({ event_type, rating }) => event_type === "like" || rating >= 4).map(({ movie }) => movie);
  }

  /** The history as `POST /rank` takes it: the newest of it, should it be very long. */
  events() {
    return this.said.slice(-SENT).map(({ movie, event_type, rating, timestamp }) => ({
      movie_id: movie.movie_id, event_type, timestamp, ...(rating ? { rating } : {}),
    }));
  }
}

export const visitor = new Visitor();
