// What is drawn on a poster: one or more compositions for each genre family, on a sheet of 200 × 300 whose
// lower third belongs to the title. Each takes inks and a seeded random source and returns SVG markup.
import { html } from "../../html.js";
import { range, round, circle, ring, rect, shape, line, polygon, polar, tilted } from "./shapes.js";

const burst = (ink, { between }) => {
  const [x, y, n] = [between(70, 130), between(85, 115), 9 + Math.floor(between(0, 5))];
  const star = (inner, outer, turn) =>
    range(n * 2).map((k) => polar(x, y, k % 2 ? inner : outer * (0.8 + 0.4 * ((k * 7) % 5) / 5), turn + k / (n * 2)));
  return [polygon(star(70, 190, 0), ink.second), polygon(star(34, 92, 0.03), ink.first), circle(x, y, 22, ink.ground)];
};

const bolt = (ink, { between }) =>
  tilted(between(-10, 12), [circle(100, 104, 82, ink.second), polygon([[118, -6], [46, 118], [96, 118], [76, 222], [158, 86], [106, 86], [138, -6]], ink.first)]);

const slashes = (ink, { between }) => {
  const lean = between(24, 38);
  return tilted(lean, [
    rect(-80, 24, 360, 26, ink.first), rect(-80, 62, 210, 60, ink.second), rect(146, 62, 200, 60, ink.first),
    rect(-80, 134, 130, 12, ink.title), rect(62, 134, 260, 12, ink.second), rect(-80, 158, 360, 34, ink.first),
  ]);
};

/** The ink of a sun: where titles are printed dark, a pale one. */
const daylight = (ink) => (ink.title === "#1c2b2c" ? "#fff3d2" : ink.title);

const peaks = (ink, { between }) => {
  const ridge = (y, rise, fill, n) =>
    polygon([[-5, 310], [-5, y], ...range(n).map((k) => [(k + 0.5) * (200 / n), y - (k % 2 ? rise * 0.35 : rise) * between(0.75, 1.1)]), [205, y], [205, 310]], fill);
  return [
    circle(between(60, 140), between(58, 80), between(26, 36), daylight(ink)),
    ridge(150, 70, ink.second, 3), ridge(182, 58, ink.first, 5), ridge(212, 26, ink.ground, 4),
  ];
};

const compass = (ink, { between }) => {
  const needle = (r, fill, turn) => html`<path d="M100 104L${100 - r * 0.16} ${104 - r * 0.16}L100 ${104 - r}L${100 + r * 0.16} ${104 - r * 0.16}Z" fill="${fill}" transform="rotate(${turn} 100 104)" />`;
  return [
    circle(100, 104, 84, ink.first), circle(100, 104, 74, ink.ground), ring(100, 104, 64, ink.first, 2),
    html`<g transform="rotate(${round(between(-30, 30))} 100 104)">${[45, 135, 225, 315].map((turn) => needle(44, ink.first, turn))}${[0, 90, 180, 270].map((turn) => needle(70, turn ? ink.title : ink.second, turn))}</g>`,
    circle(100, 104, 7, ink.ground),
  ];
};

const sails = (ink, { between }) => {
  const wave = (y, fill) => shape(`M-10 ${y}${range(6).map(() => "q10-12 20 0t20 0").join("")}V310H-10Z`, fill);
  return [
    circle(between(40, 160), 56, 30, daylight(ink)), shape("M94 30V150H34Q80 100 94 30Z", ink.second), shape("M102 46q52 40 58 104h-58Z", ink.second, "overprint"),
    rect(96, 22, 5, 140, ink.title), shape("M32 158H170Q156 190 140 196H62Q40 190 32 158Z", ink.title), wave(176, ink.first), wave(196, ink.ground),
  ];
};

const winding = (ink, { between }) => {
  const sway = between(40, 70);
  return [
    circle(100, 78, 44, ink.second),
    rect(0, 100, 200, 210, ink.first),
    shape(`M96 100C${100 + sway} 128 ${100 - sway} 150 ${60} 215L150 215C${150 - sway * 0.3} 160 ${100 + sway * 1.3} 130 104 100Z`, ink.ground),
  ];
};

