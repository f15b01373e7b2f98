// Where the reader is, in the address: the view, whose list, which film, which settings.

export const NO_KNOBS = { genres: [], from: null, to: null, runtime: null, language: null, variety: 0, k: 24 };
const VIEWS = ["foryou", "start", "profile", "compare", "behind"];

const whole = (text, low, high) => {
  const value = Number(text);
  return text && Number.isInteger(value) && value >= low && value <= high ? value : null;
};

/** The knobs in a set of parameters; what makes no sense counts as not set. */
export const readKnobs = (parameters, prefix = "") => {
  const get = (name) => parameters.get(prefix + name);
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

const writeKnobs = (parameters, knobs, prefix = "") => {
  for (const [name, value] of Object.entries(knobs)) {
    const text = Array.isArray(value) ? value.join(",") : value;
    if (!text || value === NO_KNOBS[name]) parameters.delete(prefix + name);
    else parameters.set(prefix + name, text);
  }
};

export const read = () => {
  const parameters = new URLSearchParams(location.search);
  const view = parameters.get("view");
  return {
    view: VIEWS.includes(view) ? view : null,
    user: whole(parameters.get("user"), 0, Number.MAX_SAFE_INTEGER),
    movie: whole(parameters.get("movie"), 0, Number.MAX_SAFE_INTEGER),
    picks: parameters.get("picks"),
    against: parameters.get("against") === "challenger" ? "challenger" : null,
    knobs: readKnobs(parameters),
    other: readKnobs(parameters, "b-"),
  };
};

/** The address after some changes: {view, user, movie, picks, against, knobs, other}; null takes a part away. */
export const href = (changes) => {
  const parameters = new URLSearchParams(location.search);
  const { knobs, other, ...plain } = changes;
  for (const [name, value] of Object.entries(plain)) {
    if (value === null) parameters.delete(name);
    else parameters.set(name, value);
  }
  if (knobs) writeKnobs(parameters, knobs);
  if (other) writeKnobs(parameters, other, "b-");
  const text = parameters.toString().replaceAll("%2C", ",");
  return text ? `?${text}` : location.pathname;
};

// How many films were opened one from another since the list was last in view; null where there was no list.
const stateFor = (address) => {
  const opensFilm = new URL(address, document.baseURI).searchParams.has("movie");
  const films = history.state?.films;
  return { films: opensFilm ? (Number.isInteger(films) ? films + 1 : null) : 0 };
};

const follow = (address) => {
  history.pushState(stateFor(address), "", address);
  dispatchEvent(new Event("routechange"));
};

/** Goes there; `replace` leaves no step to go back to. */
export const go = (changes, { replace = false } = {}) => {
  const address = href(changes);
  if (!replace) {
    follow(address);
    return;
  }
  history.replaceState(history.state, "", address);
  dispatchEvent(new Event("routechange"));
};

/** Leaves the film view, to the list it was opened from. */
export const leaveFilm = () => {
  if (history.state?.films) history.go(-history.state.films);
  else go({ movie: null });
};

/** Follows links inside the page without loading it again, and the browser's back and forward. */
export const start = () => {
  if (!history.state && read().movie === null) history.replaceState({ films: 0 }, "");
  addEventListener("popstate", () => dispatchEvent(new Event("routechange")));
  document.addEventListener("click", (event) => {
    const link = event.target.closest?.("a[href^='?']");
    if (!link || event.defaultPrevented || event.button || event.metaKey || event.ctrlKey || event.shiftKey) return;
    event.preventDefault();
    follow(link.getAttribute("href"));
  });
};
