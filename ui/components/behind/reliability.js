// @ts-check
// A reliability diagram: of films with a match of 70 %, 7 in 10 should be liked. The diagonal is perfect.
import { html } from "../../html.js";
import { number, percent, t } from "../../i18n.js";

const SIZE = 200;
const MARKS = [0, 0.25, 0.5, 0.75, 1];
/** @import { Schemas } from "../../api.js" */

/** @param {number} share */
const across = (share) => share * SIZE;
/** @param {number} share */
const up = (share) => SIZE - share * SIZE;
/** @param {number} value */
const share = (value) => number(value, { style: "percent" });

/**
 * The diagram, and its figures as a table.
 *
 * @param {Schemas["ReliabilityBin"][]} bins
 * @param {number | null | undefined} error The expected calibration error.
 */
export const reliabilityDiagram = (bins, error) => {
  const most = Math.max(...bins.map(({ n }) => n));
  const points = bins.map(({ n, predicted, observed }) => ({
    x: across(predicted),
    y: up(observed),
    r: 2 + 7 * Math.sqrt(n / most),
  }));
  const label = bins
    .map(({ predicted, observed }) =>
      t("reliability.point", { predicted: percent(predicted), observed: share(observed) }),
    )
    .join("; ");
  return html`<div class="reliability">
    <figure>
      <svg viewBox="-34 -8 246 240" role="img" aria-label="${t("reliability.label", { points: label })}">
        ${MARKS.map(
          (mark) =>
            html`<path class="grid" d="M0 ${up(mark)}H${SIZE}M${across(mark)} 0V${SIZE}" /><text
                x="-6"
                y="${up(mark) + 3.5}"
                text-anchor="end"
                >${share(mark)}</text
              ><text x="${across(mark)}" y="${SIZE + 13}" text-anchor="middle">${share(mark)}</text>`,
        )}
        <path class="perfect" d="M0 ${SIZE}L${SIZE} 0" />
        <path class="line" d="M${points.map(({ x, y }) => `${x} ${y}`).join("L")}" />
        ${points.map(({ x, y, r }) => html`<circle cx="${x}" cy="${y}" r="${r}" />`)}
        <text x="${SIZE / 2}" y="${SIZE + 28}" text-anchor="middle">${t("reliability.predicted")}</text>
      </svg>
      <figcaption class="quiet">${t("reliability.caption")}</figcaption>
    </figure>
    <table class="bars bins">
      <thead>
        <tr>
          <th scope="col">${t("reliability.predicted")}</th>
          <th scope="col">${t("reliability.observed")}</th>
          <th scope="col">${t("reliability.n")}</th>
        </tr>
      </thead>
      <tbody>
        ${bins.map(
          ({ n, predicted, observed }) =>
            html`<tr>
              <td>${share(predicted)}</td>
              <td>${share(observed)}</td>
              <td>${number(n)}</td>
            </tr>`,
        )}
      </tbody>
      ${
        typeof error === "number" &&
        html`<tfoot>
          <tr>
            <th scope="row" colspan="2">${t("reliability.error")}</th>
            <td>${number(error, { style: "percent", maximumFractionDigits: 1 })}</td>
          </tr>
        </tfoot>`
      }
    </table>
  </div>`;
};
