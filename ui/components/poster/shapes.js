// @ts-check
// The shapes that posters are built from: SVG markup from numbers and colours.
import { html } from "../../html.js";

/**
 * @import { Inks } from "./palettes.js"
 * @typedef {object} Random A seeded random source.
 * @property {(low: number, high: number) => number} between
 * @property {(share: number) => boolean} chance
 * @property {<T>(list: T[]) => T} pick
 * @typedef {(ink: Inks, random: Random) => unknown} Motif A composition: SVG markup.
 * @typedef {[x: number, y: number]} Point On the sheet of 200 × 300.
 */

/** The numbers 0 to n - 1. @type {(n: number) => number[]} */
export const range = (n) => [...Array(n).keys()];
/** To one decimal, which keeps the markup short. @type {(value: number) => number} */
export const round = (value) => Math.round(value * 10) / 10;

/** @type {(x: number, y: number, r: number, fill: string, className?: string) => unknown} */
export const circle = (x, y, r, fill, className = "") =>
  html`<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}" fill="${fill}" class="${className}" />`;

/** @type {(x: number, y: number, r: number, stroke: string, width: number) => unknown} */
export const ring = (x, y, r, stroke, width) =>
  html`<circle
    cx="${round(x)}"
    cy="${round(y)}"
    r="${round(r)}"
    fill="none"
    stroke="${stroke}"
    stroke-width="${round(width)}"
  />`;

/** @type {(x: number, y: number, w: number, h: number, fill: string, className?: string) => unknown} */
export const rect = (x, y, w, h, fill, className = "") =>
  html`<rect
    x="${round(x)}"
    y="${round(y)}"
    width="${round(w)}"
    height="${round(h)}"
    fill="${fill}"
    class="${className}"
  />`;

/** A path; `d` as in SVG. @type {(d: string, fill: string, className?: string) => unknown} */
export const shape = (d, fill, className = "") => html`<path d="${d}" fill="${fill}" class="${className}" />`;

/** @type {(d: string, stroke: string, width: number) => unknown} */
export const line = (d, stroke, width) =>
  html`<path
    d="${d}"
    fill="none"
    stroke="${stroke}"
    stroke-width="${round(width)}"
    stroke-linecap="round"
    stroke-linejoin="round"
  />`;

/** @type {(points: Point[], fill: string, className?: string) => unknown} */
export const polygon = (points, fill, className = "") =>
  shape(`M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}Z`, fill, className);

/**
 * The point at distance `r` from (x, y), after so many turns.
 *
 * @type {(x: number, y: number, r: number, turns: number) => Point}
 */
export const polar = (x, y, r, turns) => [
  x + r * Math.cos(turns * 2 * Math.PI),
  y + r * Math.sin(turns * 2 * Math.PI),
];

/** @type {(degrees: number, content: unknown) => unknown} */
export const tilted = (degrees, content) =>
  html`<g transform="rotate(${round(degrees)} 100 110)">${content}</g>`;

/** The ink of a sun: pale where titles are printed dark. @type {(ink: Inks) => string} */
export const daylight = (ink) => (ink.title === "#1c2b2c" ? "#fff3d2" : ink.title);
