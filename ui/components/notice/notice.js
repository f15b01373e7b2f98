// @ts-check
// <mr-notice>: a message in place of content, such as an empty list or an error. Emits "retry".
import { ApiError } from "../../api.js";
import { fill, html } from "../../html.js";
import { t } from "../../i18n.js";

/**
 * @typedef {object} Content
 * @property {string} title
 * @property {string} [hint]
 * @property {string[]} [commands] Commands to copy.
 * @property {string} [wait] A sentence about a step that happens by itself.
 * @property {string} [action] The label of the button.
 */

/** Commands in the remedy of a problem document. */
const COMMANDS = /`([^`]+)`/g;

const tellPage = () =>
  document.documentElement.classList.toggle("noticed", Boolean(document.querySelector("main mr-notice")));

export class Notice extends HTMLElement {
  // While a notice is shown, the strip about the connection is hidden.
  connectedCallback() {
    tellPage();
  }

  disconnectedCallback() {
    tellPage();
  }

  /** @param {Content} content */
  set content({ title, hint, commands = [], wait, action }) {
    this.setAttribute("role", "alert");
    fill(
      this,
      html`<div class="notice">
        <span class="leader" aria-hidden="true"></span>
        <h2>${title}</h2>
        ${hint && html`<p>${hint}</p>`}
        ${commands.map((command) => html`<pre tabindex="0"><code>${command}</code></pre>`)}
        ${wait && html`<p class="quiet">${wait}</p>`}
        ${action && html`<button type="button" class="button">${action}</button>`}
      </div>`,
    );
    this.querySelector("button")?.addEventListener("click", () =>
      this.dispatchEvent(new CustomEvent("retry", { bubbles: true })),
    );
  }
}

/**
 * The notice about a failed request.
 *
 * @param {unknown} error
 * @returns {Content}
 */
export const contentOf = (error) => {
  const action = t("state.retry");
  if (!(error instanceof ApiError)) throw error;
  const { detail, remedy } = error.problem;
  if (error.kind === "unreachable") {
    return {
      title: t(navigator.onLine ? "state.unreachable" : "state.offline"),
      hint: t("state.unreachable.hint"),
      action,
    };
  }
  if (error.kind === "no_model") {
    const commands = [...(remedy ?? "").matchAll(COMMANDS)].map(([, command]) => command);
    const hint = [detail, commands.length && t("state.no_model.hint")].filter(Boolean).join(" ");
    return {
      title: t("state.no_model"),
      hint,
      commands: commands.slice(0, 1),
      wait: t("state.no_model.wait"),
      action,
    };
  }
  if (error.kind === "not_found") return { title: t("state.notFound"), hint: detail };
  return {
    title: t("state.error"),
    hint: [detail ?? error.message, remedy].filter(Boolean).join(" "),
    action,
  };
};

customElements.define("mr-notice", Notice);
