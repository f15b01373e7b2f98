// @ts-check
// Inks of the drawn posters: [ground, title, first, second] for each genre, as a printer would mix them.
// The title reads on its ground at 4.5:1 or better; a browser test measures it.

/** @typedef {{ ground: string, title: string, first: string, second: string }} Inks */

/** @type {Record<string, string[]>} */
const INKS = {
  action: ["#c93420 #fff1dc #1c1417 #f7b733", "#1b1d24 #fbeed9 #e5482d #f2b233"],
  adventure: ["#eab54d #1c2b2c #1d6b67 #c24a2b", "#12504f #fbe9c6 #e9a13b #d9572f"],
  animation: ["#58b9de #0b2740 #ffd94f #f4674f", "#ffd552 #2b1b52 #ee5a6f #3f8fd2"],
  comedy: ["#ffce3a #2a1609 #ec5a47 #2f7fd6", "#f26a5b #2a0d12 #ffd65c #fff3e0"],
  crime: ["#16171b #f3ead6 #c9a02c #8a1e22", "#d8cfbc #191615 #a6231f #3a3632"],
  documentary: ["#e7e3d8 #191a1c #34587a #cf4427", "#22303a #eef0ea #8fb3c4 #e0693f"],
  drama: [
    "#20435d #f6ebd6 #e4a76c #bb563a",
    "#e9dcc5 #2a2320 #b4492f #4a7a85",
    "#5d2c3a #f8e7d6 #e6a15e #2c2734",
  ],
  family: ["#7fcaa6 #123329 #fff1cd #f1764a", "#f7d98b #3a2352 #5aa9b8 #e8674c"],
  fantasy: ["#38286a #f9edd2 #d8a6f0 #f3c350", "#0f4a4a #f5eccb #8fd4b4 #e9b949"],
  history: ["#c8a268 #29180f #7c2c1e #f1e2c3", "#3d2b22 #f2e3c6 #c08a45 #8c3b26"],
  horror: ["#100d0f #f5e9df #c0141f #57090f", "#b5121b #fff0e2 #120c0d #f0d9b8"],
  music: ["#f3a8b8 #2b1031 #5f2b88 #fbe36a", "#2a1546 #fde8ef #f0559a #ffc94d"],
  mystery: ["#1a3a3b #f2ebd6 #dbb44e #0b2022", "#d7c9a2 #14231f #1f5a55 #9c3d22"],
  romance: ["#f2c9be #5a0f2e #da4059 #f8f0e6", "#8f1f3f #ffece2 #f2897b #f6c7a8"],
  scifi: ["#0c1a33 #e9f2ff #ff7b3e #40cfc8", "#dfe6e4 #101c2b #ef5b2b #1e7c8c"],
  thriller: ["#e4522c #190c08 #190c08 #f9ecd4", "#141a22 #f1ead9 #e4572e #5b7a8c"],
  war: ["#555b3d #f4eed9 #22251a #dca43c", "#c9bd9a #231f16 #8e2f1d #4d5535"],
  western: ["#dc873d #2a120a #8f2e1a #f9dca6", "#8a2f1b #fce6bd #e79a3f #2a130c"],
  other: ["#dcdfe0 #1b2124 #e0a100 #5a6b73", "#2a3236 #eef1ef #ffcf33 #7d949c"],
};

/** Other names of the genre families. @type {Record<string, string>} */
const FAMILIES = {
  "science fiction": "scifi",
  "sci-fi": "scifi",
  children: "family",
  "film-noir": "crime",
  musical: "music",
  "tv movie": "drama",
  biography: "history",
  sport: "action",
  animated: "animation",
};

// The genres that tell most about a film come first. Most films are also dramas.
const TELLING = [
  "western",
  "horror",
  "music",
  "documentary",
  "war",
  "scifi",
  "animation",
  "mystery",
  "fantasy",
  "romance",
  "history",
  "crime",
  "family",
  "thriller",
  "adventure",
  "comedy",
  "action",
  "drama",
];

/** @param {string} genre */
const familyOf = (genre) => {
  const name = genre.toLowerCase();
  return FAMILIES[name] ?? (INKS[name] ? name : "other");
};

/**
 * The one or two genre families that a film is drawn with, the most telling first.
 *
 * @param {string[] | null} genres
 */
export const familiesOf = (genres) => {
  const known = [...new Set((genres ?? []).map(familyOf))].filter((family) => family !== "other");
  known.sort((a, b) => TELLING.indexOf(a) - TELLING.indexOf(b));
  return known.length ? known.slice(0, 2) : ["other"];
};

/**
 * A palette of a genre family.
 *
 * @param {string} family
 * @param {number} choice Any number; palettes repeat.
 * @returns {Inks}
 */
export const inksOf = (family, choice) => {
  const choices = INKS[family];
  const [ground, title, first, second] = choices[choice % choices.length].split(" ");
  return { ground, title, first, second };
};

/** Every palette as text, for tests. */
export const allInks = () => Object.values(INKS).flat();
