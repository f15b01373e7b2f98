// @ts-check
// <mr-toast>: short messages that disappear by themselves, and announcements for screen readers.
import { closest, find, html, node } from "../../html.js";
import { icons } from "../../icons.js";
import { t } from "../../i18n.js";

/** @typedef {{ detail?: string, action?: string, onAction?: () => void }} Options `action`: a label. */

/** How long a message stays, in milliseconds; twice as long with a button. */
const STAY_MS = 7000;
/** Maximum number of messages at a time. */
const AT_ONCE = 3;

export class Toast extends HTMLElement {
  /**
   * @param {string} text
   * @param {Options} options
   */
  say(text, { detail, action, onAction }) {
    const message = node(
      html`<div class="toast">
        <p><strong>${text}</strong>${detail && html` <span>${detail}</span>`}</p>
        ${action && html`<button type="button" class="link" data-do>${action}</button>`}
        <button type="button" class="act" aria-label="${t("act.close")}">${icons.close}</button>
      </div>`,
    );
    message.addEventListener("click", (event) => {
      const button = closest(event, "button");
      if (!button) return;
      if ("do" in button.dataset) onAction?.();
      message.remove();
    });
    for (const old of this.children) if (old.textContent === message.textContent) old.remove();
    this.append(message);
    while (this.children.length > AT_ONCE) this.firstElementChild?.remove();
    setTimeout(() => message.remove(), action ? STAY_MS * 2 : STAY_MS);
  }
}

customElements.define("mr-toast", Toast);

/** Moves the messages into the open dialog, because screen readers skip everything outside it. */
export const rehome = () => {
  const home = document.querySelector("dialog[open]") ?? find(document, "mr-app");
  for (const voice of [find(document, "#announcer"), find(document, "mr-toast")]) {
    if (voice.parentElement !== home) home.append(voice);
  }
};

/**
 * Shows a message.
 *
 * @param {string} text
 * @param {Options} [options]
 */
export const toast = (text, options = {}) => find(document, "mr-toast").say(text, options);

/**
 * Says something to screen readers only.
 *
 * @param {string} text
 */
export const announce = (text) => {
  find(document, "#announcer").textContent = text;
};