const bubbles = (ink, { between }) =>
  [[62, 74, 56, ink.first], [142, 106, 50, ink.second], [84, 150, 44, ink.title], [158, 40, 22, ink.title]].map(([x, y, r, fill], n) =>
    circle(x + between(-14, 14), y + between(-10, 10), r, fill, n === 1 ? "overprint" : ""));

const creature = (ink, { between, chance }) => {
  const [x, wide, eye] = [between(88, 112), between(52, 66), between(9, 13)];
  return [
    circle(chance(0.5) ? 168 : 34, 46, 20, ink.first),
    shape(`M${x - wide} 310V${128}a${wide} ${wide} 0 0 1 ${2 * wide} 0V310Z`, ink.second),
    polygon([[x - wide + 4, 112], [x - wide + 10, 52], [x - wide + 42, 84]], ink.second),
    polygon([[x + wide - 4, 112], [x + wide - 10, 52], [x + wide - 42, 84]], ink.second),
    circle(x - 22, 122, eye, "#fff"), circle(x + 22, 122, eye, "#fff"),
    circle(x - 20, 123, eye * 0.5, ink.title), circle(x + 24, 123, eye * 0.5, ink.title),
    shape(`M${x - 42} 200a42 44 0 0 1 84 0V310h-84Z`, ink.first),
  ];
};

const grin = (ink, { between }) => {
  const lean = between(-14, 14);
  return tilted(lean, [
    circle(58, 66, 21, ink.first), circle(142, 66, 21, ink.second),
    shape("M28 108H172A72 72 0 0 1 28 108Z", ink.title), shape("M58 158a52 30 0 0 1 84 0A72 72 0 0 1 58 158Z", ink.first),
  ]);
};

const disguise = (ink, { between }) =>
  tilted(between(-12, 12), [
    line("M12 84Q20 74 34 78M188 84Q180 74 166 78M90 82Q100 74 110 82", ink.title, 7), circle(62, 86, 31, ink.title), circle(138, 86, 31, ink.title),
    circle(62, 86, 23, ink.second), circle(138, 86, 23, ink.second), circle(70, 90, 9, ink.title), circle(146, 90, 9, ink.title),
    shape("M88 96q12-8 24 0 12 40 4 48-16 10-32 0-8-8 4-48Z", ink.first), shape("M100 156q-22-18-44 0-10 8-28 4 10 26 40 26 22 0 32-16 10 16 32 16 30 0 40-26-18 4-28-4-22-18-44 0Z", ink.title),
  ]);

const confetti = (ink, { between, pick }) =>
  range(20).map((n) => {
    const [x, y, r] = [(n % 4) * 50 + 25, Math.floor(n / 4) * 42 + 22, 19];
    const fill = pick([ink.first, ink.second, ink.title]);
    const turn = Math.floor(between(0, 4)) * 90;
    return n % 3 === 2
      ? circle(x, y, r * 0.6, fill)
      : html`<path d="M${x - r} ${y}a${r} ${r} 0 0 1 ${2 * r} 0Z" fill="${fill}" transform="rotate(${turn} ${x} ${y})" />`;
  });

const blinds = (ink, { between }) => {
  const x = between(70, 130);
  return [
    range(11).map((n) => rect(-20, 8 + n * 19, 240, 8 + n * 0.4, n % 5 === 3 ? ink.second : ink.first)),
    shape(`M${x - 29} 88l4-42q25-16 50 0l4 42Zm-25 4q54 20 108 0 0-12-54-12t-54 12Zm32 4q0 44 22 50t22-50ZM${x - 78} 310q4-128 52-144l26 14 26-14q48 16 52 144Z`, ink.ground),
  ];
};

const fingerprint = (ink, { between }) =>
  html`<g transform="rotate(${round(between(-24, 24))} 100 104)">${range(8).map((n) => {
    const [r, h] = [8 + n * 10, 26 + n * 7];
    return line(`M${100 - r} ${104 + h * between(0.5, 1)}V${104 - h * 0.2}a${r} ${r} 0 0 1 ${2 * r} 0V${round(104 + h * between(0.4, 1))}`, n === 4 ? ink.second : ink.first, 4.6);
  })}</g>`;

