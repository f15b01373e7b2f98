// @ts-check
// <mr-recent>: the latest verdicts, each with its undo button. Emits "undo" with the film, and "clear".
import { closest, fill, html } from "../../html.js";
import { iconOf, icons } from "../../icons.js";
import { t } from "../../i18n.js";

/** @import { Audience } from "../../audience.js" */

/** Maximum number of verdicts that are shown. */
const SHOWN = 6;

export class Recent extends HTMLElement {
  isListening = false;
  /** @type {Audience} */
  audience;

  connectedCallback() {
    if (this.isListening) return;
    this.isListening = true;
    this.addEventListener("click", (event) => {
      const button = closest(event, "button");
      const entry = button && this.audience.said.find(({ movie }) => String(movie.movie_id) === button.value);
      if (entry)
        this.dispatchEvent(new CustomEvent("undo", { bubbles: true, detail: { movie: entry.movie } }));
      else if (button) this.dispatchEvent(new CustomEvent("clear", { bubbles: true }));
    });
  }

  /**
   * Shows the verdicts of somebody, newest first.
   *
   * @param {Audience} audience
   */
  show(audience) {
    this.audience = audience;
    const said = [...audience.said].reverse();
    const hidden = said.length - SHOWN;
    this.hidden = said.length === 0;
    const title = t(audience.isVisitor ? "recent.favourites" : "recent.title");
    fill(
      this,
      html`<section class="recent" aria-label="${title}">
        <h2>${title}</h2>
        <ul>
          ${said.slice(0, SHOWN).map(
            ({ movie, event_type }) =>
              html`<li>
                <button
                  type="button"
                  class="chip"
                  value="${movie.movie_id}"
                  aria-label="${t("act.undo.of", { title: movie.title })}"
                  title="${t("act.undo")}"
                >
                  <span class="chip-icon ${event_type}">${iconOf(event_type)}</span
                  ><span dir="auto" class="chip-title">${movie.title}</span>${icons.close}
                </button>
              </li>`,
          )}
        </ul>
        ${hidden > 0 && html`<span class="quiet">${t("recent.more", { n: hidden })}</span>`}
        ${audience.isVisitor && html`<button type="button" class="link">${t("recent.clear")}</button>`}
      </section>`,
    );
  }
}

customElements.define("mr-recent", Recent);
