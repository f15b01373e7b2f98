// @ts-check
// Poster compositions that show a face or a figure: inks and a seeded random source in, SVG markup out.
import { html } from "../../html.js";
import { circle, line, polar, polygon, range, rect, round, shape, tilted } from "./shapes.js";

/** @import { Motif } from "./shapes.js" */

/** @type {Motif} */
export const creature = (ink, { between, chance }) => {
  const [x, wide, eye] = [between(88, 112), between(52, 66), between(9, 13)];
  return [
    circle(chance(0.5) ? 168 : 34, 46, 20, ink.first),
    shape(`M${x - wide} 310V${128}a${wide} ${wide} 0 0 1 ${2 * wide} 0V310Z`, ink.second),
    polygon(
      [
        [x - wide + 4, 112],
        [x - wide + 10, 52],
        [x - wide + 42, 84],
      ],
      ink.second,
    ),
    polygon(
      [
        [x + wide - 4, 112],
        [x + wide - 10, 52],
        [x + wide - 42, 84],
      ],
      ink.second,
    ),
    circle(x - 22, 122, eye, "#fff"),
    circle(x + 22, 122, eye, "#fff"),
    circle(x - 20, 123, eye * 0.5, ink.title),
    circle(x + 24, 123, eye * 0.5, ink.title),
    shape(`M${x - 42} 200a42 44 0 0 1 84 0V310h-84Z`, ink.first),
  ];
};

/** @type {Motif} */
export const grin = (ink, { between }) => {
  const lean = between(-14, 14);
  return tilted(lean, [
    circle(58, 66, 21, ink.first),
    circle(142, 66, 21, ink.second),
    shape("M28 108H172A72 72 0 0 1 28 108Z", ink.title),
    shape("M58 158a52 30 0 0 1 84 0A72 72 0 0 1 58 158Z", ink.first),
  ]);
};

/** @type {Motif} */
export const disguise = (ink, { between }) =>
  tilted(between(-12, 12), [
    line("M12 84Q20 74 34 78M188 84Q180 74 166 78M90 82Q100 74 110 82", ink.title, 7),
    circle(62, 86, 31, ink.title),
    circle(138, 86, 31, ink.title),
    circle(62, 86, 23, ink.second),
    circle(138, 86, 23, ink.second),
    circle(70, 90, 9, ink.title),
    circle(146, 90, 9, ink.title),
    shape("M88 96q12-8 24 0 12 40 4 48-16 10-32 0-8-8 4-48Z", ink.first),
    shape(
      "M100 156q-22-18-44 0-10 8-28 4 10 26 40 26 22 0 32-16 10 16 32 16 30 0 40-26-18 4-28-4-22-18-44 0Z",
      ink.title,
    ),
  ]);

/** @type {Motif} */
export const fingerprint = (ink, { between }) =>
  html`<g transform="rotate(${round(between(-24, 24))} 100 104)"
    >${range(8).map((n) => {
      const [r, h] = [8 + n * 10, 26 + n * 7];
      return line(
        `M${100 - r} ${104 + h * between(0.5, 1)}V${104 - h * 0.2}` +
          `a${r} ${r} 0 0 1 ${2 * r} 0V${round(104 + h * between(0.4, 1))}`,
        n === 4 ? ink.second : ink.first,
        4.6,
      );
    })}</g
  >`;

/** @type {Motif} */
export const twoFaces = (ink, { between, chance }) => {
  const face =
    "M-6 0H96V14C102 32 104 44 103 56L116 84Q119 91 108 93L110 104Q112 108 106 110L110 118" +
    "Q112 132 98 136L76 140V310H-6Z";
  const shift = between(-16, 0);
  const one = html`<g transform="translate(${round(shift)} 10)">${shape(face, ink.first)}</g>`;
  const other = html`<g transform="translate(${round(200 - shift)} ${chance(0.5) ? 34 : 22}) scale(-1 1)"
    >${shape(face, ink.second, "overprint")}</g
  >`;
  return [circle(between(80, 120), 60, 34, ink.title), one, other];
};

/** @type {Motif} */
export const fangs = (ink, { between }) => {
  const row = (/** @type {number} */ y, /** @type {number} */ down) =>
    range(7).map((n) =>
      polygon(
        [
          [n * 33 - 14, y],
          [n * 33 + 19, y],
          [n * 33 + 2, y + down * between(34, 66)],
        ],
        ink.first,
      ),
    );
  return [
    row(-2, 1),
    html`<g transform="translate(0 186)">${row(0, -1)}</g>`,
    rect(0, 185, 200, 120, ink.first),
    circle(72, 96, 7, ink.title),
    circle(128, 96, 7, ink.title),
  ];
};

/** @type {Motif} */
export const eye = (ink, { between }) => {
  const y = between(96, 116);
  return [
    range(14).map((n) =>
      line(
        `M100 ${round(y)}L${polar(100, y, 200, n / 14 + 0.02)
          .map(round)
          .join(" ")}`,
        ink.second,
        5,
      ),
    ),
    shape(`M8 ${y}Q100 ${y - 92} 192 ${y}Q100 ${y + 92} 8 ${y}Z`, ink.title),
    circle(100, y, 40, ink.first),
    circle(100, y, 18, ink.ground),
    circle(110, y - 12, 6, ink.title),
  ];
};

/** @type {Motif} */
export const embrace = (ink, { between }) => {
  const gap = between(30, 40);
  return [
    circle(100 - gap, 100, 62, ink.first),
    circle(100 + gap, 112, 62, ink.second, "overprint"),
    circle(100, 106, 12, ink.title),
  ];
};

/** @type {Motif} */
export const glasses = (ink, { between }) => {
  /** @type {(x: number, lean: number, fill: string) => unknown} */
  const glass = (x, lean, fill) => {
    const outline = shape(`M${x - 30} 52h60q4 62-26 66v50h18v6h-44v-6h18v-50q-30-4-26-66Z`, ink.title);
    const wine = shape(`M${x - 26} 76h52q-2 36-26 38t-26-38Z`, fill);
    return html`<g transform="rotate(${lean} ${x} 110)">${outline}${wine}</g>`;
  };
  return [circle(100, between(52, 70), 40, ink.second), glass(62, 13, ink.first), glass(138, -13, ink.first)];
};

/** @type {Motif} */
export const robot = (ink, { between }) => {
  const eyes = between(17, 25);
  return [
    line("M100 44V16", ink.title, 4),
    circle(100, 14, 8, ink.second),
    rect(44, 42, 112, 98, ink.first),
    rect(30, 72, 14, 38, ink.second),
    rect(156, 72, 14, 38, ink.second),
    circle(76, 82, eyes, ink.title),
    circle(124, 82, eyes, ink.title),
    circle(76, 82, 8, ink.ground),
    circle(124, 82, 8, ink.ground),
    range(5).map((n) => rect(64 + n * 15, 116, 11, 12, ink.ground)),
    rect(84, 140, 32, 14, ink.second),
    rect(26, 154, 148, 160, ink.first),
  ];
};

/** @type {Motif} */
export const rider = (ink, { between }) => [
  circle(between(84, 116), 104, 84, ink.second),
  shape("M38 82q20 6 34 2 2-40 16-44 12-3 12 2 0-5 12-2 14 4 16 44 14 4 34-2-8 20-62 20t-62-20Z", ink.first),
  shape("M70 104q30 8 60 0 4 40-14 54l46 16q14 8 18 136H20q4-128 18-136l46-16q-18-14-14-54Z", ink.first),
];
