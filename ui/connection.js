// Whether the service answers and which model it serves; notices both going and coming back.
import { api, onTraffic } from "./api.js";

const PATIENCE_MS = [1000, 1500, 2500, 4000, 6000, 10_000];
const MODEL_EVERY_MS = 15_000;

class Connection extends EventTarget {
  /** ok, unreachable or no_model. */
  state = "ok";
  /** What the service said with the last failure: {title, detail, …}. */
  problem = {};
  /** The answer of GET /model, once there is one. */
  model = null;
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

  #set(state, problem = {}) {
    const before = this.state;
    this.state = state;
    this.problem = problem;
    if (state !== "ok" && !this.#timer) {
      const wait = PATIENCE_MS[Math.min(this.#attempts, PATIENCE_MS.length - 1)];
      this.#timer = setTimeout(() => this.probe(), wait);
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
      this.#set(error.kind === "no_model" ? "no_model" : "unreachable", error.problem);
    }
  }

  /** Reads which model is served; tells "model" the first time and "newmodel" when it has changed. */
  async readModel() {
    try {
      const before = this.model;
      this.model = await api.model();
      this.dispatchEvent(new Event("model"));
      if (before && before.model_version !== this.model.model_version) this.dispatchEvent(new Event("newmodel"));
    } catch {
      // The foot keeps what it last knew; requests that matter report their own failures.
    }
  }

  /** Takes note of the version that a ranking came from, which may be newer than the one last read. */
  sawVersion(version) {
    if (this.model && String(version) !== String(this.model.model_version)) this.readModel();
  }
}

export const connection = new Connection();