const city = (ink, { between }) => [
  circle(between(50, 150), 74, 38, ink.second),
  range(8).map((n) => rect(n * 27 - 8, 84 + between(0, 72), 24, 240, n % 3 === 1 ? ink.second : ink.first)),
  range(16).map((n) => rect((n % 8) * 27 - 2, 172 + Math.floor(n / 8) * 16, 5, 7, ink.ground)),
];

const contact = (ink, { pick }) => [
  range(12).map((n) => rect(14 + (n % 3) * 60, 16 + Math.floor(n / 3) * 48, 52, 40, pick([ink.first, ink.first, ink.title, ink.second]))),
  ring(40, 84, 27, ink.second, 5),
];

const lens = (ink, { between }) => {
  const [x, y] = [between(80, 120), between(92, 112)];
  return [circle(x, y, 84, ink.first), circle(x, y, 66, ink.title), circle(x, y, 44, ink.first), circle(x, y, 24, ink.title), circle(x - 26, y - 30, 12, ink.ground), rect(0, y - 3, 200, 6, ink.second)];
};

const lamplight = (ink, { between, chance }) => {
  const x = chance(0.5) ? between(28, 60) : between(110, 140);
  return [
    polygon([[x, 36], [x + 44, 36], [x + 44 + (x < 90 ? 92 : -150), 310], [x + (x < 90 ? 8 : -60), 310]], ink.second),
    rect(x, 26, 44, 96, ink.first), rect(x + 20, 26, 4, 96, ink.ground), rect(x, 70, 44, 4, ink.ground),
    shape(`M${x < 90 ? 120 : 62} 214v-34q-12-4-12-18 0-20 16-20t16 20q0 14-12 18v34Z`, ink.title),
  ];
};

const twoFaces = (ink, { between, chance }) => {
  const face = "M-6 0H96V14C102 32 104 44 103 56L116 84Q119 91 108 93L110 104Q112 108 106 110L110 118Q112 132 98 136L76 140V310H-6Z";
  const shift = between(-16, 0);
  const one = html`<g transform="translate(${round(shift)} 10)">${shape(face, ink.first)}</g>`;
  const other = html`<g transform="translate(${round(200 - shift)} ${chance(0.5) ? 34 : 22}) scale(-1 1)">${shape(face, ink.second, "overprint")}</g>`;
  return [circle(between(80, 120), 60, 34, ink.title), one, other];
};

const horizon = (ink, { between }) => {
  const y = between(104, 132);
  return [
    rect(0, 0, 200, y, ink.first), circle(between(54, 146), y, between(34, 52), ink.title),
    rect(0, y, 200, 310 - y, ink.ground),
    range(5).map((n) => rect(between(10, 90), y + 12 + n * 15, between(40, 100) - n * 6, 4, n % 2 ? ink.second : ink.first)),
  ];
};

const stairs = (ink, { between, chance }) => {
  const n = 7;
  const steps = range(n).map((k) => rect(k * (200 / n), 196 - k * 24, 210, 310, k % 2 ? ink.second : ink.first));
  const figure = [circle(168, 24, 8, ink.title), shape("M158 56q-1-22 10-22t10 22Z", ink.title)];
  const content = [circle(between(40, 66), between(48, 72), 30, ink.title), steps, figure];
  return chance(0.5) ? content : html`<g transform="translate(200 0) scale(-1 1)">${content}</g>`;
};

const houses = (ink, { between }) => [
  circle(between(40, 160), 54, 26, ink.first),
  range(4).map((n) => {
    const [x, y] = [n * 52 - 8, 132 + between(-22, 16)];
    const fill = n % 2 ? ink.second : ink.title;
    return [rect(x, y, 46, 200, fill), polygon([[x - 4, y], [x + 23, y - 32], [x + 50, y]], n % 2 ? ink.title : ink.second), rect(x + 16, y + 22, 14, 18, ink.first)];
  }),
];

const rainbow = (ink, { between }) => {
  const x = between(70, 130);
  return [ink.second, ink.first, ink.title, ink.second, ink.first].map((fill, n) => ring(x, 210, 150 - n * 24, fill, 18));
};

