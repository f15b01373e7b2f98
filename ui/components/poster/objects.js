// @ts-check
// Poster compositions that show a thing or a pattern: inks and a seeded random source in, SVG markup out.
import { html } from "../../html.js";
import { circle, line, polar, polygon, range, rect, ring, round, shape, tilted } from "./shapes.js";

/** @import { Motif, Point } from "./shapes.js" */

/** @type {Motif} */
export const burst = (ink, { between }) => {
  const [x, y, n] = [between(70, 130), between(85, 115), 9 + Math.floor(between(0, 5))];
  /** @type {(inner: number, outer: number, turn: number) => Point[]} */
  const star = (inner, outer, turn) =>
    range(n * 2).map((k) =>
      polar(x, y, k % 2 ? inner : outer * (0.8 + (0.4 * ((k * 7) % 5)) / 5), turn + k / (n * 2)),
    );
  return [
    polygon(star(70, 190, 0), ink.second),
    polygon(star(34, 92, 0.03), ink.first),
    circle(x, y, 22, ink.ground),
  ];
};

/** @type {Motif} */
export const bolt = (ink, { between }) =>
  tilted(between(-10, 12), [
    circle(100, 104, 82, ink.second),
    shape("M118 -6L46 118L96 118L76 222L158 86L106 86L138 -6Z", ink.first),
  ]);

/** @type {Motif} */
export const slashes = (ink, { between }) => {
  const lean = between(24, 38);
  return tilted(lean, [
    rect(-80, 24, 360, 26, ink.first),
    rect(-80, 62, 210, 60, ink.second),
    rect(146, 62, 200, 60, ink.first),
    rect(-80, 134, 130, 12, ink.title),
    rect(62, 134, 260, 12, ink.second),
    rect(-80, 158, 360, 34, ink.first),
  ]);
};

/** @type {Motif} */
export const compass = (ink, { between }) => {
  /** @type {(r: number, fill: string, turn: number) => unknown} */
  const needle = (r, fill, turn) =>
    html`<path
      d="M100 104L${100 - r * 0.16} ${104 - r * 0.16}L100 ${104 - r}L${100 + r * 0.16} ${104 - r * 0.16}Z"
      fill="${fill}"
      transform="rotate(${turn} 100 104)"
    />`;
  const quarters = [0, 90, 180, 270].map((turn) => needle(70, turn ? ink.title : ink.second, turn));
  return [
    circle(100, 104, 84, ink.first),
    circle(100, 104, 74, ink.ground),
    ring(100, 104, 64, ink.first, 2),
    html`<g transform="rotate(${round(between(-30, 30))} 100 104)"
      >${[45, 135, 225, 315].map((turn) => needle(44, ink.first, turn))}${quarters}</g
    >`,
    circle(100, 104, 7, ink.ground),
  ];
};

/** @type {Motif} */
export const bubbles = (ink, { between }) =>
  [
    { x: 62, y: 74, r: 56, fill: ink.first },
    { x: 142, y: 106, r: 50, fill: ink.second },
    { x: 84, y: 150, r: 44, fill: ink.title },
    { x: 158, y: 40, r: 22, fill: ink.title },
  ].map(({ x, y, r, fill }, n) =>
    circle(x + between(-14, 14), y + between(-10, 10), r, fill, n === 1 ? "overprint" : ""),
  );

/** @type {Motif} */
export const confetti = (ink, { between, pick }) =>
  range(20).map((n) => {
    const [x, y, r] = [(n % 4) * 50 + 25, Math.floor(n / 4) * 42 + 22, 19];
    const fill = pick([ink.first, ink.second, ink.title]);
    const turn = Math.floor(between(0, 4)) * 90;
    return n % 3 === 2
      ? circle(x, y, r * 0.6, fill)
      : html`<path
          d="M${x - r} ${y}a${r} ${r} 0 0 1 ${2 * r} 0Z"
          fill="${fill}"
          transform="rotate(${turn} ${x} ${y})"
        />`;
  });

/** @type {Motif} */
export const contact = (ink, { pick }) => [
  range(12).map((n) =>
    rect(
      14 + (n % 3) * 60,
      16 + Math.floor(n / 3) * 48,
      52,
      40,
      pick([ink.first, ink.first, ink.title, ink.second]),
    ),
  ),
  ring(40, 84, 27, ink.second, 5),
];

/** @type {Motif} */
export const lens = (ink, { between }) => {
  const [x, y] = [between(80, 120), between(92, 112)];
  return [
    circle(x, y, 84, ink.first),
    circle(x, y, 66, ink.title),
    circle(x, y, 44, ink.first),
    circle(x, y, 24, ink.title),
    circle(x - 26, y - 30, 12, ink.ground),
    rect(0, y - 3, 200, 6, ink.second),
  ];
};

