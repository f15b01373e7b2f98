// @ts-check
// <mr-combobox>: a text field with suggestions (the ARIA combobox pattern). Emits "choose" with the item.
import { isAbort } from "../../api.js";
import { closest, fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";

/**
 * @typedef {object} Settings
 * @property {string} label
 * @property {(text: string, signal: AbortSignal) => Promise<any[]>} source
 * @property {(item: any) => unknown} option An item as markup.
 * @property {string} none The text where nothing is found.
 */

/** How long a change of the text waits for the next one, in milliseconds. */
const PAUSE_MS = 110;
let made = 0;

export class Combobox extends HTMLElement {
  /** @type {any[]} */
  #items = [];
  /** The index of the suggestion that Enter chooses; -1 for none. */
  #active = -1;
  /** @type {AbortController | null} */
  #abort = null;
  #timer = 0;
  /** @type {Settings} */
  options;
  /** @type {HTMLInputElement} */
  input;
  /** @type {HTMLUListElement} */
  listbox;
  /** @type {HTMLElement} */
  note;

  /** @param {Settings} settings */
  set settings(settings) {
    this.options = settings;
    this.key = `box-${(made += 1)}`;
    fill(
      this,
      html`<div class="combobox">
        ${icons.search}<input
          type="search"
          role="combobox"
          aria-label="${settings.label}"
          placeholder="${settings.label}"
          aria-expanded="false"
          aria-autocomplete="list"
          aria-controls="${this.key}"
          autocomplete="off"
          autocapitalize="off"
          spellcheck="false"
          enterkeyhint="search"
        />
        <ul id="${this.key}" role="listbox" aria-label="${settings.label}" hidden></ul>
        <p class="combobox-note" role="status" hidden></p>
      </div>`,
    );
    this.input = find(this, "input");
    this.listbox = find(this, "ul");
    this.note = find(this, ".combobox-note");
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("focus", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#keyed(event));
    this.input.addEventListener("blur", () => this.#close());
    // The focus stays in the field.
    this.listbox.addEventListener("pointerdown", (event) => event.preventDefault());
    this.listbox.addEventListener("click", (event) => {
      const option = closest(event, "[role=option]");
      if (option) this.#choose([...this.listbox.children].indexOf(option));
    });
  }

  disconnectedCallback() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
  }

  focus() {
    this.input.focus();
  }

  #typed() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#propose(), PAUSE_MS);
  }

  async #propose() {
    this.#abort?.abort();
    const text = this.input.value.trim();
    if (!text || document.activeElement !== this.input) {
      this.#close();
      return;
    }
    const { signal } = (this.#abort = new AbortController());
    try {
      const items = await this.options.source(text, signal);
      if (signal.aborted) return;
      this.#items = items;
      fill(
        this.listbox,
        html`${items.map(
          (item, n) =>
            html`<li role="option" id="${this.key}-${n}" aria-selected="false">
              ${this.options.option(item)}
            </li>`,
        )}`,
      );
      this.listbox.hidden = items.length === 0;
      this.input.setAttribute("aria-expanded", String(items.length > 0));
      this.#tell(
        items.length ? t("search.results", { n: items.length }) : this.options.none,
        items.length > 0,
      );
      this.#point(items.length ? 0 : -1);
    } catch (error) {
      if (isAbort(error)) return;
      this.#close();
      this.#tell(t("search.failed"), false);
    }
  }

  /**
   * @param {string} text
   * @param {boolean} isHidden Whether only screen readers get it.
   */
  #tell(text, isHidden) {
    this.note.textContent = text;
    this.note.hidden = false;
    this.note.classList.toggle("visually-hidden", isHidden);
  }

  /** @param {number} active */
  #point(active) {
    this.#active = active;
    [...this.listbox.children].forEach((option, n) =>
      option.setAttribute("aria-selected", String(n === active)),
    );
    this.listbox.children[active]?.scrollIntoView({ block: "nearest" });
    if (active < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `${this.key}-${active}`);
  }

  /** @param {KeyboardEvent} event */
  #keyed(event) {
    const n = this.#items.length;
    const open = !this.listbox.hidden;
    if (event.key === "ArrowDown" && !open) this.#propose();
    else if (event.key === "ArrowDown") this.#point((this.#active + 1) % n);
    else if (event.key === "ArrowUp" && open) this.#point((this.#active - 1 + n) % n);
    else if (event.key === "Enter" && open && this.#active >= 0) this.#choose(this.#active);
    else if (event.key === "Escape" && open) this.#close();
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  /** @param {number} n */
  #choose(n) {
    const item = this.#items[n];
    this.input.value = "";
    this.#close();
    this.dispatchEvent(new CustomEvent("choose", { bubbles: true, detail: item }));
  }

  #close() {
    clearTimeout(this.#timer);
    this.#abort?.abort();
    this.#items = [];
    this.listbox.hidden = true;
    this.note.hidden = true;
    this.input.setAttribute("aria-expanded", "false");
    this.#point(-1);
  }
}

customElements.define("mr-combobox", Combobox);
