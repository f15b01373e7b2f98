// Small things remembered in this browser; a browser that forbids storage just forgets them.

export const recall = (key, otherwise) => {
  try {
    return JSON.parse(localStorage.getItem(`movierank.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
};

export const keep = (key, value) => {
  try {
    localStorage.setItem(`movierank.${key}`, JSON.stringify(value));
  } catch {
    // Nothing depends on it being kept.
  }
};
