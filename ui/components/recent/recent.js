// <mr-recent>: what was said lately, each with its undo. Emits "undo" with the film, and "clear".
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";

const SHOWN = 6;

class Recent extends HTMLElement {
  connectedCallback() {
    if (this.listening) return;
    this.listening = true;
    this.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      const entry = button && this.audience.said.find(({ movie }) => String(movie.movie_id) === button.value);
      if (entry) this.dispatchEvent(new CustomEvent("undo", { bubbles: true, detail: { movie: entry.movie } }));
      else if (button) this.dispatchEvent(new CustomEvent("clear", { bubbles: true }));
    });
  }

  /** Shows what this audience said, newest first. */
  show(audience) {
    this.audience = audience;
    const said = [...audience.said].reverse();
    this.hidden = said.length === 0;
    const title = t(audience.isVisitor ? "recent.favourites" : "recent.title");
    fill(
      this,
      html`<section class="recent" aria-label="${title}"><h2>${title}</h2><ul>
        ${said.slice(0, SHOWN).map(({ movie, event_type }) => html`<li><button type="button" class="chip" value="${movie.movie_id}"
          aria-label="${t("act.undo.of", { title: movie.title })}" title="${t("act.undo")}"
          ><span class="chip-icon ${event_type}">${icons[event_type]}</span><span dir="auto" class="chip-title">${movie.title}</span>${icons.close}</button></li>`)}
        </ul>${said.length > SHOWN && html`<span class="quiet">${t("recent.more", { n: said.length - SHOWN })}</span>`}
        ${audience.isVisitor && html`<button type="button" class="link">${t("recent.clear")}</button>`}</section>`,
    );
  }
}

customElements.define("mr-recent", Recent);
