// @ts-check
// The person whose list is shown. A user's events go to the service; a visitor's stay in the browser.
import { api, ApiError } from "./api.js";
import { t } from "./i18n.js";
import { visitor } from "./visitor.js";

/**
 * @import { EventType } from "./api.js"
 * @import { Film } from "./films.js"
 * @import { Knobs, Route } from "./route.js"
 * @typedef {Pick<Film, "movie_id" | "title">} Named
 * @typedef {{ movie: Named, event_type: EventType, rating?: number, event_id?: string }} Said A verdict on a
 *   film. `event_id` names a user's event, so that an undo withdraws this one and no other.
 * @typedef {{ rankingId?: string, rating?: number, eventId?: string }} SayOptions
 *   `rankingId`: the ranking that showed the film. `eventId`: for sending the same event again.
 * @typedef {User | Visitor} Audience
 */

/** Maximum number of verdicts that the page asks for. */
const REMEMBERED = 60;

/** An id for one event: the service counts an event that is sent twice only once. */
export const newEventId = () =>
  [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** @param {Knobs} knobs */
const filtersOf = ({ genres, from, to, runtime, language }) => {
  const filters = {
    ...(genres.length && { genres_any: genres }),
    ...(from && { year_min: from }),
    ...(to && { year_max: to }),
    ...(runtime && { runtime_max: runtime }),
    ...(language && { languages: [language] }),
  };
  return Object.keys(filters).length ? { filters } : {};
};

/**
 * @typedef {{ k: number, filters?: object, diversity?: number }} RankBody
 * @param {Knobs} knobs
 * @param {object} more
 * @returns {RankBody}
 */
const rankBody = (knobs, more) => ({
  k: knobs.k,
  ...filtersOf(knobs),
  ...(knobs.variety && { diversity: knobs.variety }),
  ...more,
});

/** @type {Promise<unknown>} */
let last = Promise.resolve();
/**
 * Sends events one after another, so an undo never overtakes the event that it withdraws.
 *
 * @param {() => Promise<unknown>} send
 */
const inTurn = (send) => {
  last = last.then(send, send);
  return last;
};

/** Tells "said" when another tab of this browser sent an event; `detail` is the key of the audience. */
export const elsewhere = new EventTarget();
/** @param {string} key */
const tellHere = async (key) => {
  await [...users.values()].find((user) => user.key === key)?.reload();
  elsewhere.dispatchEvent(new CustomEvent("said", { detail: key }));
};
/** @type {Map<number, User>} */
const users = new Map();
const tabs = new BroadcastChannel("movierank");
tabs.addEventListener("message", ({ data }) => tellHere(data));
visitor.addEventListener("elsewhere", () => tellHere("visitor"));

class User extends EventTarget {
  /** @type {false} */
  isVisitor = false;

  /** @param {number} id */
  constructor(id) {
    super();
    this.id = id;
    this.key = `user ${id}`;
    this.name = t("who.user", { id: String(id) });
    /** @type {Said[]} */
    this.said = [];
    /** Counts changes, so that an answer that was asked for before one is not used. */
    this.changes = 0;
    this.reload();
  }

  /**
   * @param {Knobs} knobs
   * @param {object} [more] Further fields of the request.
   */
  body(knobs, more = {}) {
    return rankBody(knobs, { user_id: this.id, ...more });
  }

  /** Reads the verdicts that the service has, newest last; other tabs and devices sent some of these. */
  async reload() {
    const { changes } = this;
    try {
      const { results } = await api.verdicts(this.id, REMEMBERED);
      if (changes !== this.changes) return;
      this.#note(
        results
          .map(({ movie_id, title, event_type, event_id, value }) => ({
            movie: { movie_id, title: title ?? String(movie_id) },
            event_type,
            event_id,
            ...(value !== null && { rating: value }),
          }))
          .reverse(),
      );
    } catch (error) {
      // The verdicts that are known stay. The list reports the failure.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** @param {Said[]} entries */
  #note(entries) {
    this.changes += 1;
    this.said = entries.slice(-REMEMBERED);
    this.dispatchEvent(new Event("change"));
  }

  /**
   * Resolves when the service has stored the event.
   *
   * @param {Named} movie
   * @param {EventType} eventType
   * @param {SayOptions} [options]
   */
  async say({ movie_id, title }, eventType, { rankingId, rating, eventId = newEventId() } = {}) {
    const before = this.said.find(({ movie }) => movie.movie_id === movie_id)?.event_id;
    const event = {
      user_id: this.id,
      movie_id,
      event_type: eventType,
      event_id: eventId,
      ...(rankingId && { ranking_id: rankingId }),
      ...(rating && { value: rating }),
      ...(eventType === "undo" && before && { undoes: before }),
    };
    await inTurn(() => api.feedback(event));
    tabs.postMessage(this.key);
    const others = this.said.filter((entry) => entry.movie.movie_id !== movie_id);
    if (eventType === "undo") {
      this.#note(others);
      await this.reload(); // An earlier verdict on the film may stand again.
    } else if (eventType !== "click")
      this.#note([...others, { movie: { movie_id, title }, event_type: eventType, event_id: eventId }]);
  }

  /** @param {Named} movie */
  undo(movie) {
    return this.say(movie, "undo");
  }
}

class Visitor extends EventTarget {
  /** @type {true} */
  isVisitor = true;
  id = null;
  key = "visitor";
  name = t("who.visitor");

  constructor() {
    super();
    visitor.addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  /**
   * @param {Knobs} knobs
   * @param {object} [more] Further fields of the request.
   */
  body(knobs, more = {}) {
    return rankBody(knobs, { history: visitor.events(), ...more });
  }

  /** @returns {Said[]} */
  get said() {
    return visitor.said;
  }

  /**
   * @param {Film} movie
   * @param {EventType} eventType
   * @param {SayOptions} [options]
   */
  async say(movie, eventType, { rating } = {}) {
    if (eventType !== "click") visitor.say(movie, eventType, rating);
  }

  /** @param {Named} movie */
  async undo(movie) {
    visitor.unsay(movie.movie_id);
  }
}

const theVisitor = new Visitor();

/**
 * The audience of a route; always the same object for the same person.
 *
 * @param {Pick<Route, "user">} route
 * @returns {Audience}
 */
export const audienceOf = ({ user }) => {
  if (user === null) return theVisitor;
  const known = users.get(user) ?? new User(user);
  users.set(user, known);
  return known;
};
