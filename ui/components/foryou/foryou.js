// <mr-foryou>: the list of one audience. Loads it, sends what the reader says, and moves the list in place.
import { api, isAbort } from "../../api.js";
import { connection } from "../../connection.js";
import { genresSeen, learn, remember } from "../../films.js";
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { has, list as listed, t } from "../../i18n.js";
import { timings } from "../../timings.js";
import { moviesIn } from "../../reasons.js";
import { go, href, NO_KNOBS } from "../../route.js";
import { audienceOf, elsewhere, newEventId } from "../../audience.js";
import { announce, toast } from "../toast/toast.js";
import { contentOf } from "../notice/notice.js";
import { tellChange } from "../shelf/shelf.js";
import "../knobs/knobs.js";
import "../recent/recent.js";
import "../rows/rows.js";

const SLOW_MS = 2500;

class ForYou extends HTMLElement {
  #abort = null;
  #loaded = null;
  #kept = new Set();
  #answer = null;
  #changes = new AbortController();
  #unsent = new Map();

  connectedCallback() {
    const signal = this.#changes.signal;
    connection.addEventListener("recovered", () => this.#recover(), { signal });
    connection.addEventListener("newmodel", () => this.#load({ calm: true }), { signal });
    elsewhere.addEventListener("said", ({ detail }) => detail === this.audience.key && this.#load({ calm: true }), { signal });
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
  }

  /** Where the reader is; the list is loaded anew if it is another person's or has other settings. */
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
      html`<header class="view-head"><div><h1 tabindex="-1">${title}</h1><p class="taste">&nbsp;</p></div></header>
        <div class="tools"><mr-knobs></mr-knobs><a class="button" href="${href({ view: "profile", movie: null })}">${icons.person}<span>${t("list.profile")}</span></a>
          ${isVisitor && html`<button type="button" class="button" data-share>${icons.share}<span>${t("list.share")}</span></button>`}
          <mr-recent hidden></mr-recent></div>
        <p class="hint" hidden></p>
        <mr-shelf label="${t("list.label")}"></mr-shelf>
        <p class="quiet keys">${t("list.keys")}</p>
        <mr-rows></mr-rows>`,
    );
    this.shelf = this.querySelector("mr-shelf");
    this.knobsView = this.querySelector("mr-knobs");
    this.recent = this.querySelector("mr-recent");
    this.querySelector("[data-share]")?.addEventListener("click", () => this.#share());
    this.recent.show(this.audience);
    this.#describe();
  }

  /** One line on whose taste this is. */
  async #describe() {
    const audience = this.audience;
    const line = this.querySelector(".taste");
    if (audience.isVisitor) {
      const n = audience.said.length;
      line.textContent = n ? t("list.taste.visitor", { n }) : "";
      return;
    }
    try {
      const { n_events, genres } = await api.user(audience.id);
      const top = genres.slice(0, 2).map(({ name }) => name);
      if (audience !== this.audience) return;
      line.textContent = top.length ? t("list.taste", { films: t("who.films", { n: n_events }), genres: listed(top) }) : "";
    } catch {
      // The line says less; the list itself reports what is wrong.
    }
  }

  /** Asks for the list. `calm` leaves the old one in place meanwhile; `said` is a sentence on what was just said. */
  async #load({ calm = false, said = "" } = {}) {
    this.#abort?.abort();
    const abort = (this.#abort = new AbortController());
    if (!calm) {
      this.querySelector("mr-notice")?.remove();
      this.shelf.hidden = false;
      this.shelf.showLoading(Math.min(12, this.knobs.k));
    }
    const slow = setTimeout(() => toast(t("state.slow")), SLOW_MS);
    try {
      const answer = await api.rank(this.audience.body(this.knobs), abort.signal);
      if (!abort.signal.aborted) this.#show(answer, said);
    } catch (error) {
      if (!isAbort(error) && !abort.signal.aborted) this.#failed(error);
    } finally {
      clearTimeout(slow);
    }
  }

  #show(answer, said) {
    const known = Boolean(this.#answer);
    this.#answer = answer;
    timings.add(answer.latency_ms);
    connection.sawVersion(answer.model_version);
    remember(answer.results);
    this.querySelector("mr-notice")?.remove();
    this.shelf.hidden = false;
    const counts = this.shelf.show(answer.results, { keep: this.#kept });
    if (known || said) announce([said, tellChange(counts, answer.results)].filter(Boolean).join(" "));
    this.#hint(answer);
    this.knobsView.show(this.knobs, genresSeen());
    this.recent.show(this.audience);
    if (this.audience.isVisitor) this.#describe();
    if (!answer.results.length && !this.#kept.size) this.#empty();
    const shown = answer.results.map(({ movie_id }) => movie_id);
    this.querySelector("mr-rows").show({ audience: this.audience, knobs: this.knobs, asOf: answer.data_as_of, shown });
    this.#learnReasons(answer.results);
  }

  async #learnReasons(results) {
    const learned = await learn(moviesIn(results.flatMap(({ reasons }) => reasons ?? [])), this.#abort.signal);
    if (learned) for (const card of this.shelf.cards) card.film && card.tellReasons();
  }

  #hint({ served_by, known_user, feedback, histories }) {
    const { isVisitor, said, id } = this.audience;
    const isBlank = isVisitor ? said.length === 0 : !known_user && said.length === 0;
    let text = "";
    if (isBlank) text = isVisitor ? t("list.newcomer") : t("list.unknownUser", { id: String(id) });
    else if (histories) text = t("state.noHistories");
    else if (feedback) text = t("state.noFeedback");
    else if (served_by !== "model") text = t("state.degraded", { source: has(`served.${served_by}`) ? t(`served.${served_by}`) : served_by });
    const line = this.querySelector(".hint");
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

  #failed(error) {
    const content = contentOf(error);
    if (this.#answer) {
      if (error.kind !== "unreachable" && error.kind !== "no_model") toast(content.title, { detail: content.hint });
      return;
    }
    this.shelf.hidden = true;
    this.querySelector("mr-notice")?.remove();
    const notice = document.createElement("mr-notice");
    notice.content = content;
    this.shelf.before(notice);
  }

  /** The service is back: what was not saved is sent again, and the list is asked for. */
  #recover() {
    this.#describe();
    const unsaved = this.shelf.cards.filter((card) => card.verdict?.failed);
    for (const { film, verdict } of unsaved) this.#say({ movie: film, type: verdict.type });
    if (!unsaved.length) this.#load({ calm: Boolean(this.#answer) });
  }

  async #say({ movie, act, type }) {
    if (act === "undo") {
      this.#undo(movie);
      return;
    }
    const card = this.shelf.cardOf(movie.movie_id);
    const eventId = this.#unsent.get(movie.movie_id) ?? newEventId();
    this.#unsent.set(movie.movie_id, eventId);
    for (const id of this.#kept) {
      const other = this.shelf.cardOf(id);
      if (!other?.verdict?.failed) this.#kept.delete(id);
    }
    this.#kept.add(movie.movie_id);
    card.verdict = { type };
    try {
      await this.audience.say(movie, type, { requestId: this.#answer?.request_id, eventId });
      this.#unsent.delete(movie.movie_id);
      await this.#load({ calm: true, said: t(`said.${type}`, { title: movie.title }) });
    } catch (error) {
      card.verdict = { type, failed: true };
      if (connection.state === "ok") toast(contentOf(error).title, { detail: t("done.failed") });
    }
  }

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

  #opened(movie) {
    this.audience.say(movie, "click", { requestId: this.#answer?.request_id }).catch(() => {});
  }

  /** What was said elsewhere (in the film view) also moves this list; `said` is the sentence on it. */
  refresh(said) {
    this.#load({ calm: true, said });
  }

  #startOver() {
    for (const { movie } of this.audience.said) this.audience.undo(movie);
    go({ view: "start", picks: null });
  }

  async #share() {
    const picks = this.audience.said.filter(({ event_type }) => event_type === "like" || event_type === "dislike")
      .map(({ movie, event_type }) => (event_type === "like" ? movie.movie_id : -movie.movie_id)).join(",");
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
