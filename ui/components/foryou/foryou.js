// @ts-check
// <mr-foryou>: the list of one person. It loads the list, sends verdicts, and moves the list in place.
import { api, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { genresSeen, learn, remember } from "../../films.js";
import { fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { has, list as listed, t } from "../../i18n.js";
import { timings } from "../../timings.js";
import { moviesIn } from "../../names.js";
import { go, href, NO_KNOBS } from "../../route.js";
import { audienceOf, elsewhere, newEventId } from "../../audience.js";
import { announce, toast } from "../toast/toast.js";
import { contentOf } from "../notice/notice.js";
import { tellChange } from "../shelf/shelf.js";
import "../knobs/knobs.js";
import "../recent/recent.js";
import "../rows/rows.js";

/**
 * @import { Ranking, RankedFilm } from "../../api.js"
 * @import { Audience, Named } from "../../audience.js"
 * @import { Film } from "../../films.js"
 * @import { Knobs, Route } from "../../route.js"
 * @import { VerdictDetail } from "../card/card.js"
 */

/** How long a list may take before the page says that it is slow, in milliseconds. */
const SLOW_MS = 2500;
/** Pause before a list that lacks the newest events is asked for again, in milliseconds. */
const AGAIN_MS = 5000;

export class ForYou extends HTMLElement {
  /** @type {AbortController | null} */
  #abort = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #again;
  /** The person and settings of the list, as one text. */
  #loaded = "";
  /** Films with a verdict that stay where they are. @type {Set<number>} */
  #kept = new Set();
  /** @type {Ranking | null} */
  #answer = null;
  #changes = new AbortController();
  /** The event ids of verdicts that are not saved yet, by movie id. @type {Map<number, string>} */
  #unsent = new Map();
  /** @type {Audience} */
  audience;
  /** @type {Knobs} */
  knobs;
  /** @type {HTMLElementTagNameMap["mr-shelf"]} */
  shelf;
  /** @type {HTMLElementTagNameMap["mr-knobs"]} */
  knobsView;
  /** @type {HTMLElementTagNameMap["mr-recent"]} */
  recent;

  connectedCallback() {
    const signal = this.#changes.signal;
    connection.addEventListener("recovered", () => this.#recover(), { signal });
    connection.addEventListener("newmodel", () => this.#load({ calm: true }), { signal });
    connection.addEventListener("model", () => this.#tellReasons(), { signal });
    const saidElsewhere = (/** @type {Event} */ event) =>
      event instanceof CustomEvent && event.detail === this.audience.key && this.#load({ calm: true });
    elsewhere.addEventListener("said", saidElsewhere, { signal });
    this.addEventListener("verdict", ({ detail }) => this.#say(detail));
    this.addEventListener("undo", ({ detail }) => this.#undo(detail.movie));
    this.addEventListener("opened", ({ detail }) => this.#opened(detail.movie));
    this.addEventListener("clear", () => this.#startOver());
    this.addEventListener("knobs", ({ detail }) => go({ knobs: detail }));
    this.addEventListener("retry", () => this.#load());
  }

  disconnectedCallback() {
    this.#changes.abort();
    this.#abort?.abort();
    clearTimeout(this.#again);
  }

  /**
   * Shows the list of an address. Another person or other settings load it again.
   *
   * @param {Route} route
   */
  set route(route) {
    const key = JSON.stringify([route.user, route.knobs]);
    if (key === this.#loaded) return;
    const samePerson = this.audience === audienceOf(route);
    this.#loaded = key;
    this.knobs = route.knobs;
    this.audience = audienceOf(route);
    if (!samePerson) this.#build();
    this.knobsView.show(this.knobs, genresSeen());
    this.#kept.clear();
    this.#load({ calm: samePerson && Boolean(this.#answer) });
  }

  #build() {
    this.#answer = null;
    const { isVisitor, id } = this.audience;
    const title = isVisitor ? t("list.title.visitor") : t("list.title.user", { id: String(id) });
    document.title = `${title} · ${t("app.name")}`;
    fill(
      this,
      html`<header class="view-head">
          <div>
            <h1 tabindex="-1">${title}</h1>
            <p class="taste">&nbsp;</p>
          </div>
        </header>
        <div class="tools">
          <mr-knobs></mr-knobs
          ><a class="button" href="${href({ view: "profile", movie: null })}"
            >${icons.person}<span>${t("list.profile")}</span></a
          >
          ${
            isVisitor &&
            html`<button type="button" class="button" data-share>
              ${icons.share}<span>${t("list.share")}</span>
            </button>`
          }
          <mr-recent hidden></mr-recent>
        </div>
        <p class="hint" hidden></p>
        <mr-shelf label="${t("list.label")}"></mr-shelf>
        <p class="quiet keys">${t("list.keys")}</p>
        <mr-rows></mr-rows>`,
    );
    this.shelf = find(this, "mr-shelf");
    this.knobsView = find(this, "mr-knobs");
    this.recent = find(this, "mr-recent");
    this.querySelector("[data-share]")?.addEventListener("click", () => this.#share());
    const showRecent = () => this.recent.show(this.audience); // The verdicts may arrive after the list.
    this.audience.addEventListener("change", showRecent, { signal: this.#changes.signal });
    showRecent();
    this.#describe();
  }

  /** One line about the taste that the list follows. */
  async #describe() {
    const audience = this.audience;
    const line = find(this, ".taste");
    if (audience.isVisitor) {
      const n = audience.said.length;
      line.textContent = n ? t("list.taste.visitor", { n }) : "";
      return;
    }
    try {
      const { n_events, genres } = await api.user(audience.id);
      const top = genres.slice(0, 2).map(({ name }) => name);
      if (audience !== this.audience) return;
      line.textContent = top.length
        ? t("list.taste", { films: t("who.films", { n: n_events }), genres: listed(top) })
        : "";
    } catch {
      // The line stays empty. The list reports the failure.
    }
  }

  /**
   * Asks for the list. `calm` leaves the old list in place until then. `said`: a sentence about the last
   * verdict, to be read out with the change of the list.
   */
  async #load({ calm = false, said = "" } = {}) {
    this.#abort?.abort();
    clearTimeout(this.#again);
    const abort = (this.#abort = new AbortController());
    if (!calm) {
      this.querySelector("mr-notice")?.remove();
      this.shelf.hidden = false;
      this.shelf.showLoading(Math.min(12, this.knobs.k));
    }
    const slow = setTimeout(() => toast(t("state.slow")), SLOW_MS);
    try {
      const asking = api.rank(this.audience.body(this.knobs), abort.signal);
      const [answer] = await Promise.all([asking, connection.namesKnown()]);
      if (!abort.signal.aborted) this.#show(answer, said);
    } catch (error) {
      if (!isAbort(error) && !abort.signal.aborted) this.#failed(error);
    } finally {
      clearTimeout(slow);
    }
  }

  /**
   * @param {Ranking} answer
   * @param {string} said
   */
  #show(answer, said) {
    const known = Boolean(this.#answer);
    this.#answer = answer;
    timings.add(answer.latency_ms);
    connection.sawVersion(answer.model_version);
    remember(answer.results);
    this.querySelector("mr-notice")?.remove();
    this.shelf.hidden = false;
    const counts = this.shelf.show(answer.results, { keep: this.#kept, ranking: answer });
    if (known || said) announce([said, tellChange(counts, answer.results)].filter(Boolean).join(" "));
    this.#hint(answer);
    if (answer.feedback) this.#again = setTimeout(() => this.#load({ calm: true }), AGAIN_MS);
    this.knobsView.show(this.knobs, genresSeen());
    if (this.audience.isVisitor) this.#describe();
    if (!answer.results.length && !this.#kept.size) this.#empty();
    const shown = answer.results.map(({ movie_id }) => movie_id);
    find(this, "mr-rows").show({
      audience: this.audience,
      knobs: this.knobs,
      asOf: answer.data_as_of,
      shown,
    });
    this.#learnReasons(answer.results);
  }

  /** @param {RankedFilm[]} results */
  async #learnReasons(results) {
    const movieIds = moviesIn(results.flatMap(({ reasons }) => reasons));
    if (await learn(movieIds, this.#abort?.signal)) this.#tellReasons();
  }

  #tellReasons() {
    for (const card of this.shelf?.cards ?? []) card.tellReasons();
  }

  /** @param {Ranking} answer */
  #hint({ served_by, known_user, feedback, histories }) {
    const { isVisitor, said, id } = this.audience;
    const isBlank = isVisitor ? said.length === 0 : !known_user && said.length === 0;
    let text = "";
    if (isBlank) text = isVisitor ? t("list.newcomer") : t("list.unknownUser", { id: String(id) });
    else if (histories) text = t("state.noHistories");
    else if (feedback) text = t("state.noFeedback");
    else if (served_by !== "model")
      text = t("state.degraded", {
        source: has(`served.${served_by}`) ? t(`served.${served_by}`) : served_by,
      });
    const line = find(this, ".hint");
    line.hidden = !text;
    line.textContent = text;
  }

  #empty() {
    this.shelf.hidden = true;
    const tuned = JSON.stringify({ ...this.knobs, k: 0 }) !== JSON.stringify({ ...NO_KNOBS, k: 0 });
    const notice = document.createElement("mr-notice");
    notice.content = tuned
      ? { title: t("list.empty"), hint: t("list.empty.hint"), action: t("list.empty.reset") }
      : { title: t("list.exhausted"), hint: t("list.exhausted.hint") };
    notice.addEventListener("retry", (event) => {
      event.stopPropagation();
      go({ knobs: { ...NO_KNOBS, genres: [] } });
    });
    this.shelf.before(notice);
  }

  /** @param {unknown} error */
  #failed(error) {
    const content = contentOf(error);
    if (this.#answer) {
      // The strip below the header tells of a lost connection.
      if (connection.state === "ok") toast(content.title, { detail: content.hint });
      return;
    }
    this.shelf.hidden = true;
    this.querySelector("mr-notice")?.remove();
    const notice = document.createElement("mr-notice");
    notice.content = content;
    this.shelf.before(notice);
  }

  /** The service is back: sends verdicts that were not saved again, and asks for the list. */
  #recover() {
    this.#describe();
    const unsaved = this.shelf.cards.filter((card) => card.verdict?.failed);
    for (const { film, verdict } of unsaved)
      if (verdict) this.#say({ movie: film, act: "retry", type: verdict.type });
    if (!unsaved.length) this.#load({ calm: Boolean(this.#answer) });
  }

  /** @param {VerdictDetail} detail */
  async #say({ movie, act, type }) {
    if (act === "undo") {
      this.#undo(movie);
      return;
    }
    const card = this.shelf.cardOf(movie.movie_id);
    if (!card) return;
    const eventId = this.#unsent.get(movie.movie_id) ?? newEventId();
    this.#unsent.set(movie.movie_id, eventId);
    for (const id of this.#kept) {
      const other = this.shelf.cardOf(id);
      if (!other?.verdict?.failed) this.#kept.delete(id);
    }
    this.#kept.add(movie.movie_id);
    card.verdict = { type };
    try {
      await this.audience.say(movie, type, { rankingId: this.#answer?.ranking_id, eventId });
      this.#unsent.delete(movie.movie_id);
      await this.#load({ calm: true, said: t(`said.${type}`, { title: movie.title }) });
    } catch (error) {
      card.verdict = { type, failed: true };
      if (connection.state === "ok") toast(contentOf(error).title, { detail: t("done.failed") });
    }
  }

  /** @param {Named} movie */
  async #undo(movie) {
    try {
      await this.audience.undo(movie);
    } catch (error) {
      toast(contentOf(error).title, { detail: t("done.failed") });
      return;
    }
    this.#kept.delete(movie.movie_id);
    const card = this.shelf.cardOf(movie.movie_id);
    if (card) card.verdict = null;
    await this.#load({ calm: true, said: t("said.undo", { title: movie.title }) });
  }

  /** @param {Film} movie */
  #opened(movie) {
    this.audience.say(movie, "click", { rankingId: this.#answer?.ranking_id }).catch(() => {});
  }

  /** Loads the list again after a verdict in the film view. @param {string} [said] A sentence about it. */
  refresh(said) {
    this.#load({ calm: true, said });
  }

  #startOver() {
    for (const { movie } of this.audience.said) this.audience.undo(movie);
    go({ view: "start", picks: null });
  }

  async #share() {
    const picks = this.audience.said
      .filter(({ event_type }) => event_type === "like" || event_type === "dislike")
      .map(({ movie, event_type }) => (event_type === "like" ? movie.movie_id : -movie.movie_id))
      .join(",");
    const address = new URL(href({ picks, view: "foryou", movie: null }), document.baseURI).href;
    try {
      await navigator.clipboard.writeText(address);
      toast(t("list.shared"));
    } catch {
      go({ picks, view: "foryou" }, { replace: true });
      toast(t("list.shareFailed"));
    }
  }
}

customElements.define("mr-foryou", ForYou);
