// @ts-check
// A chart of all evaluated systems: one row each, the mean as a dot on its 95 % interval.
import { html } from "../../html.js";
import { has, humanised, number, t } from "../../i18n.js";
import { systemText } from "../../names.js";

/** @import { Schemas } from "../../api.js" */

/** The name of the whole ranker in an evaluation. */
const RANKER = "movierank";

/** @param {string} name Such as "ndcg@10". */
export const metricName = (name) => {
  const [kind, cutOff] = name.split("@");
  const at = cutOff ? `@${cutOff}` : "";
  return has(`metric.${kind}`) ? t(`metric.${kind}`, { at }) : humanised(kind) + at;
};
/** @param {number} value */
export const figure = (value) => number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });

/**
 * A chart of a metric as a table, best first; null where no system has the metric.
 *
 * @param {Schemas["EvaluationSummary"]["systems"]} systems
 * @param {string} metric
 */
export const systemsChart = (systems, metric) => {
  const rows = Object.entries(systems).flatMap(([name, figures]) =>
    figures[metric] ? [{ name, ...figures[metric] }] : [],
  );
  if (!rows.length) return null;
  rows.sort((a, b) => b.mean - a.mean);
  const most = Math.max(...rows.map(({ high }) => high)) || 1;
  return html`<table class="bars systems">
    <caption>
      ${metricName(metric)}
    </caption>
    <tbody>
      ${rows.map(
        ({ name, mean, low, high }) =>
          html`<tr class="${name === RANKER ? "own" : ""}">
            <th scope="row">${systemText(name)}</th>
            <td class="track" aria-hidden="true">
              <span
                class="spread"
                data-low="${low / most}"
                data-mean="${mean / most}"
                data-high="${high / most}"
              ></span>
            </td>
            <td class="value">
              ${figure(mean)}
              <span class="interval"
                >${low < high && t("behind.interval", { low: figure(low), high: figure(high) })}</span
              >
            </td>
          </tr>`,
      )}
    </tbody>
  </table>`;
};

/**
 * Places the dots and intervals below `root`. The service's policy forbids styles in markup.
 *
 * @param {ParentNode} root
 */
export const placeSpreads = (root) => {
  for (const spread of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(".spread"))) {
    for (const [name, value] of Object.entries(spread.dataset))
      spread.style.setProperty(`--${name}`, value ?? null);
  }
};
