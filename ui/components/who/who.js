// @ts-check
// <mr-who>: the person whose list is shown, and the choice of another. Emits "who": a user id, or null.
import { api } from "../../api.js";
import { closest, fill, find, html } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";
import { keep, recall } from "../../storage.js";
import { userSearch } from "../combobox/sources.js";

/** @import { Audience } from "../../audience.js" */

/** Maximum number of users that are offered again. */
const KEPT = 5;

/** A user of the data at random, each with about the same chance; undefined where there is none. */
export const anyUser = async () => {
  const { results, n_users } = await api.users("", 100);
  const start = String(1 + Math.floor(Math.random() * n_users));
  const found = n_users > results.length ? (await api.users(start, 100)).results : results;
  const choices = found.length ? found : results;
  return choices[Math.floor(Math.random() * choices.length)]?.user_id;
};

/** @returns {number[]} */
const recentUsers = () => recall("users", /** @type {number[]} */ ([])).filter(Number.isInteger);

/** @param {number} id */
export const rememberUser = (id) =>
  keep("users", [id, ...recentUsers().filter((other) => other !== id)].slice(0, KEPT));

export class Who extends HTMLElement {
  /** @type {HTMLElement} */
  panel;

  connectedCallback() {
    if (this.panel) return;
    fill(
      this,
      html`<button type="button" class="who-button" popovertarget="who-panel">
          ${icons.person}<span></span>
        </button>
        <div id="who-panel" class="panel" popover role="dialog" aria-label="${t("who.title")}"></div>`,
    );
    this.panel = find(this, ".panel");
    this.panel.addEventListener("beforetoggle", ({ newState }) => newState === "open" && this.#open());
    this.panel.addEventListener("choose", ({ detail }) => this.#become(detail.user_id));
    this.panel.addEventListener("click", (event) => {
      const button = closest(event, "button");
      if (button?.name === "random") this.#becomeAny();
      else if (button?.name === "visitor") this.#become(null);
      else if (button?.name === "recent") this.#become(Number(button.value));
    });
  }

  /** @param {Audience} audience */
  set audience(audience) {
    find(this, "span").textContent = audience.name;
    find(this, "button").setAttribute("aria-label", t("who.change", { who: audience.name }));
  }

  #open() {
    const recent = recentUsers();
    fill(
      this.panel,
      html`<h2>${t("who.title")}</h2>
        <mr-combobox></mr-combobox>
        <div class="panel-acts">
          <button type="button" class="button" name="random">
            ${icons.dice}<span>${t("who.random")}</span>
          </button>
          <button type="button" class="button" name="visitor">
            ${icons.plus}<span>${t("who.visit")}</span>
          </button>
        </div>
        <p class="quiet">${t("who.visitHint")}</p>
        ${
          recent.length > 0 &&
          html`<h3>${t("who.recent")}</h3>
            <div class="panel-acts">
              ${recent.map(
                (id) =>
                  html`<button type="button" class="chip" name="recent" value="${id}">
                    <span class="chip-title">${t("who.user", { id: String(id) })}</span>
                  </button>`,
              )}
            </div>`
        }`,
    );
    const box = find(this.panel, "mr-combobox");
    box.settings = userSearch();
    requestAnimationFrame(() => box.focus());
  }

  async #becomeAny() {
    const id = await anyUser().catch(() => undefined);
    if (id !== undefined) this.#become(id);
  }

  /** @param {number | null} id */
  #become(id) {
    this.panel.hidePopover();
    this.dispatchEvent(new CustomEvent("who", { bubbles: true, detail: id }));
  }
}

customElements.define("mr-who", Who);
