// @ts-check
// Starts the page: the views, the theme button, and a message if something breaks.
import { connection } from "./connection.js";
import { find } from "./html.js";
import { t } from "./i18n.js";
import * as route from "./route.js";
import { keep } from "./storage.js";
import { toast } from "./components/toast/toast.js";
import "./components/notice/notice.js";
import "./components/who/who.js";
import "./components/app/app.js";

const DARK = matchMedia("(prefers-color-scheme: dark)");

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : DARK.matches;
};

const startTheme = () => {
  const button = find(document, "#theme");
  const tell = () => button.setAttribute("aria-label", t(isDark() ? "theme.toLight" : "theme.toDark"));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    keep("theme", theme);
    tell();
  });
  DARK.addEventListener("change", tell);
  tell();
};

const broken = () =>
  toast(t("state.broken"), { action: t("state.reload"), onAction: () => location.reload() });
addEventListener("error", broken);
addEventListener("unhandledrejection", broken);

route.start();
startTheme();
connection.start();
