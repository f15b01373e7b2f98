// Before anything is painted: the theme that was chosen, if one was. A classic script, so that it runs first.
try {
  const theme = JSON.parse(localStorage.getItem("movierank.theme"));
  if (theme) document.documentElement.dataset.theme = theme;
} catch {
  // Nothing was chosen, or storage is forbidden: the system's theme it is.
}
