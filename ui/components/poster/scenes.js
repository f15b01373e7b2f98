// @ts-check
// Poster compositions that show a place: each takes inks and a seeded random source and returns SVG markup.
import { html } from "../../html.js";
import { circle, daylight, line, polar, polygon, range, rect, ring, round, shape } from "./shapes.js";

/** @import { Motif } from "./shapes.js" */

/** @type {Motif} */
export const peaks = (ink, { between }) => {
  /** @type {(y: number, rise: number, fill: string, n: number) => unknown} */
  const ridge = (y, rise, fill, n) => {
    const tops = range(n).map((k) => {
      const height = (k % 2 ? rise * 0.35 : rise) * between(0.75, 1.1);
      return `L${round((k + 0.5) * (200 / n))} ${round(y - height)}`;
    });
    return shape(`M-5 310L-5 ${y}${tops.join("")}L205 ${y}L205 310Z`, fill);
  };
  return [
    circle(between(60, 140), between(58, 80), between(26, 36), daylight(ink)),
    ridge(150, 70, ink.second, 3),
    ridge(182, 58, ink.first, 5),
    ridge(212, 26, ink.ground, 4),
  ];
};

/** @type {Motif} */
export const sails = (ink, { between }) => {
  const wave = (/** @type {number} */ y, /** @type {string} */ fill) =>
    shape(
      `M-10 ${y}${range(6)
        .map(() => "q10-12 20 0t20 0")
        .join("")}V310H-10Z`,
      fill,
    );
  return [
    circle(between(40, 160), 56, 30, daylight(ink)),
    shape("M94 30V150H34Q80 100 94 30Z", ink.second),
    shape("M102 46q52 40 58 104h-58Z", ink.second, "overprint"),
    rect(96, 22, 5, 140, ink.title),
    shape("M32 158H170Q156 190 140 196H62Q40 190 32 158Z", ink.title),
    wave(176, ink.first),
    wave(196, ink.ground),
  ];
};

/** @type {Motif} */
export const winding = (ink, { between }) => {
  const sway = between(40, 70);
  return [
    circle(100, 78, 44, ink.second),
    rect(0, 100, 200, 210, ink.first),
    shape(
      `M96 100C${100 + sway} 128 ${100 - sway} 150 60 215L150 215` +
        `C${150 - sway * 0.3} 160 ${100 + sway * 1.3} 130 104 100Z`,
      ink.ground,
    ),
  ];
};

/** @type {Motif} */
export const blinds = (ink, { between }) => {
  const x = between(70, 130);
  return [
    range(11).map((n) => rect(-20, 8 + n * 19, 240, 8 + n * 0.4, n % 5 === 3 ? ink.second : ink.first)),
    shape(
      `M${x - 29} 88l4-42q25-16 50 0l4 42Zm-25 4q54 20 108 0 0-12-54-12t-54 12Zm32 4q0 44 22 50t22-50Z` +
        `M${x - 78} 310q4-128 52-144l26 14 26-14q48 16 52 144Z`,
      ink.ground,
    ),
  ];
};

/** @type {Motif} */
export const city = (ink, { between }) => [
  circle(between(50, 150), 74, 38, ink.second),
  range(8).map((n) => rect(n * 27 - 8, 84 + between(0, 72), 24, 240, n % 3 === 1 ? ink.second : ink.first)),
  range(16).map((n) => rect((n % 8) * 27 - 2, 172 + Math.floor(n / 8) * 16, 5, 7, ink.ground)),
];

/** @type {Motif} */
export const lamplight = (ink, { between, chance }) => {
  const x = chance(0.5) ? between(28, 60) : between(110, 140);
  return [
    polygon(
      [
        [x, 36],
        [x + 44, 36],
        [x + 44 + (x < 90 ? 92 : -150), 310],
        [x + (x < 90 ? 8 : -60), 310],
      ],
      ink.second,
    ),
    rect(x, 26, 44, 96, ink.first),
    rect(x + 20, 26, 4, 96, ink.ground),
    rect(x, 70, 44, 4, ink.ground),
    shape(`M${x < 90 ? 120 : 62} 214v-34q-12-4-12-18 0-20 16-20t16 20q0 14-12 18v34Z`, ink.title),
  ];
};

/** @type {Motif} */
export const horizon = (ink, { between }) => {
  const y = between(104, 132);
  return [
    rect(0, 0, 200, y, ink.first),
    circle(between(54, 146), y, between(34, 52), ink.title),
    rect(0, y, 200, 310 - y, ink.ground),
    range(5).map((n) =>
      rect(between(10, 90), y + 12 + n * 15, between(40, 100) - n * 6, 4, n % 2 ? ink.second : ink.first),
    ),
  ];
};

/** @type {Motif} */
export const stairs = (ink, { between, chance }) => {
  const n = 7;
  const steps = range(n).map((k) =>
    rect(k * (200 / n), 196 - k * 24, 210, 310, k % 2 ? ink.second : ink.first),
  );
  const figure = [circle(168, 24, 8, ink.title), shape("M158 56q-1-22 10-22t10 22Z", ink.title)];
  const content = [circle(between(40, 66), between(48, 72), 30, ink.title), steps, figure];
  return chance(0.5) ? content : html`<g transform="translate(200 0) scale(-1 1)">${content}</g>`;
};

/** @type {Motif} */
export const houses = (ink, { between }) => [
  circle(between(40, 160), 54, 26, ink.first),
  range(4).map((n) => {
    const [x, y] = [n * 52 - 8, 132 + between(-22, 16)];
    const fill = n % 2 ? ink.second : ink.title;
    return [
      rect(x, y, 46, 200, fill),
      polygon(
        [
          [x - 4, y],
          [x + 23, y - 32],
          [x + 50, y],
        ],
        n % 2 ? ink.title : ink.second,
      ),
      rect(x + 16, y + 22, 14, 18, ink.first),
    ];
  }),
];

