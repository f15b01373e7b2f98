// Whose list it is: a user of the data, whose clicks go to the service, or a visitor, whose stay in the browser.
import { api } from "./api.js";
import { t } from "./i18n.js";
import { visitor } from "./visitor.js";

/** An id for one event, so that sending it again after a lost answer does no harm. */
export const newEventId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

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

const rankBody = (knobs, more) => ({
  k: knobs.k,
  ...filtersOf(knobs),
  ...(knobs.variety && { diversity: knobs.variety }),
  ...more,
});

// Feedback goes out one by one, so that an undo never overtakes what it undoes.
let last = Promise.resolve();
const inTurn = (send) => {
  last = last.then(send, send);
  return last;
};

/** Tells "said" when another tab of this browser said something; detail is the key of whose list it changes. */
export const elsewhere = new EventTarget();
const tellHere = (key) => elsewhere.dispatchEvent(new CustomEvent("said", { detail: key }));
const tabs = new BroadcastChannel("movierank");
tabs.addEventListener("message", ({ data }) => tellHere(data));
visitor.addEventListener("elsewhere", () => tellHere("visitor"));

class User extends EventTarget {
  isVisitor = false;

  constructor(id) {
    super();
    this.id = id;
    this.key = `user ${id}`;
    this.name = t("who.user", { id: String(id) });
    this.storage = `movierank.said.${id}`;
  }

  body(knobs, more = {}) {
    return rankBody(knobs, { user_id: this.id, ...more });
  }

  /** What was said in this tab: [{movie, event_type}], newest last. */
  get said() {
    try {
      return JSON.parse(sessionStorage.getItem(this.storage) ?? "[]");
    } catch {
      return [];
    }
  }

  #note(entries) {
    try {
      sessionStorage.setItem(this.storage, JSON.stringify(entries.slice(-60)));
    } catch {
      // The service has the events; only the strip of undo buttons is lost.
    }
    this.dispatchEvent(new Event("change"));
  }

  /** Resolves once the service holds the event durably. */
  async say(movie, eventType, { requestId, rating, eventId = newEventId() } = {}) {
    const event = {
      user_id: this.id, movie_id: movie.movie_id, event_type: eventType, event_id: eventId,
      ...(requestId && { request_id: requestId }), ...(rating && { value: rating }),
    };
    await inTurn(() => api.feedback(event));
    tabs.postMessage(this.key);
    const others = this.said.filter((entry) => entry.movie.movie_id !== movie.movie_id);
    if (eventType === "undo") this.#note(others);
    else if (eventType !== "click") this.#note([...others, { movie: { movie_id: movie.movie_id, title: movie.title }, event_type: eventType }]);
  }

  undo(movie) {
    return this.say(movie, "undo");
  }
}

class Visitor extends EventTarget {
  isVisitor = true;
  id = null;
  key = "visitor";
  name = t("who.visitor");

  constructor() {
    super();
    visitor.addEventListener("change", () => this.dispatchEvent(new Event("change")));
  }

  body(knobs, more = {}) {
    return rankBody(knobs, { history: visitor.events(), ...more });
  }

  get said() {
    return visitor.said;
  }

  async say(movie, eventType, { rating } = {}) {
    if (eventType !== "click") visitor.say(movie, eventType, rating);
  }

  async undo(movie) {
    visitor.unsay(movie.movie_id);
  }
}

const theVisitor = new Visitor();
const users = new Map();

/** The audience of a route; the same object for the same person. */
export const audienceOf = ({ user }) => {
  if (user === null) return theVisitor;
  if (!users.has(user)) users.set(user, new User(user));
  return users.get(user);
};
