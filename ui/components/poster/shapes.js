// The few shapes that the compositions of posters are built from: SVG markup of numbers and colours only.
import { html } from "../../html.js";

export const range = (n) => [...Array(n).keys()];
export const round = (value) => Math.round(value * 10) / 10;

export const circle = (x, y, r, fill, more = "") =>
  html`<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}" fill="${fill}" class="${more}" />`;
export const ring = (x, y, r, stroke, width) =>
  html`<circle cx="${round(x)}" cy="${round(y)}" r="${round(r)}" fill="none" stroke="${stroke}" stroke-width="${round(width)}" />`;
export const rect = (x, y, w, h, fill, more = "") =>
  html`<rect x="${round(x)}" y="${round(y)}" width="${round(w)}" height="${round(h)}" fill="${fill}" class="${more}" />`;
export const shape = (d, fill, more = "") => html`<path d="${d}" fill="${fill}" class="${more}" />`;
export const line = (d, stroke, width) =>
  html`<path d="${d}" fill="none" stroke="${stroke}" stroke-width="${round(width)}" stroke-linecap="round" stroke-linejoin="round" />`;
export const polygon = (points, fill, more = "") => shape(`M${points.map(([x, y]) => `${round(x)} ${round(y)}`).join("L")}Z`, fill, more);
export const polar = (x, y, r, turn) => [x + r * Math.cos(turn * 2 * Math.PI), y + r * Math.sin(turn * 2 * Math.PI)];
export const tilted = (degrees, content) => html`<g transform="rotate(${round(degrees)} 100 110)">${content}</g>`;
