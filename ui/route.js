// @ts-check
// The reader's place, as the address says it: view, person, film, settings.

/**
 * @typedef {object} Knobs The settings of a list.
 * @property {string[]} genres At least one of these; empty for any.
 * @property {number | null} from First year.
 * @property {number | null} to Last year.
 * @property {number | null} runtime Maximum length, in minutes.
 * @property {string | null} language ISO 639-1 code.
 * @property {number} variety From 0 (by score alone) to 1.
 * @property {number} k How many films.
 *
 * @typedef {"foryou" | "start" | "profile" | "compare" | "behind"} ViewName
 *
 * @typedef {object} Route
 * @property {ViewName | null} view
 * @property {number | null} user Null for a visitor.
 * @property {number | null} movie The film that is open.
 * @property {string | null} picks Favourites of a shared link.
 * @property {"challenger" | null} against Whether two versions are compared.
 * @property {Knobs} knobs
 * @property {Knobs} other The settings of the second list of a comparison.
 *
 * @typedef {Partial<Omit<Route, "user" | "movie">> & { user?: number | null, movie?: number | null }} Changes
 */

/** @type {Knobs} */
export const NO_KNOBS = {
  genres: [],
  from: null,
  to: null,
  runtime: null,
  language: null,
  variety: 0,
  k: 24,
};
/** @type {ViewName[]} */
const VIEWS = ["foryou", "start", "profile", "compare", "behind"];

/**
 * @param {string | null} text
 * @param {number} low
 * @param {number} high
 */
const whole = (text, low, high) => {
  const value = Number(text);
  return text && Number.isInteger(value) && value >= low && value <= high ? value : null;
};

/**
 * The settings in an address. Values that make no sense count as not set.
 *
 * @param {URLSearchParams} parameters
 * @param {string} prefix
 * @returns {Knobs}
 */
const readKnobs = (parameters, prefix = "") => {
  const get = (/** @type {string} */ name) => parameters.get(prefix + name);
  return {
    genres: (get("genres") ?? "").split(",").filter(Boolean),
    from: whole(get("from"), 1870, 2100),
    to: whole(get("to"), 1870, 2100),
    runtime: whole(get("runtime"), 1, 1000),
    language: /^[a-z]{2}$/.test(get("language") ?? "") ? get("language") : null,
    variety: Math.min(1, Math.max(0, Number(get("variety")) || 0)),
    k: whole(get("k"), 1, 500) ?? NO_KNOBS.k,
  };
};

/**
 * @param {URLSearchParams} parameters
 * @param {Knobs} knobs
 * @param {string} prefix
 */
const writeKnobs = (parameters, knobs, prefix = "") => {
  for (const name of /** @type {(keyof Knobs)[]} */ (Object.keys(knobs))) {
    const value = knobs[name];
    const text = Array.isArray(value) ? value.join(",") : value;
    if (!text || value === NO_KNOBS[name]) parameters.delete(prefix + name);
    else parameters.set(prefix + name, String(text));
  }
};

/** @returns {Route} */
export const read = () => {
  const parameters = new URLSearchParams(location.search);
  return {
    view: VIEWS.find((view) => view === parameters.get("view")) ?? null,
    user: whole(parameters.get("user"), 0, Number.MAX_SAFE_INTEGER),
    movie: whole(parameters.get("movie"), 0, Number.MAX_SAFE_INTEGER),
    picks: parameters.get("picks"),
    against: parameters.get("against") === "challenger" ? "challenger" : null,
    knobs: readKnobs(parameters),
    other: readKnobs(parameters, "b-"),
  };
};

/**
 * The address after some changes. Null removes a part.
 *
 * @param {Changes} changes
 */
export const href = ({ knobs, other, ...plain }) => {
  const parameters = new URLSearchParams(location.search);
  for (const [name, value] of Object.entries(plain)) {
    if (value === null) parameters.delete(name);
    else parameters.set(name, String(value));
  }
  if (knobs) writeKnobs(parameters, knobs);
  if (other) writeKnobs(parameters, other, "b-");
  const text = parameters.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : location.pathname;
};

/**
 * The state of the next entry of the browser's history: how many films were opened one from another since the
 * list was in view. Null where the visit began with a film.
 *
 * @param {string} address
 */
const stateFor = (address) => {
  const opensFilm = new URL(address, document.baseURI).searchParams.has("movie");
  const films = history.state?.films;
  return { films: opensFilm ? (Number.isInteger(films) ? films + 1 : null) : 0 };
};

/** @param {string} address */
const follow = (address) => {
  history.pushState(stateFor(address), "", address);
  dispatchEvent(new Event("routechange"));
};

/**
 * Goes to another address. `replace` leaves no step to go back to.
 *
 * @param {Changes} changes
 */
export const go = (changes, { replace = false } = {}) => {
  const address = href(changes);
  if (!replace) {
    follow(address);
    return;
  }
  history.replaceState(history.state, "", address);
  dispatchEvent(new Event("routechange"));
};

/** Leaves the film view for the list it was opened from. */
export const leaveFilm = () => {
  if (history.state?.films) history.go(-history.state.films);
  else go({ movie: null });
};

/** Follows links inside the page without loading it again, and the browser's back and forward. */
export const start = () => {
  if (!history.state && read().movie === null) history.replaceState({ films: 0 }, "");
  addEventListener("popstate", () => dispatchEvent(new Event("routechange")));
  document.addEventListener("click", (event) => {
    const link = event.target instanceof Element ? event.target.closest("a[href^='?']") : null;
    const isPlain = !event.button && !event.metaKey && !event.ctrlKey && !event.shiftKey;
    if (!link || event.defaultPrevented || !isPlain) return;
    event.preventDefault();
    follow(link.getAttribute("href") ?? "");
  });
};
