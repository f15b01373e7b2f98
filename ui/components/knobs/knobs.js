// <mr-knobs>: the settings of a list. Emits "knobs" with all of them whenever one changes.
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { languageName, number, runtime, t } from "../../i18n.js";
import { NO_KNOBS } from "../../route.js";

const COUNTS = [12, 24, 48, 96];
const RUNTIMES = [90, 120, 150];
const LANGUAGES = ["en", "fr", "de", "es", "it", "ja", "ko", "zh", "hi", "sv", "pt", "ru", "da", "fa", "ar"];

const optionOf = (value, label, chosen) => html`<option value="${value}" ${chosen === value ? html`selected` : ""}>${label}</option>`;

class Knobs extends HTMLElement {
  #knobs = NO_KNOBS;
  #genres = [];
  #timer = 0;

  connectedCallback() {
    if (this.listening) return;
    this.listening = true;
    this.addEventListener("change", (event) => event.target.closest("form") && this.#changed());
    this.addEventListener("submit", (event) => event.preventDefault());
    this.addEventListener("click", ({ target }) => {
      if (target.closest("[data-clear]")) this.#emit({ ...NO_KNOBS, genres: [] });
    });
    this.addEventListener("toggle", ({ target }) => this.classList.toggle("open", target.open), { capture: true });
    this.#build();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  /** The settings to show, and the genres to choose from. */
  show(knobs, genres) {
    const choices = [...new Set([...genres, ...knobs.genres])].sort();
    const same = JSON.stringify([knobs, choices]) === JSON.stringify([this.#knobs, this.#genres]);
    this.#knobs = knobs;
    this.#genres = choices;
    if (!same) this.#build();
  }

  #build() {
    const knobs = this.#knobs;
    const on = Object.keys(NO_KNOBS).filter((name) => name !== "k" && String(knobs[name] ?? "") !== String(NO_KNOBS[name] ?? "")).length;
    const wasOpen = this.querySelector("details")?.open ?? false;
    const focused = this.contains(document.activeElement) ? document.activeElement : null;
    const again = focused && (focused.name ? `[name="${focused.name}"]${focused.type === "checkbox" ? `[value="${CSS.escape(focused.value)}"]` : ""}` : "summary");
    const field = (label, control) => html`<label class="field"><span>${t(label)}</span>${control}</label>`;
    fill(
      this,
      html`<details class="knobs" ${wasOpen ? html`open` : ""}>
        <summary class="button">${icons.tune}<span>${t("knobs.title")}</span>${on > 0 && html`<span class="count">${t("knobs.on", { n: on })}</span>`}</summary>
        <form class="knob-form" aria-label="${t("knobs.title")}">
          <fieldset class="knob-genres"><legend>${t("knobs.genres")}</legend>${this.#genres.map((genre) => html`<label class="toggle">
            <input type="checkbox" name="genres" value="${genre}" ${knobs.genres.includes(genre) ? html`checked` : ""} /><span>${genre}</span></label>`)}</fieldset>
          <div class="knob-row">
            ${field("knobs.from", html`<input name="from" type="number" inputmode="numeric" min="1870" max="2100" value="${knobs.from}" />`)}
            ${field("knobs.to", html`<input name="to" type="number" inputmode="numeric" min="1870" max="2100" value="${knobs.to}" />`)}
            ${field("knobs.runtime", html`<select name="runtime">${optionOf("", t("knobs.runtime.any"), knobs.runtime ?? "")}
              ${RUNTIMES.map((minutes) => optionOf(minutes, t("knobs.runtime.max", { runtime: runtime(minutes) }), knobs.runtime))}</select>`)}
            ${field("knobs.language", html`<select name="language">${optionOf("", t("knobs.language.any"), knobs.language ?? "")}
              ${LANGUAGES.map((code) => optionOf(code, languageName(code), knobs.language))}</select>`)}
            ${field("knobs.count", html`<select name="k">${[...new Set([...COUNTS, knobs.k])].sort((a, b) => a - b).map((n) => optionOf(n, number(n), knobs.k))}</select>`)}
            <label class="field wide"><span>${t("knobs.variety")}</span><input name="variety" type="range" min="0" max="1" step="0.1" value="${knobs.variety}" />
              <span class="ends" aria-hidden="true"><span>${t("knobs.variety.low")}</span><span>${t("knobs.variety.high")}</span></span></label>
            <button type="button" class="link" data-clear ${on ? "" : html`disabled`}>${t("knobs.clear")}</button>
          </div>
        </form></details>`,
    );
    if (again) this.querySelector(again)?.focus({ preventScroll: true });
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const data = new FormData(this.querySelector("form"));
      const whole = (name) => (this.querySelector(`[name="${name}"]`).checkValidity() && Number(data.get(name))) || null;
      this.#emit({
        genres: data.getAll("genres"), from: whole("from"), to: whole("to"), runtime: whole("runtime"),
        language: data.get("language") || null, variety: Number(data.get("variety")), k: whole("k") ?? NO_KNOBS.k,
      });
    }, 120);
  }

  #emit(knobs) {
    this.dispatchEvent(new CustomEvent("knobs", { bubbles: true, detail: knobs }));
  }
}

customElements.define("mr-knobs", Knobs);
