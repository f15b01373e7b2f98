// The lines that go with a film wherever it is shown.
import { html } from "../../html.js";
import { percent, t } from "../../i18n.js";

/** Year and genres in one line. */
export const factsOf = (movie) =>
  [movie.release_year ?? t("fact.unknownYear"), (movie.genres ?? []).slice(0, 3).join(", ") || t("fact.noGenre")].join(" · ");

/** "92 % match" with its dial. */
export const matchOf = (score) => html`<span class="dial" data-share="${score}"></span>${t("card.match", { percent: percent(score) })}`;

/** Turns the dials below `root`: a policy against inline styles leaves this to code. */
export const turnDials = (root) => {
  for (const dial of root.querySelectorAll(".dial")) dial.style.setProperty("--share", dial.dataset.share);
};
