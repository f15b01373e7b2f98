// <mr-toast>: short messages that go by themselves, and the voice for what only changes on screen.
import { html, node } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";

const STAY_MS = 7000;
const AT_ONCE = 3;

class Toast extends HTMLElement {
  say(text, { detail, action, onAction }) {
    const message = node(
      html`<div class="toast"><p><strong>${text}</strong>${detail && html` <span>${detail}</span>`}</p>
        ${action && html`<button type="button" class="link" data-do>${action}</button>`}
        <button type="button" class="act" aria-label="${t("act.close")}">${icons.close}</button></div>`,
    );
    message.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if ("do" in button.dataset) onAction();
      message.remove();
    });
    for (const old of this.children) if (old.textContent === message.textContent) old.remove();
    this.append(message);
    while (this.children.length > AT_ONCE) this.firstElementChild.remove();
    setTimeout(() => message.remove(), action ? STAY_MS * 2 : STAY_MS);
  }
}

customElements.define("mr-toast", Toast);

/** While a dialog is open everything beside it is silent and out of reach, so messages live inside it. */
export const rehome = () => {
  const home = document.querySelector("dialog[open]") ?? document.querySelector("mr-app");
  for (const voice of [document.getElementById("announcer"), document.querySelector("mr-toast")]) {
    if (voice.parentElement !== home) home.append(voice);
  }
};

/** Shows a message; {detail, action (label), onAction}. */
export const toast = (text, options = {}) => document.querySelector("mr-toast").say(text, options);

/** Says something to screen readers only. */
export const announce = (text) => {
  document.getElementById("announcer").textContent = text;
};