const castle = (ink, { between, pick }) => [
  range(26).map(() => circle(between(6, 194), between(8, 150), pick([0.9, 1.3, 2]), ink.title)),
  circle(between(56, 144), 70, 40, ink.second), 
  range(5).map((n) => {
    const [x, y] = [20 + n * 36, [150, 118, 84, 112, 142][n] + between(-8, 8)];
    return [rect(x, y, 20, 240, ink.first), polygon([[x - 5, y], [x + 10, y - 38], [x + 25, y]], n % 2 ? ink.second : ink.first)];
  }),
  rect(0, 178, 200, 140, ink.first),
];

const moonlit = (ink, { between }) => {
  const x = between(84, 116);
  return [
    circle(x, 100, 74, ink.second), circle(x + 26, 84, 62, ink.ground),
    range(9).map((n) => { const [sx, sy] = [between(14, 186), between(12, 180)]; return shape(`M${round(sx)} ${round(sy - 7)}l2 5 5 2-5 2-2 5-2-5-5-2 5-2Z`, n % 2 ? ink.first : ink.title); }),
    shape("M-5 205q50-34 100-8t110-12V310H-5Z", ink.first),
  ];
};

const columns = (ink, { between }) => [
  circle(between(60, 140), 66, 40, ink.second), polygon([[14, 78], [100, 34], [186, 78]], ink.first), rect(14, 82, 172, 12, ink.first),
  range(5).map((n) => rect(22 + n * 35, 100, 18, 104, ink.first)), rect(8, 196, 184, 10, ink.first),
];

const fangs = (ink, { between }) => {
  const row = (y, down) => range(7).map((n) => polygon([[n * 33 - 14, y], [n * 33 + 19, y], [n * 33 + 2, y + down * between(34, 66)]], ink.first));
  return [row(-2, 1), html`<g transform="translate(0 186)">${row(0, -1)}</g>`, rect(0, 185, 200, 120, ink.first), circle(72, 96, 7, ink.title), circle(128, 96, 7, ink.title)];
};

const eye = (ink, { between }) => {
  const y = between(96, 116);
  return [
    range(14).map((n) => line(`M100 ${round(y)}L${polar(100, y, 200, n / 14 + 0.02).map(round).join(" ")}`, ink.second, 5)),
    shape(`M8 ${y}Q100 ${y - 92} 192 ${y}Q100 ${y + 92} 8 ${y}Z`, ink.title), circle(100, y, 40, ink.first), circle(100, y, 18, ink.ground), circle(110, y - 12, 6, ink.title),
  ];
};

const record = (ink, { between }) => {
  const [x, y] = [between(70, 130), between(94, 112)];
  return [circle(x, y, 86, ink.title), [74, 64, 54, 44].map((r) => ring(x, y, r, ink.first, 2)), circle(x, y, 30, ink.second), circle(x, y, 5, ink.ground), line(`M188 14L${round(x + 46)} ${round(y - 10)}`, ink.first, 7)];
};

const equaliser = (ink, { between }) =>
  range(9).map((n) => { const h = 30 + between(0, 150) * Math.sin(((n + 1) / 10) * Math.PI); return rect(12 + n * 20, 196 - h, 14, h, n % 3 === 1 ? ink.second : n % 3 ? ink.first : ink.title); });

const keyhole = (ink, { between }) => {
  const x = between(84, 116);
  return [
    range(6).map((n) => ring(x, 98, 150 - n * 22, n % 2 ? ink.first : ink.second, 11)),
    circle(x, 88, 32, ink.title), polygon([[x - 12, 104], [x + 12, 104], [x + 28, 176], [x - 28, 176]], ink.title),
  ];
};

const spiral = (ink, { between, chance }) => {
  const [x, y, way] = [between(86, 114), between(92, 112), chance(0.5) ? 1 : -1];
  const arm = (offset) => range(180).map((n) => polar(x, y, 3 + n * 0.72, way * (n / 52) + offset).map(round).join(" ")).join("L");
  return [line(`M${arm(0)}`, ink.first, 9), line(`M${arm(0.5)}`, ink.second, 3), circle(x, y, 8, ink.title)];
};

