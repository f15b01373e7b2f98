// <mr-combobox>: a text field that proposes as one types (the ARIA combobox pattern). Emits "choose".
import { isAbort } from "../../api.js";
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";

const PAUSE_MS = 110;
let made = 0;

class Combobox extends HTMLElement {
  #items = [];
  #active = -1;
  #abort = null;
  #timer = 0;

  /**
   * {label, placeholder?, source(text, signal) → Promise<items>, option(item) → markup, none (text),
   * minLength? (1)}: how it looks and where proposals come from.
   */
  set settings(settings) {
    this.options = { placeholder: settings.label, minLength: 1, ...settings };
    this.key = `box-${(made += 1)}`;
    fill(
      this,
      html`<div class="combobox">${icons.search}<input type="search" role="combobox" aria-label="${settings.label}" placeholder="${this.options.placeholder}"
        aria-expanded="false" aria-autocomplete="list" aria-controls="${this.key}" autocomplete="off" autocapitalize="off" spellcheck="false" enterkeyhint="search" />
        <ul id="${this.key}" role="listbox" aria-label="${settings.label}" hidden></ul><p class="combobox-note" role="status" hidden></p></div>`,
    );
    this.input = this.querySelector("input");
    this.listbox = this.querySelector("ul");
    this.note = this.querySelector(".combobox-note");
    this.input.addEventListener("input", () => this.#typed());
    this.input.addEventListener("focus", () => this.#typed());
    this.input.addEventListener("keydown", (event) => this.#keyed(event));
    this.input.addEventListener("blur", () => this.#close());
    this.listbox.addEventListener("pointerdown", (event) => event.preventDefault()); // Keep the focus in the field.
    this.listbox.addEventListener("click", ({ target }) => {
      const option = target.closest("[role=option]");
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
    if (text.length < this.options.minLength || document.activeElement !== this.input) {
      this.#close();
      return;
    }
    const { signal } = (this.#abort = new AbortController());
    try {
      const items = await this.options.source(text, signal);
      if (signal.aborted) return;
      this.#items = items;
      fill(this.listbox, html`${items.map((item, n) => html`<li role="option" id="${this.key}-${n}" aria-selected="false">${this.options.option(item)}</li>`)}`);
      this.listbox.hidden = items.length === 0;
      this.input.setAttribute("aria-expanded", String(items.length > 0));
      this.#tell(items.length ? t("search.results", { n: items.length }) : this.options.none, items.length > 0);
      this.#point(items.length ? 0 : -1);
    } catch (error) {
      if (isAbort(error)) return;
      this.#close();
      this.#tell(t("search.failed"), false);
    }
  }

  #tell(text, hidden) {
    this.note.textContent = text;
    this.note.hidden = false;
    this.note.classList.toggle("visually-hidden", hidden);
  }

  #point(place) {
    this.#active = place;
    [...this.listbox.children].forEach((option, n) => option.setAttribute("aria-selected", String(n === place)));
    this.listbox.children[place]?.scrollIntoView({ block: "nearest" });
    if (place < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `${this.key}-${place}`);
  }

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

  #choose(place) {
    const item = this.#items[place];
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
