// What the fields that propose look through: films by title, users by number.
import { api } from "../../api.js";
import { html } from "../../html.js";
import { t } from "../../i18n.js";
import { factsOf } from "../card/facts.js";
import "./combobox.js";

const SHOWN = 8;

/** The settings of a field that finds films. */
export const filmSearch = (label) => ({
  label,
  none: t("search.none"),
  source: async (text, signal) => (await api.movies(text, SHOWN, signal)).results,
  option: (film) => html`<span dir="auto">${film.title}</span><span class="quiet">${factsOf(film)}</span>`,
});

/** The settings of a field that finds users. */
export const userSearch = () => ({
  label: t("who.search"),
  none: t("who.none"),
  source: async (text, signal) => (await api.users(text, SHOWN, signal)).results,
  option: ({ user_id, n_events }) =>
    html`<span>${t("who.user", { id: String(user_id) })}</span><span class="quiet">${t("who.films", { n: n_events })}</span>`,
});
