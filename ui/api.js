// The service, and nothing else: one function per route, one kind of error.

const TIMEOUT_MS = 15_000;

/** Why an answer is missing: unreachable, no_model, unavailable (a part is), not_found, refused (our request) or broken. */
export class ApiError extends Error {
  constructor(kind, problem = {}) {
    super(problem.detail || problem.title || kind);
    this.kind = kind;
    this.problem = problem;
  }
}

const kindOf = (status, problem) => {
  if (status === 503 && problem) return problem.type?.endsWith(":no-model") ? "no_model" : "unavailable";
  if (status === 502 || status === 503 || status === 504) return "unreachable";
  if (status === 404) return "not_found";
  return status < 500 ? "refused" : "broken";
};

const listeners = new EventTarget();
/** "answered" and "failed" events, for what watches the connection; detail is the ApiError of a failure. */
export const onTraffic = (type, listener) => listeners.addEventListener(type, listener);
const tell = (type, detail) => listeners.dispatchEvent(new CustomEvent(type, { detail }));

const request = async (method, path, { body, signal, quiet = false, read = JSON.parse } = {}) => {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response;
  let answer = null;
  try {
    response = await fetch(new URL(path, document.baseURI), {
      method,
      headers: body ? { "Content-Type": "application/json" } : {},
      body: body && JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
    });
    const text = await response.text();
    if (text) answer = response.ok ? read(text) : JSON.parse(text);
  } catch (error) {
    if (signal?.aborted) throw error;
    if (response && !(error instanceof SyntaxError)) response = undefined;
    if (!response) {
      const failure = new ApiError("unreachable", {});
      if (!quiet) tell("failed", failure);
      throw failure;
    }
  }
  if (response.ok) {
    if (!quiet) tell("answered");
    return answer;
  }
  const failure = new ApiError(kindOf(response.status, answer), answer ?? { status: response.status });
  if (!quiet) tell("failed", failure);
  throw failure;
};

const query = (values) => new URLSearchParams(Object.entries(values).filter(([, value]) => value !== undefined));

export const api = {
  rank: (body, signal) => request("POST", "rank", { body, signal }),
  explain: (body, signal) => request("POST", "explain", { body, signal }),
  movie: (id, signal) => request("GET", `movie/${id}`, { signal }),
  similar: (id, signal) => request("GET", `movie/${id}/similar`, { signal }),
  movies: (text, limit, signal) => request("GET", `movies?${query({ query: text, limit })}`, { signal }),
  users: (text, limit, signal) => request("GET", `users?${query({ query: text, limit })}`, { signal }),
  user: (id, signal) => request("GET", `users/${id}`, { signal }),
  forget: (id) => request("DELETE", `users/${id}`),
  feedback: (body) => request("POST", "feedback", { body }),
  model: (signal) => request("GET", "model", { signal, quiet: true }),
  metrics: (signal) => request("GET", "metrics", { signal, quiet: true, read: String }),
  ready: () => request("GET", "health/ready", { quiet: true }),
};

export const isAbort = (error) => error?.name === "AbortError";