const embrace = (ink, { between }) => {
  const gap = between(30, 40);
  return [circle(100 - gap, 100, 62, ink.first), circle(100 + gap, 112, 62, ink.second, "overprint"), circle(100, 106, 12, ink.title)];
};

const glasses = (ink, { between }) => {
  const glass = (x, lean, fill) =>
    html`<g transform="rotate(${lean} ${x} 110)">${shape(`M${x - 30} 52h60q4 62-26 66v50h18v6h-44v-6h18v-50q-30-4-26-66Z`, ink.title)}${shape(`M${x - 26} 76h52q-2 36-26 38t-26-38Z`, fill)}</g>`;
  return [circle(100, between(52, 70), 40, ink.second), glass(62, 13, ink.first), glass(138, -13, ink.first)];
};

const bloom = (ink, { between }) => {
  const n = 6 + Math.floor(between(0, 3));
  return [
    line("M100 104Q92 180 112 310", ink.title, 5),
    range(n).map((k) => html`<ellipse cx="100" cy="60" rx="22" ry="46" fill="${k % 2 ? ink.first : ink.second}" transform="rotate(${round((k * 360) / n)} 100 104)" class="overprint" />`),
    circle(100, 104, 15, ink.title),
  ];
};

const planet = (ink, { between, pick }) => {
  const [x, y, r, lean] = [between(80, 120), between(92, 116), between(44, 58), between(-32, -12)];
  const orbit = (half) => html`<path d="M${round(x - r * 1.7)} ${round(y)}A${round(r * 1.7)} ${round(r * 0.42)} 0 0 ${half} ${round(x + r * 1.7)} ${round(y)}" fill="none" stroke="${ink.second}" stroke-width="7" />`;
  return [
    range(34).map(() => circle(between(4, 196), between(4, 210), pick([0.7, 1, 1.8]), ink.title)),
    html`<g transform="rotate(${round(lean)} ${round(x)} ${round(y)})">${orbit(1)}${circle(x, y, r, ink.first)}${shape(`M${round(x - r)} ${round(y)}a${round(r)} ${round(r)} 0 0 0 ${round(2 * r)} 0a${round(r)} ${round(r * 0.5)} 0 0 1 ${round(-2 * r)} 0Z`, ink.ground, "shade")}${orbit(0)}</g>`,
  ];
};

const rocket = (ink, { between, pick }) => [
  range(26).map(() => circle(between(4, 196), between(4, 210), pick([0.8, 1.2, 2]), ink.title)),
  circle(between(20, 60), between(150, 190), 62, ink.second),
  html`<g transform="rotate(${round(between(22, 44))} 110 100)">${shape("M110 22q36 34 26 118H84q-10-84 26-118Z", ink.title)}${shape("M86 104l-24 22v30l24-14ZM134 104l24 22v30l-24-14Z", ink.first)}${circle(110, 82, 12, ink.ground)}${shape("M94 146h32q4 34-16 60-20-26-16-60Z", ink.first)}</g>`,
];

const robot = (ink, { between }) => {
  const eyes = between(17, 25);
  return [
    line("M100 44V16", ink.title, 4), circle(100, 14, 8, ink.second), rect(44, 42, 112, 98, ink.first), rect(30, 72, 14, 38, ink.second), rect(156, 72, 14, 38, ink.second),
    circle(76, 82, eyes, ink.title), circle(124, 82, eyes, ink.title), circle(76, 82, 8, ink.ground), circle(124, 82, 8, ink.ground),
    range(5).map((n) => rect(64 + n * 15, 116, 11, 12, ink.ground)), rect(84, 140, 32, 14, ink.second), rect(26, 154, 148, 160, ink.first),
  ];
};

const orbits = (ink, { between }) => [
  range(5).map((n) => [ring(100, 104, 26 + n * 26, n % 2 ? ink.second : ink.title, 1.6), circle(...polar(100, 104, 26 + n * 26, between(0, 1)), 5 + ((n * 3) % 8), n % 2 ? ink.first : ink.second)]),
  circle(100, 104, 17, ink.first),
];

