// @ts-check
// Line icons on a 24 × 24 grid, drawn for this page.
import { html } from "./html.js";

/** @param {string[]} paths */
const drawn = (...paths) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true">
    ${paths.map((d) => html`<path d="${d}" />`)}
  </svg>`;

const THUMB = "M7 11v9H3.5v-9zM7 11l4-8c1.6 0 2.6 1.1 2.6 2.6V9h5a2 2 0 0 1 2 2.4l-1.3 7A2 2 0 0 1 17.3 20H7";
const THUMB_DOWN =
  "M7 13V4H3.5v9zM7 13l4 8c1.6 0 2.6-1.1 2.6-2.6V15h5a2 2 0 0 0 2-2.4l-1.3-7A2 2 0 0 0 17.3 4H7";

export const icons = {
  like: drawn(THUMB),
  dislike: drawn(THUMB_DOWN),
  not_interested: drawn("M12 3a9 9 0 1 1 0 18a9 9 0 1 1 0-18M5.7 5.7l12.6 12.6"),
  seen: drawn(
    "M2.5 12s3.5-6.5 9.5-6.5s9.5 6.5 9.5 6.5s-3.5 6.5-9.5 6.5S2.5 12 2.5 12",
    "M12 9.2a2.8 2.8 0 1 1 0 5.6a2.8 2.8 0 1 1 0-5.6",
  ),
  rating: drawn("M12 3.5l2.6 5.4 5.9.8-4.3 4.1 1 5.9-5.2-2.8-5.2 2.8 1-5.9L3.5 9.7l5.9-.8z"),
  undo: drawn("M4 9h10a5.5 5.5 0 0 1 0 11h-4M4 9l4.5-4.5M4 9l4.5 4.5"),
  close: drawn("M5 5l14 14M19 5L5 19"),
  search: drawn("M10.5 4a6.5 6.5 0 1 1 0 13a6.5 6.5 0 1 1 0-13M15.5 15.5L21 21"),
  person: drawn("M12 4a4 4 0 1 1 0 8a4 4 0 1 1 0-8M4 21c.5-5 4-6.5 8-6.5s7.5 1.5 8 6.5"),
  dice: drawn("M4.5 4.5h15v15h-15zM9 9h.01M15 15h.01M15 9h.01M9 15h.01"),
  share: drawn("M12 15V3.5M7.5 7.5L12 3l4.5 4.5M5 12v8h14v-8"),
  tune: drawn("M4 7h9M17 7h3M4 17h3M11 17h9M15 4.8v4.4M9 14.8v4.4"),
  back: drawn("M15 4.5L7.5 12l7.5 7.5"),
  on: drawn("M9 4.5L16.5 12 9 19.5"),
  check: drawn("M4.5 12.5l5 5L20 6.5"),
  plus: drawn("M12 5v14M5 12h14"),
  theme: drawn("M12 4a8 8 0 1 0 0 16zM12 4a8 8 0 0 1 0 16"),
};

/**
 * The icon of an event type; nothing for types without one.
 *
 * @param {string} type
 */
export const iconOf = (type) => /** @type {Record<string, typeof icons.like | undefined>} */ (icons)[type];
