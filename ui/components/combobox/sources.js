// @ts-check
// The two searches of the page: films by title, users by number.
import { api } from "../../api.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { factsOf } from "../card/facts.js";
import "./combobox.js";

const SHOWN = 8;

/**
 * @import { Schemas } from "../../api.js"
 * @import { Film } from "../../films.js"
 * @import { Settings } from "./combobox.js"
 */

/**
 * The settings of a field that finds films.
 *
 * @param {string} label
 * @returns {Settings}
 */
export const filmSearch = (label) => ({
  label,
  none: t("search.none"),
  source: async (text, signal) => (await api.movies(text, SHOWN, signal)).results,
  option: (/** @type {Film} */ film) =>
    html`<span dir="auto">${film.title}</span><span class="quiet">${factsOf(film)}</span>`,
});

/**
 * The settings of a field that finds users.
 *
 * @returns {Settings}
 */
export const userSearch = () => ({
  label: t("who.search"),
  none: t("who.none"),
  source: async (text, signal) => (await api.users(text, SHOWN, signal)).results,
  option: (/** @type {Schemas["UserEntry"]} */ { user_id, n_events }) =>
    html`<span>${t("who.user", { id: String(user_id) })}</span
      ><span class="quiet">${t("who.films", { n: n_events })}</span>`,
});