/** @type {Motif} */
export const rainbow = (ink, { between }) => {
  const x = between(70, 130);
  return [ink.second, ink.first, ink.title, ink.second, ink.first].map((fill, n) =>
    ring(x, 210, 150 - n * 24, fill, 18),
  );
};

/** @type {Motif} */
export const record = (ink, { between }) => {
  const [x, y] = [between(70, 130), between(94, 112)];
  return [
    circle(x, y, 86, ink.title),
    [74, 64, 54, 44].map((r) => ring(x, y, r, ink.first, 2)),
    circle(x, y, 30, ink.second),
    circle(x, y, 5, ink.ground),
    line(`M188 14L${round(x + 46)} ${round(y - 10)}`, ink.first, 7),
  ];
};

/** @type {Motif} */
export const equaliser = (ink, { between }) =>
  range(9).map((n) => {
    const h = 30 + between(0, 150) * Math.sin(((n + 1) / 10) * Math.PI);
    return rect(12 + n * 20, 196 - h, 14, h, n % 3 === 1 ? ink.second : n % 3 ? ink.first : ink.title);
  });

/** @type {Motif} */
export const keyhole = (ink, { between }) => {
  const x = between(84, 116);
  return [
    range(6).map((n) => ring(x, 98, 150 - n * 22, n % 2 ? ink.first : ink.second, 11)),
    circle(x, 88, 32, ink.title),
    polygon(
      [
        [x - 12, 104],
        [x + 12, 104],
        [x + 28, 176],
        [x - 28, 176],
      ],
      ink.title,
    ),
  ];
};

/** @type {Motif} */
export const spiral = (ink, { between, chance }) => {
  const [x, y, way] = [between(86, 114), between(92, 112), chance(0.5) ? 1 : -1];
  const arm = (/** @type {number} */ offset) =>
    range(180)
      .map((n) =>
        polar(x, y, 3 + n * 0.72, way * (n / 52) + offset)
          .map(round)
          .join(" "),
      )
      .join("L");
  return [line(`M${arm(0)}`, ink.first, 9), line(`M${arm(0.5)}`, ink.second, 3), circle(x, y, 8, ink.title)];
};

/** @type {Motif} */
export const bloom = (ink, { between }) => {
  const n = 6 + Math.floor(between(0, 3));
  return [
    line("M100 104Q92 180 112 310", ink.title, 5),
    range(n).map(
      (k) =>
        html`<ellipse
          cx="100"
          cy="60"
          rx="22"
          ry="46"
          fill="${k % 2 ? ink.first : ink.second}"
          transform="rotate(${round((k * 360) / n)} 100 104)"
          class="overprint"
        />`,
    ),
    circle(100, 104, 15, ink.title),
  ];
};

/** @type {Motif} */
export const rocket = (ink, { between, pick }) => [
  range(26).map(() => circle(between(4, 196), between(4, 210), pick([0.8, 1.2, 2]), ink.title)),
  circle(between(20, 60), between(150, 190), 62, ink.second),
  html`<g transform="rotate(${round(between(22, 44))} 110 100)"
    >${shape("M110 22q36 34 26 118H84q-10-84 26-118Z", ink.title)}
    ${shape("M86 104l-24 22v30l24-14ZM134 104l24 22v30l-24-14Z", ink.first)}
    ${circle(110, 82, 12, ink.ground)}${shape("M94 146h32q4 34-16 60-20-26-16-60Z", ink.first)}</g
  >`,
];

/** @type {Motif} */
export const bullseye = (ink, { between }) => {
  const [x, y] = [between(80, 120), between(90, 112)];
  return [
    circle(x, y, 92, ink.second),
    circle(x, y, 72, ink.ground),
    circle(x, y, 52, ink.first),
    circle(x, y, 32, ink.ground),
    circle(x, y, 13, ink.second),
    line(`M${x} ${y - 116}V${y + 116}M${x - 116} ${y}H${x + 116}`, ink.title, 1.6),
  ];
};

/** @type {Motif} */
export const leader = (ink, { between }) => {
  const sweep = between(0.1, 0.8);
  const [x, y] = polar(100, 104, 180, sweep - 0.25);
  return [
    shape(`M100 104V-80A184 184 0 ${sweep > 0.5 ? 1 : 0} 1 ${round(x)} ${round(y)}Z`, ink.second, "shade"),
    ring(100, 104, 74, ink.title, 3),
    ring(100, 104, 60, ink.title, 3),
    line("M100 0V210M0 104H200", ink.title, 1.6),
    circle(100, 104, 26, ink.first),
  ];
};
