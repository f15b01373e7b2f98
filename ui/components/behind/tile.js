// @ts-check
// One figure with its label, in a list of tiles.
import { html } from "../../html.js";

/**
 * @param {string} label
 * @param {unknown} value
 * @param {unknown} [more] Something to add in smaller letters.
 */
export const tile = (label, value, more) =>
  html`<div>
    <dt>${label}</dt>
    <dd>${value}${more && html` <span class="quiet">${more}</span>`}</dd>
  </div>`;
