// <mr-who>: who is watching, and how to become someone else. Emits "who" with a user id, or null for a visitor.
import { api } from "../../api.js";
import { fill, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";
import { keep, recall } from "../../storage.js";
import { userSearch } from "../combobox/sources.js";

const KEPT = 5;

/** Somebody from the data, any of them with about the same chance. */
export const anyUser = async () => {
  const { results, n_users } = await api.users("", 100);
  const start = String(1 + Math.floor(Math.random() * n_users));
  const found = n_users > results.length ? (await api.users(start, 100)).results : results;
  const choices = found.length ? found : results;
  return choices[Math.floor(Math.random() * choices.length)]?.user_id;
};

export const rememberUser = (id) => keep("users", [id, ...recall("users", []).filter((other) => other !== id)].slice(0, KEPT));

class Who extends HTMLElement {
  connectedCallback() {
    if (this.panel) return;
    fill(
      this,
      html`<button type="button" class="who-button" popovertarget="who-panel">${icons.person}<span></span></button>
        <div id="who-panel" class="panel" popover role="dialog" aria-label="${t("who.title")}"></div>`,
    );
    this.panel = this.querySelector(".panel");
    this.panel.addEventListener("beforetoggle", ({ newState }) => newState === "open" && this.#open());
    this.panel.addEventListener("choose", ({ detail }) => this.#become(detail.user_id));
    this.panel.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (button?.name === "random") anyUser().then((id) => id !== undefined && this.#become(id), () => {});
      else if (button?.name === "visitor") this.#become(null);
      else if (button?.name === "recent") this.#become(Number(button.value));
    });
  }

  set audience(audience) {
    this.querySelector("span").textContent = audience.name;
    this.querySelector("button").setAttribute("aria-label", t("who.change", { who: audience.name }));
  }

  #open() {
    const recent = recall("users", []).filter(Number.isInteger);
    fill(
      this.panel,
      html`<h2>${t("who.title")}</h2><mr-combobox></mr-combobox>
        <div class="panel-acts"><button type="button" class="button" name="random">${icons.dice}<span>${t("who.random")}</span></button>
        <button type="button" class="button" name="visitor">${icons.plus}<span>${t("who.visit")}</span></button></div>
        <p class="quiet">${t("who.visitHint")}</p>
        ${recent.length > 0 && html`<h3>${t("who.recent")}</h3><div class="panel-acts">${recent.map((id) => html`<button type="button"
          class="chip" name="recent" value="${id}"><span class="chip-title">${t("who.user", { id: String(id) })}</span></button>`)}</div>`}`,
    );
    const box = this.panel.querySelector("mr-combobox");
    box.settings = userSearch();
    requestAnimationFrame(() => box.focus());
  }

  #become(id) {
    this.panel.hidePopover();
    this.dispatchEvent(new CustomEvent("who", { bubbles: true, detail: id }));
  }
}

customElements.define("mr-who", Who);
