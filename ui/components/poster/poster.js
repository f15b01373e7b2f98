// @ts-check
// <mr-poster>: the picture of a film. Every film has a drawn poster; TMDB's picture covers it if it loads.
import { fill, find, html, node } from "../../html.js";
import { familiesOf, inksOf } from "./palettes.js";
import { MOTIFS } from "./motifs.js";

/**
 * @import { Film } from "../../films.js"
 * @import { Random } from "./shapes.js"
 * @typedef {"narrow" | "slab" | "serif" | "wide" | "mono" | "grotesk"} Voice A style of lettering.
 * @typedef {{ font: string, spacing: number, isUpper: boolean }} Face `spacing` in font sizes.
 */

/** @type {Record<string, Voice>} */
const VOICES = {
  horror: "narrow",
  action: "narrow",
  war: "narrow",
  crime: "narrow",
  thriller: "narrow",
  western: "slab",
  history: "slab",
  romance: "serif",
  drama: "serif",
  fantasy: "serif",
  mystery: "serif",
  scifi: "wide",
  documentary: "mono",
};

/**
 * A seeded random source (mulberry32): one film always gets the same poster.
 *
 * @param {number} seed
 * @returns {Random}
 */
const dice = (seed) => {
  let state = (seed * 2654435761) >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
  return {
    between: (low, high) => low + (high - low) * next(),
    chance: (share) => next() < share,
    pick: (list) => list[Math.floor(next() * list.length)],
  };
};

/** @param {string} colour As #rrggbb. */
const isDark = (colour) =>
  parseInt(colour.slice(1, 3), 16) * 0.3 + parseInt(colour.slice(3, 5), 16) * 0.6 < 100;

/** @param {Film} movie */
const designOf = (movie) => {
  const random = dice(movie.movie_id);
  const families = familiesOf(movie.genres);
  const [family, other = family] = families;
  const inks = inksOf(random.chance(0.35) ? other : family, Math.floor(random.between(0, 6)));
  const layout = random.pick(["below", "below", "above", "framed", "label"]);
  const motif = random.pick(MOTIFS[random.chance(0.25) ? other : family]);
  const [size, mirror] = [random.between(0.92, 1.18), random.chance(0.5) ? -1 : 1];
  const art = html`<g
    class="${isDark(inks.ground) ? "on-dark" : "on-light"}"
    transform="translate(100 104) scale(${size * mirror} ${size}) translate(-100 -104)"
    >${motif(inks, random)}</g
  >`;
  return { family, inks, layout, art };
};

/**
 * The picture without the title. It fills its box.
 *
 * @param {Film} movie
 */
export const drawnBackdrop = (movie) => {
  const { inks, art } = designOf(movie);
  return html`<svg
    class="backdrop-art"
    viewBox="0 30 200 150"
    preserveAspectRatio="xMidYMid slice"
    aria-hidden="true"
  >
    <rect x="-400" y="-100" width="1000" height="600" fill="${inks.ground}" />
    ${art}
  </svg>`;
};

// The longest word of a title must fit on one line, in the font that this machine has for the voice.
/** Maximum font size of a title, in hundredths of the poster's width. @type {Record<Voice, number>} */
const LARGEST = { narrow: 27, slab: 17, serif: 21, wide: 17, mono: 16, grotesk: 22 };
const canvas = /** @type {CanvasRenderingContext2D} */ (document.createElement("canvas").getContext("2d"));
/** @type {Map<Voice, Face>} */
const faces = new Map();

/**
 * The lettering of a voice, as the style sheet sets it.
 *
 * @param {Voice} voice
 * @returns {Face}
 */
const faceOf = (voice) => {
  const known = faces.get(voice);
  if (known) return known;
  const probe = node(
    html`<div class="poster" hidden>
      <div class="lettering ${voice}"><span class="lettered-title"></span></div>
    </div>`,
  );
  probe.style.setProperty("--title-size", "10");
  document.body.append(probe);
  const style = getComputedStyle(find(probe, "span"));
  const face = {
    font: `${style.fontWeight} 100px ${style.fontFamily}`,
    spacing: (parseFloat(style.letterSpacing) || 0) / parseFloat(style.fontSize),
    isUpper: style.textTransform === "uppercase",
  };
  probe.remove();
  faces.set(voice, face);
  return face;
};

/**
 * The width of a text, in multiples of its font size.
 *
 * @param {string} text
 * @param {Face} face
 */
const widthOf = (text, { font, spacing, isUpper }) => {
  canvas.font = font;
  return canvas.measureText(isUpper ? text.toUpperCase() : text).width / 100 + spacing * [...text].length;
};

/**
 * The font size of a title, in hundredths of the width of the poster.
 *
 * @param {string} title
 * @param {Voice} voice
 * @param {string} layout
 */
const titleSize = (title, voice, layout) => {
  const face = faceOf(voice);
  const words = title.match(/[^\s-]*-|[^\s-]+/g) ?? [title];
  const widest = Math.max(...words.map((word) => widthOf(word, face)));
  const room = layout === "label" ? 74 : layout === "framed" ? 82 : 84;
  const area = Math.sqrt((34 * room) / widthOf(title, face));
  return Math.max(5, Math.min(LARGEST[voice], room / widest, area));
};

/** Number of failures in a row after which TMDB counts as out of reach. */
const MAX_FAILURES = 4;
/** How long no picture is asked for then, in milliseconds. */
const AWAY_MS = 60_000;
const away = { failures: 0, until: 0 };
const isAway = () => away.failures >= MAX_FAILURES && Date.now() < away.until;

export class Poster extends HTMLElement {
  /** The id of the film that is drawn. @type {number | null} */
  shown = null;

  /** @param {Film} movie */
  set movie(movie) {
    if (this.shown === movie.movie_id) return;
    this.shown = movie.movie_id;
    const { family, inks, layout, art } = designOf(movie);
    this.setAttribute("aria-hidden", "true");
    this.className = `poster ${layout}`;
    this.style.setProperty("--ground", inks.ground);
    this.style.setProperty("--ink", inks.title);
    const voice = VOICES[family] ?? "grotesk";
    this.style.setProperty("--title-size", String(titleSize(movie.title, voice, layout)));
    const billing = [movie.release_year, movie.genres[0]].filter(Boolean).join(" · ");
    const lean = layout === "above" ? 72 : 0;
    fill(
      this,
      html`<div class="drawn">
        <svg viewBox="0 0 200 300" preserveAspectRatio="xMidYMin slice">
          <rect width="200" height="300" fill="${inks.ground}" />
          <g transform="translate(0 ${lean})">${art}</g>
        </svg>
        <div class="lettering ${voice}">
          <span class="lettered-title" dir="auto">${movie.title}</span><span class="billing">${billing}</span>
        </div>
      </div>`,
    );
    if (movie.poster_url && !isAway()) this.cover(movie.poster_url);
  }

  /** @param {string} address */
  cover(address) {
    const picture = new Image();
    picture.className = "photo";
    picture.alt = "";
    picture.loading = "lazy";
    picture.decoding = "async";
    picture.referrerPolicy = "no-referrer";
    this.classList.add("waiting");
    const settle = (/** @type {boolean} */ loaded) => {
      this.classList.remove("waiting");
      this.classList.toggle("covered", loaded);
      away.failures = loaded ? 0 : away.failures + 1;
      away.until = Date.now() + AWAY_MS;
      if (!loaded) picture.remove();
    };
    picture.addEventListener("load", () => settle(true), { once: true });
    picture.addEventListener("error", () => settle(false), { once: true });
    picture.src = address;
    this.append(picture);
  }
}

customElements.define("mr-poster", Poster);
