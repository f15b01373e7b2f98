// Starts the page: everything the views are made of, the theme button, and what to do if something breaks.
import { connection } from "./connection.js";
import { t } from "./i18n.js";
import * as route from "./route.js";
import { keep } from "./storage.js";
import { toast } from "./components/toast/toast.js";
import "./components/notice/notice.js";
import "./components/who/who.js";
import "./components/app/app.js";

const isDark = () => {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
};

const startTheme = () => {
  const button = document.getElementById("theme");
  const tell = () => button.setAttribute("aria-label", t(isDark() ? "theme.toLight" : "theme.toDark"));
  button.addEventListener("click", () => {
    const theme = isDark() ? "light" : "dark";
    document.documentElement.dataset.theme = theme;
    keep("theme", theme);
    tell();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
  tell();
};

const broken = () => toast(t("state.broken"), { action: t("state.reload"), onAction: () => location.reload() });
addEventListener("error", broken);
addEventListener("unhandledrejection", broken);

route.start();
startTheme();
connection.start();
