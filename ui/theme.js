// @ts-check
// The reader's choice of theme, set before anything is painted. A classic script, so it runs first.
try {
  const theme = JSON.parse(localStorage.getItem("movierank.theme") ?? "null");
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // No choice, or storage is forbidden: the system's theme applies.
}
