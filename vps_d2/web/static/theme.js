/**
 * Light and dark: as the system has it, until the switch says otherwise.
 */

import { keep, recall } from "./memory.js";

const probe = document.createElement("span");
probe.hidden = true;

/** Colors that were looked up, until the theme changes. @type {Map<string, string>} */
const colors = new Map();

/** @returns {boolean} whether the page is dark now. */
export function isDark() {
  const chosen = document.documentElement.dataset.theme;
  return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

/**
 * Follow the system and the earlier choice.
 * @param {() => void} onChange - what is drawn in colors has to be drawn again.
 * @returns {() => void} switches between light and dark.
 */
export function startTheme(onChange) {
  const root = document.documentElement;
  const change = (/** @type {string|null} */ theme) => {
    if (theme === "light" || theme === "dark") root.dataset.theme = theme;
    colors.clear();
    onChange();
  };
  document.body.append(probe);
  change(recall("theme"));
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => change(null));
  return () => {
    const theme = isDark() ? "light" : "dark";
    keep("theme", theme);
    change(theme);
  };
}

/**
 * Return a color of the theme, for canvases.
 * @param {string} name - of a custom property, without its dashes.
 * @returns {string}
 */
export function themeColor(name) {
  if (!colors.has(name)) {
    probe.style.color = `var(--${name})`;
    colors.set(name, getComputedStyle(probe).color);
  }
  return colors.get(name);
}