/** @type {Motif} */
export const castle = (ink, { between, pick }) => [
  range(26).map(() => circle(between(6, 194), between(8, 150), pick([0.9, 1.3, 2]), ink.title)),
  circle(between(56, 144), 70, 40, ink.second),
  range(5).map((n) => {
    const [x, y] = [20 + n * 36, [150, 118, 84, 112, 142][n] + between(-8, 8)];
    return [
      rect(x, y, 20, 240, ink.first),
      polygon(
        [
          [x - 5, y],
          [x + 10, y - 38],
          [x + 25, y],
        ],
        n % 2 ? ink.second : ink.first,
      ),
    ];
  }),
  rect(0, 178, 200, 140, ink.first),
];

/** @type {Motif} */
export const moonlit = (ink, { between }) => {
  const x = between(84, 116);
  return [
    circle(x, 100, 74, ink.second),
    circle(x + 26, 84, 62, ink.ground),
    range(9).map((n) => {
      const [sx, sy] = [between(14, 186), between(12, 180)];
      return shape(
        `M${round(sx)} ${round(sy - 7)}l2 5 5 2-5 2-2 5-2-5-5-2 5-2Z`,
        n % 2 ? ink.first : ink.title,
      );
    }),
    shape("M-5 205q50-34 100-8t110-12V310H-5Z", ink.first),
  ];
};

/** @type {Motif} */
export const columns = (ink, { between }) => [
  circle(between(60, 140), 66, 40, ink.second),
  shape("M14 78L100 34L186 78Z", ink.first),
  rect(14, 82, 172, 12, ink.first),
  range(5).map((n) => rect(22 + n * 35, 100, 18, 104, ink.first)),
  rect(8, 196, 184, 10, ink.first),
];

/** @type {Motif} */
export const planet = (ink, { between, pick }) => {
  const [x, y, r, lean] = [between(80, 120), between(92, 116), between(44, 58), between(-32, -12)];
  const [left, right, height] = [round(x - r * 1.7), round(x + r * 1.7), round(y)];
  const orbit = (/** @type {0 | 1} */ half) => {
    const d = `M${left} ${height}A${round(r * 1.7)} ${round(r * 0.42)} 0 0 ${half} ${right} ${height}`;
    return html`<path d="${d}" fill="none" stroke="${ink.second}" stroke-width="7" />`;
  };
  const shade =
    `M${round(x - r)} ${height}a${round(r)} ${round(r)} 0 0 0 ${round(2 * r)} 0` +
    `a${round(r)} ${round(r * 0.5)} 0 0 1 ${round(-2 * r)} 0Z`;
  return [
    range(34).map(() => circle(between(4, 196), between(4, 210), pick([0.7, 1, 1.8]), ink.title)),
    html`<g transform="rotate(${round(lean)} ${round(x)} ${round(y)})"
      >${orbit(1)}${circle(x, y, r, ink.first)}${shape(shade, ink.ground, "shade")}${orbit(0)}</g
    >`,
  ];
};

/** @type {Motif} */
export const orbits = (ink, { between }) => [
  range(5).map((n) => [
    ring(100, 104, 26 + n * 26, n % 2 ? ink.second : ink.title, 1.6),
    circle(...polar(100, 104, 26 + n * 26, between(0, 1)), 5 + ((n * 3) % 8), n % 2 ? ink.first : ink.second),
  ]),
  circle(100, 104, 17, ink.first),
];

/** @type {Motif} */
export const gridSun = (ink, { between }) => {
  const x = between(84, 116);
  return [
    circle(x, 88, 58, ink.first),
    range(6).map((n) => rect(0, 82 + n * 11, 200, 2 + n, ink.ground)),
    rect(0, 140, 200, 170, ink.ground),
    range(13).map((n) => line(`M${round(x)} 120L${(n - 6) * 60 + 100} 310`, ink.second, 1.4)),
    rect(0, 118, 200, 24, ink.ground),
    range(7).map((n) => rect(0, 142 + n * n * 3.2, 200, 1.4, ink.second)),
  ];
};

/** @type {Motif} */
export const corridor = (ink, { between }) => {
  const [x, y] = [between(88, 112), between(86, 104)];
  return range(7)
    .map((n) => {
      const s = 1 - n / 7;
      return rect(
        x - 120 * s,
        y - 128 * s,
        240 * s,
        256 * s,
        [ink.first, ink.ground, ink.second, ink.ground][n % 4],
      );
    })
    .concat([circle(x, y, 9, ink.title)]);
};

/** @type {Motif} */
export const searchlights = (ink, { between }) => [
  [46, 128, 176].map((x, n) => {
    const aim = between(-60, 60);
    return polygon(
      [
        [x, 214],
        [x + aim - 30, -10],
        [x + aim + 30, -10],
      ],
      n === 1 ? ink.second : ink.first,
      "overprint",
    );
  }),
  shape("M-5 190l24-10 18 8 30-16 26 18 34-10 22 12 30-16 30 10V310H-5Z", ink.first),
];

/** @type {Motif} */
export const mesa = (ink, { between }) => {
  const x = between(60, 140);
  return [
    circle(x, 92, 60, ink.second),
    range(5).map((n) => rect(0, 100 + n * 13, 200, 3 + n * 1.6, ink.ground)),
    shape("M-5 310L-5 132L30 128L36 150L62 154L72 190L205 190L205 310Z", ink.first),
    shape("M142 194L148 116L184 112L192 194Z", ink.first),
    rect(0, 188, 200, 130, ink.first),
  ];
};
