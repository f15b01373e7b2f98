// How good the version is beside others: one row per system, its mean as a dot on its 95 % interval.
import { html } from "../../html.js";
import { has, humanised, number, t } from "../../i18n.js";
import { systemText } from "../../reasons.js";

export const RANKER = "movierank";
export const metricName = (name) => {
  const [kind, cutOff] = name.split("@");
  const at = cutOff ? `@${cutOff}` : "";
  return has(`metric.${kind}`) ? t(`metric.${kind}`, { at }) : humanised(kind) + at;
};
export const figure = (value) => number(value, { minimumFractionDigits: 3, maximumFractionDigits: 3 });

/** A chart of `metric` as a table, best first; nothing where no system has it. */
export const systemsChart = (systems, metric) => {
  const rows = Object.entries(systems).flatMap(([name, figures]) => (figures[metric] ? [{ name, ...figures[metric] }] : []));
  if (!rows.length) return null;
  rows.sort((a, b) => b.mean - a.mean);
  const most = Math.max(...rows.map(({ high }) => high)) || 1;
  return html`<table class="bars systems"><caption>${metricName(metric)}</caption><tbody>${rows.map(({ name, mean, low, high }) => html`<tr class="${name === RANKER ? "own" : ""}"
    ><th scope="row">${systemText(name)}</th><td class="track" aria-hidden="true"><span class="spread" data-low="${low / most}" data-mean="${mean / most}" data-high="${high / most}"></span></td
    ><td class="value">${figure(mean)} <span class="interval">${low < high && t("behind.interval", { low: figure(low), high: figure(high) })}</span></td></tr>`)}</tbody></table>`;
};

/** Puts the intervals below `root` where their numbers say; the policy forbids styles in markup. */
export const placeSpreads = (root) => {
  for (const spread of root.querySelectorAll(".spread")) {
    for (const [name, value] of Object.entries(spread.dataset)) spread.style.setProperty(`--${name}`, value);
  }
};
