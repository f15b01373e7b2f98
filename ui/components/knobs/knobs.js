// @ts-check
// <mr-knobs>: the settings of a list. Emits "knobs" with all settings on each change.
import { closest, fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { languageName, number, runtime, t } from "../../i18n.js";
import { NO_KNOBS } from "../../route.js";

const COUNTS = [12, 24, 48, 96];
const RUNTIMES = [90, 120, 150];
const LANGUAGES = ["en", "fr", "de", "es", "it", "ja", "ko", "zh", "hi", "sv", "pt", "ru", "da", "fa", "ar"];

/** @import { Knobs as Settings } from "../../route.js" */

/** How long a change waits for the next one, in milliseconds. */
const PAUSE_MS = 120;

/**
 * @param {string | number} value
 * @param {string} label
 * @param {string | number | null} chosen
 */
const optionOf = (value, label, chosen) =>
  html`<option value="${value}" ${chosen === value ? html`selected` : ""}>${label}</option>`;

/** @typedef {HTMLInputElement | HTMLSelectElement} Control */

/** @param {Control} control */
const selectorOf = ({ type, name, value }) =>
  type === "checkbox" ? `[name="${name}"][value="${CSS.escape(value)}"]` : `[name="${name}"]`;

export class Knobs extends HTMLElement {
  #knobs = NO_KNOBS;
  /** The values of the controls when they were last shown or emitted, by selector. @type {Map<string, any>} */
  #known = new Map();
  /** @type {string[]} */
  #genres = [];
  isListening = false;
  #timer = 0;

  connectedCallback() {
    if (this.isListening) return;
    this.isListening = true;
    this.addEventListener("change", (event) => closest(event, "form") && this.#changed());
    // Browsers emit no "change" for what was entered before the form was built again.
    this.addEventListener("focusout", () => this.#unsaid().length && this.#changed());
    this.addEventListener("submit", (event) => {
      event.preventDefault();
      if (this.#unsaid().length) this.#changed();
    });
    this.addEventListener("click", (event) => {
      if (!closest(event, "[data-clear]")) return;
      clearTimeout(this.#timer);
      this.#emit({ ...NO_KNOBS, genres: [] });
    });
    const openedOrClosed = () => this.classList.toggle("open", find(this, "details").open);
    this.addEventListener("toggle", openedOrClosed, { capture: true });
    this.#build();
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
  }

  /**
   * Shows these settings and these genres to choose from.
   *
   * @param {Settings} knobs
   * @param {string[]} genres
   */
  show(knobs, genres) {
    const choices = [...new Set([...genres, ...knobs.genres])].sort();
    const same = JSON.stringify([knobs, choices]) === JSON.stringify([this.#knobs, this.#genres]);
    this.#knobs = knobs;
    this.#genres = choices;
    if (!same) this.#build();
  }

  #build() {
    const knobs = this.#knobs;
    const names = /** @type {(keyof Settings)[]} */ (Object.keys(NO_KNOBS));
    const isSet = names.map(
      (name) => name !== "k" && String(knobs[name] ?? "") !== String(NO_KNOBS[name] ?? ""),
    );
    const on = isSet.filter(Boolean).length;
    const wasOpen = this.querySelector("details")?.open ?? false;
    const focused = this.#focused();
    const unsaid = this.#unsaid();
    const count = on > 0 && html`<span class="count">${t("knobs.on", { n: on })}</span>`;
    const counts = [...new Set([...COUNTS, knobs.k])].sort((a, b) => a - b);
    const upTo = (/** @type {number} */ minutes) => t("knobs.runtime.max", { runtime: runtime(minutes) });
    const year = (/** @type {string} */ name, /** @type {number | null} */ value) =>
      html`<input name="${name}" type="number" inputmode="numeric" min="1870" max="2100" value="${value}" />`;
    const field = (/** @type {string} */ label, /** @type {unknown} */ control) =>
      html`<label class="field"><span>${t(label)}</span>${control}</label>`;
    fill(
      this,
      html`<details class="knobs" ${wasOpen ? html`open` : ""}>
        <summary class="button">${icons.tune}<span>${t("knobs.title")}</span>${count}</summary>
        <form class="knob-form" aria-label="${t("knobs.title")}">
          <fieldset class="knob-genres">
            <legend>${t("knobs.genres")}</legend>
            ${this.#genres.map(
              (genre) =>
                html`<label class="toggle">
                  <input
                    type="checkbox"
                    name="genres"
                    value="${genre}"
                    ${knobs.genres.includes(genre) ? html`checked` : ""}
                  /><span>${genre}</span></label
                >`,
            )}
          </fieldset>
          <div class="knob-row">
            ${field("knobs.from", year("from", knobs.from))} ${field("knobs.to", year("to", knobs.to))}
            ${field(
              "knobs.runtime",
              html`<select name="runtime">
                ${optionOf("", t("knobs.runtime.any"), knobs.runtime ?? "")}
                ${RUNTIMES.map((minutes) => optionOf(minutes, upTo(minutes), knobs.runtime))}
              </select>`,
            )}
            ${field(
              "knobs.language",
              html`<select name="language">
                ${optionOf("", t("knobs.language.any"), knobs.language ?? "")}
                ${LANGUAGES.map((code) => optionOf(code, languageName(code), knobs.language))}
              </select>`,
            )}
            ${field(
              "knobs.count",
              html`<select name="k">
                ${counts.map((n) => optionOf(n, number(n), knobs.k))}
              </select>`,
            )}
            <label class="field wide"
              ><span>${t("knobs.variety")}</span
              ><input name="variety" type="range" min="0" max="1" step="0.1" value="${knobs.variety}" />
              <span class="ends" aria-hidden="true"
                ><span>${t("knobs.variety.low")}</span><span>${t("knobs.variety.high")}</span></span
              ></label
            >
            <button type="button" class="link" data-clear ${on ? "" : html`disabled`}>
              ${t("knobs.clear")}
            </button>
          </div>
        </form>
      </details>`,
    );
    this.#known = this.#values();
    for (const [selector, value] of unsaid) {
      const control = /** @type {Control | null} */ (this.querySelector(selector));
      if (control?.type === "checkbox") /** @type {HTMLInputElement} */ (control).checked = value;
      else if (control) control.value = value;
    }
    if (focused) this.querySelector(focused)?.focus({ preventScroll: true });
  }

  /** Whether a checkbox is checked, and what other controls hold, by selector. @returns {Map<string, any>} */
  #values() {
    const controls = /** @type {NodeListOf<Control>} */ (this.querySelectorAll("input, select"));
    return new Map(
      [...controls].map((control) => [
        selectorOf(control),
        control instanceof HTMLInputElement && control.type === "checkbox" ? control.checked : control.value,
      ]),
    );
  }

  /** What was entered and not emitted yet. */
  #unsaid() {
    return [...this.#values()].filter(([selector, value]) => value !== this.#known.get(selector));
  }

  /**
   * A selector for the control that has the focus; null where it is elsewhere.
   *
   * @returns {any}
   */
  #focused() {
    const { activeElement } = document;
    if (!this.contains(activeElement)) return null;
    const control = /** @type {Control} */ (activeElement);
    return control.name ? selectorOf(control) : "summary";
  }

  #changed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      const data = new FormData(find(this, "form"));
      const whole = (/** @type {string} */ name) => {
        const control = /** @type {HTMLInputElement} */ (find(this, `[name="${name}"]`));
        return (control.checkValidity() && Number(data.get(name))) || null;
      };
      this.#emit({
        genres: data.getAll("genres").map(String),
        from: whole("from"),
        to: whole("to"),
        runtime: whole("runtime"),
        language: String(data.get("language")) || null,
        variety: Number(data.get("variety")),
        k: whole("k") ?? NO_KNOBS.k,
      });
    }, PAUSE_MS);
  }

  /** @param {Settings} knobs */
  #emit(knobs) {
    // A number that is being typed counts once it is finished.
    const typed = document.activeElement instanceof HTMLInputElement && document.activeElement;
    const typing = typed && typed.type === "number" ? selectorOf(typed) : "";
    const known = [...this.#values()].filter(([selector]) => selector !== typing);
    this.#known = new Map([...this.#known, ...known]);
    this.dispatchEvent(new CustomEvent("knobs", { bubbles: true, detail: knobs }));
  }
}

customElements.define("mr-knobs", Knobs);
