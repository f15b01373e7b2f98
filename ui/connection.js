// @ts-check
// Whether the service answers, and which model it serves. Emits "change", "recovered", "model", "newmodel".
import { api, ApiError, onTraffic } from "./api.js";

/**
 * @import { Model, Problem } from "./api.js"
 * @typedef {"ok" | "unreachable" | "no_model"} State
 */

/** Pauses between questions to a service that is away, in milliseconds; the last one repeats. */
const PAUSES_MS = [1000, 1500, 2500, 4000, 6000, 10_000];
/** How often the model is asked for, in milliseconds. */
const MODEL_EVERY_MS = 15_000;
/** Maximum time that a list waits for the names of the model, in milliseconds. */
const NAMES_MS = 2000;

class Connection extends EventTarget {
  /** @type {State} */
  state = "ok";
  /** The problem document of the last failure. @type {Partial<Problem>} */
  problem = {};
  /** The answer of GET /model, once there is one. @type {Model | null} */
  model = null;
  /** @type {Promise<void>} */
  #reading = Promise.resolve();
  #attempts = 0;
  #timer = 0;

  start() {
    onTraffic("answered", () => this.#set("ok"));
    onTraffic("failed", ({ detail }) => {
      if (detail.kind === "unreachable" || detail.kind === "no_model") this.#set(detail.kind, detail.problem);
    });
    addEventListener("online", () => this.probe());
    addEventListener("offline", () => this.#set("unreachable"));
    document.addEventListener("visibilitychange", () => document.hidden || this.readModel());
    setInterval(() => document.hidden || this.state !== "ok" || this.readModel(), MODEL_EVERY_MS);
    this.readModel();
  }

  /**
   * @param {State} state
   * @param {Partial<Problem>} problem
   */
  #set(state, problem = {}) {
    const before = this.state;
    this.state = state;
    this.problem = problem;
    if (state !== "ok" && !this.#timer) {
      const pause = PAUSES_MS[Math.min(this.#attempts, PAUSES_MS.length - 1)];
      this.#timer = setTimeout(() => this.probe(), pause);
    }
    if (state === "ok") {
      clearTimeout(this.#timer);
      this.#timer = 0;
      this.#attempts = 0;
    }
    if (before === state) return;
    this.dispatchEvent(new Event("change"));
    if (before !== "ok" && state === "ok") {
      this.readModel();
      this.dispatchEvent(new Event("recovered"));
    }
  }

  /** Asks now whether the service is ready. */
  async probe() {
    clearTimeout(this.#timer);
    this.#timer = 0;
    this.#attempts += 1;
    try {
      await api.ready();
      this.#set("ok");
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      this.#set(error.kind === "no_model" ? "no_model" : "unreachable", error.problem);
    }
  }

  /** Reads which model is served. Tells "model", and "newmodel" where the version has changed. */
  readModel() {
    this.#reading = this.#read();
    return this.#reading;
  }

  async #read() {
    try {
      const before = this.model;
      this.model = await api.model();
      this.dispatchEvent(new Event("model"));
      if (before && before.model_version !== this.model.model_version)
        this.dispatchEvent(new Event("newmodel"));
    } catch (error) {
      // The page keeps the model that it knows; requests that matter report their own failures.
      if (!(error instanceof ApiError)) throw error;
    }
  }

  /** Resolves when the names of the model are known, or when it is better to show a list without them. */
  async namesKnown() {
    if (this.model) return;
    await Promise.race([this.#reading, new Promise((resolve) => setTimeout(resolve, NAMES_MS))]);
  }

  /**
   * Takes the version of a ranking, which may be newer than the model that was last read.
   *
   * @param {string} version
   */
  sawVersion(version) {
    if (this.model && version !== this.model.model_version) this.readModel();
  }
}

export const connection = new Connection();
