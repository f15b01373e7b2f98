// @ts-check
// The lines that stand with a film wherever it is shown.
import { html } from "../../html.js";
import { percent, t } from "../../i18n.js";

/** @import { Film } from "../../films.js" */

/**
 * Year and genres in one line.
 *
 * @param {Pick<Film, "release_year" | "genres">} movie
 */
export const factsOf = (movie) =>
  [
    movie.release_year ?? t("fact.unknownYear"),
    (movie.genres ?? []).slice(0, 3).join(", ") || t("fact.noGenre"),
  ].join(" · ");

/**
 * "92 % match" with its dial.
 *
 * @param {number} score
 */
export const matchOf = (score) =>
  html`<span class="dial" data-share="${score}"></span>${t("card.match", { percent: percent(score) })}`;

/**
 * Turns the dials below `root`. Code does this, because the service's policy forbids styles in markup.
 *
 * @param {ParentNode} root
 */
export const turnDials = (root) => {
  for (const dial of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".dial")))
    dial.style.setProperty("--share", dial.dataset.share ?? "0");
};
