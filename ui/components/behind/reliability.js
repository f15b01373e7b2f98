// Whether a match of 70 % is liked 7 times in 10: predicted against observed share, the diagonal being perfect.
import { html } from "../../html.js";
import { number, percent, t } from "../../i18n.js";

const SIZE = 200;
const MARKS = [0, 0.25, 0.5, 0.75, 1];
const across = (share) => share * SIZE;
const up = (share) => SIZE - share * SIZE;
const share = (value) => number(value, { style: "percent" });

/** The diagram and its figures as a table; `bins` are {n, predicted, observed}. */
export const reliabilityDiagram = (bins, error) => {
  const most = Math.max(...bins.map(({ n }) => n));
  const label = bins.map(({ predicted, observed }) => t("reliability.point", { predicted: percent(predicted), observed: share(observed) })).join("; ");
  return html`<div class="reliability"><figure><svg viewBox="-34 -8 246 240" role="img" aria-label="${t("reliability.label", { points: label })}">
    ${MARKS.map((mark) => html`<path class="grid" d="M0 ${up(mark)}H${SIZE}M${across(mark)} 0V${SIZE}" /><text x="-6" y="${up(mark) + 3.5}" text-anchor="end">${share(mark)}</text
      ><text x="${across(mark)}" y="${SIZE + 13}" text-anchor="middle">${share(mark)}</text>`)}
    <path class="perfect" d="M0 ${SIZE}L${SIZE} 0" />
    <path class="line" d="${bins.map(({ predicted, observed }, n) => `${n ? "L" : "M"}${across(predicted)} ${up(observed)}`).join("")}" />
    ${bins.map(({ n, predicted, observed }) => html`<circle cx="${across(predicted)}" cy="${up(observed)}" r="${2 + 7 * Math.sqrt(n / most)}" />`)}
    <text x="${SIZE / 2}" y="${SIZE + 28}" text-anchor="middle">${t("reliability.predicted")}</text></svg>
    <figcaption class="quiet">${t("reliability.caption")}</figcaption></figure>
    <table class="bars bins"><thead><tr><th scope="col">${t("reliability.predicted")}</th><th scope="col">${t("reliability.observed")}</th><th scope="col">${t("reliability.n")}</th></tr></thead>
      <tbody>${bins.map(({ n, predicted, observed }) => html`<tr><td>${share(predicted)}</td><td>${share(observed)}</td><td>${number(n)}</td></tr>`)}</tbody>
      ${Number.isFinite(error) && html`<tfoot><tr><th scope="row" colspan="2">${t("reliability.error")}</th><td>${number(error, { style: "percent", maximumFractionDigits: 1 })}</td></tr></tfoot>`}</table></div>`;
};