const gridSun = (ink, { between }) => {
  const x = between(84, 116);
  return [
    circle(x, 88, 58, ink.first), range(6).map((n) => rect(0, 82 + n * 11, 200, 2 + n, ink.ground)), rect(0, 140, 200, 170, ink.ground),
    range(13).map((n) => line(`M${round(x)} 120L${(n - 6) * 60 + 100} 310`, ink.second, 1.4)),
    rect(0, 118, 200, 24, ink.ground), range(7).map((n) => rect(0, 142 + n * n * 3.2, 200, 1.4, ink.second)),
  ];
};

const corridor = (ink, { between }) => {
  const [x, y] = [between(88, 112), between(86, 104)];
  return range(7).map((n) => { const s = 1 - n / 7; return rect(x - 120 * s, y - 128 * s, 240 * s, 256 * s, [ink.first, ink.ground, ink.second, ink.ground][n % 4]); }).concat([circle(x, y, 9, ink.title)]);
};

const searchlights = (ink, { between }) => [
  [46, 128, 176].map((x, n) => { const aim = between(-60, 60); return polygon([[x, 214], [x + aim - 30, -10], [x + aim + 30, -10]], n === 1 ? ink.second : ink.first, "overprint"); }),
  shape("M-5 190l24-10 18 8 30-16 26 18 34-10 22 12 30-16 30 10V310H-5Z", ink.first),
];

const bullseye = (ink, { between }) => {
  const [x, y] = [between(80, 120), between(90, 112)];
  return [[92, ink.second], [72, ink.ground], [52, ink.first], [32, ink.ground], [13, ink.second]].map(([r, fill]) => circle(x, y, r, fill))
    .concat([line(`M${x} ${y - 116}V${y + 116}M${x - 116} ${y}H${x + 116}`, ink.title, 1.6)]);
};

const mesa = (ink, { between }) => {
  const x = between(60, 140);
  return [
    circle(x, 92, 60, ink.second), range(5).map((n) => rect(0, 100 + n * 13, 200, 3 + n * 1.6, ink.ground)),
    polygon([[-5, 310], [-5, 132], [30, 128], [36, 150], [62, 154], [72, 190], [205, 190], [205, 310]], ink.first),
    polygon([[142, 194], [148, 116], [184, 112], [192, 194]], ink.first), rect(0, 188, 200, 130, ink.first),
  ];
};

const rider = (ink, { between }) => [
  circle(between(84, 116), 104, 84, ink.second),
  shape("M38 82q20 6 34 2 2-40 16-44 12-3 12 2 0-5 12-2 14 4 16 44 14 4 34-2-8 20-62 20t-62-20Z", ink.first), shape("M70 104q30 8 60 0 4 40-14 54l46 16q14 8 18 136H20q4-128 18-136l46-16q-18-14-14-54Z", ink.first),
];

const leader = (ink, { between }) => {
  const sweep = between(0.1, 0.8);
  const [x, y] = polar(100, 104, 180, sweep - 0.25);
  return [
    shape(`M100 104V-80A184 184 0 ${sweep > 0.5 ? 1 : 0} 1 ${round(x)} ${round(y)}Z`, ink.second, "shade"), ring(100, 104, 74, ink.title, 3), ring(100, 104, 60, ink.title, 3),
    line("M100 0V210M0 104H200", ink.title, 1.6), circle(100, 104, 26, ink.first),
  ];
};

export const MOTIFS = {
  action: [burst, slashes, bullseye, bolt], adventure: [peaks, winding, compass, sails], animation: [creature, bubbles, rainbow], comedy: [grin, disguise, confetti],
  crime: [blinds, city, fingerprint], documentary: [contact, lens], drama: [lamplight, twoFaces, horizon, stairs], family: [houses, rainbow],
  fantasy: [castle, moonlit], history: [columns, horizon], horror: [fangs, eye], music: [record, equaliser],
  mystery: [keyhole, spiral, stairs], romance: [embrace, bloom, twoFaces, glasses], scifi: [planet, rocket, gridSun, corridor, robot, orbits], thriller: [spiral, bullseye, corridor],
  war: [searchlights, bullseye, bolt], western: [mesa, rider], other: [leader, lens, horizon],
};
