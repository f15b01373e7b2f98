// @ts-check
// Calls of the service's routes: one function per route, one kind of error.
import { t } from "./i18n.js";

/**
 * @import { components } from "../tests/browser/build/api"
 * @typedef {components["schemas"]} Schemas The shapes of the OpenAPI document.
 * @typedef {Schemas["MovieCard"]} Card
 * @typedef {Schemas["RankedResult"]} RankedFilm
 * @typedef {Schemas["RankResponse"]} Ranking
 * @typedef {Schemas["ExplainResponse"]} Explanation
 * @typedef {Schemas["Movie"]} Movie
 * @typedef {Schemas["User"]} User
 * @typedef {Schemas["ModelInfo"]} Model
 * @typedef {Schemas["FeedbackRequest"]["event_type"]} EventType
 * @typedef {Pick<Schemas["Problem"], "type" | "title" | "status" | "detail" | "remedy">} Problem
 * @typedef {"unreachable" | "no_model" | "unavailable" | "not_found" | "refused" | "broken"} Kind
 * @typedef {{ body?: object, signal?: AbortSignal, quiet?: boolean, keepalive?: boolean,
 *   read?: (text: string) => any }} Options
 *   `quiet` requests do not tell of the connection; `keepalive` ones outlive the page; `read` decodes the answer
 *   (default: as JSON).
 */

/** Maximum time to wait for an answer, in milliseconds. */
const TIMEOUT_MS = 15_000;

/**
 * Why there is no answer.
 *
 * `unreachable`: no connection, or a proxy without a service. `no_model`: nothing is loaded. `unavailable`:
 * a part of the service is away. `refused`: the request was wrong. `broken`: the service failed.
 */
export class ApiError extends Error {
  /**
   * @param {Kind} kind
   * @param {Partial<Problem>} [problem]
   */
  constructor(kind, problem = {}) {
    super(problem.detail || problem.title || kind);
    this.kind = kind;
    this.problem = problem;
  }
}

/**
 * @param {number} status
 * @param {Problem | null} problem
 * @returns {Kind}
 */
const kindOf = (status, problem) => {
  if (status === 503 && problem) return problem.type?.endsWith(":no-model") ? "no_model" : "unavailable";
  if (status === 502 || status === 503 || status === 504) return "unreachable";
  if (status === 404) return "not_found";
  return status < 500 ? "refused" : "broken";
};

const listeners = new EventTarget();

/**
 * Listens to "answered" and "failed"; `detail` of the latter is the ApiError.
 *
 * @param {"answered" | "failed"} type
 * @param {(event: CustomEvent<ApiError>) => void} listener
 */
export const onTraffic = (type, listener) =>
  listeners.addEventListener(type, /** @type {EventListener} */ (listener));

/**
 * @param {ApiError} failure
 * @param {boolean} quiet
 */
const fail = (failure, quiet) => {
  if (!quiet) listeners.dispatchEvent(new CustomEvent("failed", { detail: failure }));
  throw failure;
};

/**
 * @param {string} method
 * @param {string} path
 * @param {Options} options
 */
const request = async (method, path, options = {}) => {
  const { body, signal, quiet = false, keepalive = false, read = JSON.parse } = options;
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let text;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      keepalive,
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    return fail(new ApiError("unreachable"), quiet);
  }
  if (!response.ok) {
    const problem = problemOf(text);
    return fail(
      new ApiError(kindOf(response.status, problem), problem ?? { status: response.status }),
      quiet,
    );
  }
  if (!quiet) listeners.dispatchEvent(new CustomEvent("answered"));
  try {
    return text ? read(text) : null;
  } catch {
    return fail(new ApiError("broken", { detail: t("state.unreadable") }), quiet);
  }
};

/**
 * The problem document of an answer; null where a proxy answered something else.
 *
 * @param {string} text
 * @returns {Problem | null}
 */
const problemOf = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
};

/** @param {Record<string, string | number | undefined>} values */
const query = (values) => {
  const given = Object.entries(values).filter(([, value]) => value !== undefined);
  return new URLSearchParams(given.map(([name, value]) => [name, String(value)]));
};

export const api = {
  /** @type {(body: object, signal?: AbortSignal) => Promise<Ranking>} */
  rank: (body, signal) => request("POST", "rank", { body, signal }),
  /** @type {(body: object, signal?: AbortSignal) => Promise<Explanation>} */
  explain: (body, signal) => request("POST", "explain", { body, signal }),
  /** @type {(id: number, signal?: AbortSignal) => Promise<Movie>} */
  movie: (id, signal) => request("GET", `movie/${id}`, { signal }),
  /** @type {(id: number, signal?: AbortSignal) => Promise<Schemas["SimilarMovies"]>} */
  similar: (id, signal) => request("GET", `movie/${id}/similar`, { signal }),
  /** @type {(text: string, limit: number, signal?: AbortSignal) => Promise<Schemas["MovieList"]>} */
  movies: (text, limit, signal) => request("GET", `movies?${query({ query: text, limit })}`, { signal }),
  /** @type {(text: string, limit: number, signal?: AbortSignal) => Promise<Schemas["UserList"]>} */
  users: (text, limit, signal) => request("GET", `users?${query({ query: text, limit })}`, { signal }),
  /** @type {(id: number, signal?: AbortSignal) => Promise<User>} */
  user: (id, signal) => request("GET", `users/${id}`, { signal }),
  /** @type {(id: number, limit: number) => Promise<Schemas["Verdicts"]>} */
  verdicts: (id, limit) => request("GET", `users/${id}/verdicts?${query({ limit })}`, { quiet: true }),
  /** @type {(id: number) => Promise<Schemas["Forgotten"]>} */
  forget: (id) => request("DELETE", `users/${id}`),
  /** @type {(body: object) => Promise<Schemas["FeedbackResponse"]>} */
  feedback: (body) => request("POST", "feedback", { body }),
  /** @type {(body: Schemas["ImpressionsRequest"]) => Promise<Schemas["ImpressionsResponse"]>} */
  shown: (body) => request("POST", "impressions", { body, quiet: true, keepalive: true }),
  /** @type {(signal?: AbortSignal) => Promise<Model>} */
  model: (signal) => request("GET", "model", { signal, quiet: true }),
  /** @type {(signal?: AbortSignal) => Promise<string>} */
  metrics: (signal) => request("GET", "metrics", { signal, quiet: true, read: String }),
  /** @type {() => Promise<Schemas["Health"]>} */
  ready: () => request("GET", "health/ready", { quiet: true }),
};

/** @param {unknown} error */
export const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";
