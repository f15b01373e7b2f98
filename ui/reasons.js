// Reason codes of the service as sentences.
import { has, humanised, t } from "./i18n.js";
import { titleOf } from "./films.js";

const split = (code) => {
  const colon = code.indexOf(":");
  return colon < 0 ? [code, ""] : [code.slice(0, colon), code.slice(colon + 1)];
};

/** The movies that these codes speak of, by id. */
export const moviesIn = (codes) =>
  codes.map(split).filter(([kind]) => kind === "because_you_liked" || kind === "similar_to_recent").map(([, id]) => Number(id));

/** One code as a sentence; a code that nobody described is at least put into words. */
export const reasonText = (code) => {
  const [kind, detail] = split(code);
  if (!has(`reason.${kind}`)) return humanised(detail ? `${kind}: ${detail}` : kind);
  return t(`reason.${kind}`, {
    genre: detail.replaceAll("_", " "),
    decade: /^\d{4}$/.test(detail) ? `${detail}s` : detail,
    title: titleOf(Number(detail)) ?? t("reason.aFilm"),
  });
};

export const systemText = (name) => (has(`system.${name}`) ? t(`system.${name}`) : humanised(name));
export const familyText = (family) => (has(`family.${family}`) ? t(`family.${family}`) : humanised(family));
