// <mr-notice>: a state in the place of content: nothing here, no model, out of reach, an error. Emits "retry".
import { fill, html } from "../../html.js";
import { t } from "../../i18n.js";

const COMMANDS = /`([^`]+)`/g;

const tellPage = () => document.documentElement.classList.toggle("noticed", Boolean(document.querySelector("main mr-notice")));

class Notice extends HTMLElement {
  // The strip that tells of the connection keeps quiet while a notice says it.
  connectedCallback() {
    tellPage();
  }

  disconnectedCallback() {
    tellPage();
  }

  /** {title, hint?, commands?, wait?, action?}: texts; `action` is the label of the button. */
  set content({ title, hint, commands = [], wait, action }) {
    this.setAttribute("role", "alert");
    fill(
      this,
      html`<div class="notice"><span class="leader" aria-hidden="true"></span>
        <h2>${title}</h2>
        ${hint && html`<p>${hint}</p>`}
        ${commands.map((command) => html`<pre tabindex="0"><code>${command}</code></pre>`)}
        ${wait && html`<p class="quiet">${wait}</p>`}
        ${action && html`<button type="button" class="button">${action}</button>`}</div>`,
    );
    this.querySelector("button")?.addEventListener("click", () => this.dispatchEvent(new CustomEvent("retry", { bubbles: true })));
  }
}

/** What a notice says of an ApiError. */
export const contentOf = (error) => {
  const action = t("state.retry");
  const { detail, remedy } = error.problem;
  if (error.kind === "unreachable") {
    return { title: t(navigator.onLine ? "state.unreachable" : "state.offline"), hint: t("state.unreachable.hint"), action };
  }
  if (error.kind === "no_model") {
    const commands = [...(remedy ?? "").matchAll(COMMANDS)].map(([, command]) => command);
    const hint = [detail, commands.length && t("state.no_model.hint")].filter(Boolean).join(" ");
    return { title: t("state.no_model"), hint, commands: commands.slice(0, 1), wait: t("state.no_model.wait"), action };
  }
  if (error.kind === "not_found") return { title: t("state.notFound"), hint: detail };
  return { title: t("state.error"), hint: [detail ?? error.message, remedy].filter(Boolean).join(" "), action };
};

customElements.define("mr-notice", Notice);
