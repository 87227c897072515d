/**
 * Buttons and keys run commands; the help lists them.
 */

import { COMMANDS } from "./commands.js";
import { byId, make, makeIcon } from "./dom.js";
import { speak } from "./messages.js";

const DIGIT_PAUSE = 700; // milliseconds within which digits make one number

/** What the mouse and fingers do, for the help. */
const GESTURES = [
  ["Add", "click or drag"],
  ["Take away", "right button, or Alt"],
  ["Choose what is there", "Ctrl + click"],
  ["Zoom", "wheel, or two fingers"],
  ["Move the view", "Space + drag, or middle button"],
  ["Choose a range", "Shift + drag on the timeline"],
  ["Zoom the timeline", "wheel, on its ruler"],
];

/** How keys are called in the help. */
const NAMES = {
  ArrowLeft: "←",
  ArrowRight: "→",
  ArrowUp: "↑",
  ArrowDown: "↓",
  Escape: "Esc",
  PageUp: "Page ↑",
  PageDown: "Page ↓",
};

/**
 * Return the name of a key with its modifiers, such as "Ctrl+Shift+Z" or "?".
 * @param {KeyboardEvent} event
 * @returns {string}
 */
export function keyName(event) {
  const isCharacter = event.key.length === 1;
  const isLetter = isCharacter && event.key.toLowerCase() !== event.key.toUpperCase();
  const key = event.key === " " ? "Space" : isLetter ? event.key.toUpperCase() : event.key;
  // Other characters, such as the question mark, may need Shift on some keyboards.
  const shift = event.shiftKey && (isLetter || !isCharacter) ? "Shift+" : "";
  // Some keyboards write brackets by AltGr, which looks like Ctrl and Alt.
  const isPlain = event.getModifierState("AltGraph");
  const control = !isPlain && (event.ctrlKey || event.metaKey) ? "Ctrl+" : "";
  const alt = !isPlain && event.altKey ? "Alt+" : "";
  return `${control}${alt}${shift}${key}`;
}

/**
 * Let buttons and keys run commands.
 * @param {any} page - with a model, and what the commands need.
 */
export function startCommands(page) {
  const { model } = page;
  const byKey = new Map(COMMANDS.flatMap((each) => each.keys.map((key) => [key, each])));
  const buttons = COMMANDS.flatMap((command) =>
    [...document.querySelectorAll(`[data-command="${command.id}"]`)].map((button) => {
      dressButton(button, command);
      button.addEventListener("click", () => run(command));
      return { button, command };
    }),
  );
  const run = (command) => {
    if (model.session && (command.enabled?.(model) ?? true)) command.run(page);
  };
  const update = () => {
    for (const { button, command } of buttons) {
      const isEnabled = model.session !== null && (command.enabled?.(model) ?? true);
      button.setAttribute("aria-disabled", String(!isEnabled));
      if (command.pressed) button.setAttribute("aria-pressed", String(command.pressed(model)));
    }
    const icon = model.playing ? "pause" : "play";
    const play = /** @type {HTMLElement} */ (document.querySelector('[data-command="play"]'));
    if (play.dataset.icon !== icon) play.replaceChildren(makeIcon(icon));
    play.dataset.icon = icon;
  };
  model.on(["session", "tool", "takesAway", "playing", "chosen", "range", "problem"], update);
  update();
  // A button that was clicked by the mouse does not take the keys away from the frame.
  addEventListener("mousedown", (event) => {
    if (event.target instanceof Element && event.target.closest("[data-command]"))
      event.preventDefault();
  });
  const typeDigit = makeDigitReader(model);
  addEventListener("keydown", (event) => {
    if (event.defaultPrevented || isTaken(event)) return;
    const name = keyName(event);
    if (/^[1-9]$/.test(name) || (name === "0" && typeDigit.isOpen())) typeDigit.press(name);
    else if (name === "Escape" && page.strokes.drop()) speak("The stroke was dropped.");
    else if (name === "Space") page.holdSpace(event.repeat);
    else if (byKey.has(name)) run(byKey.get(name));
    else return;
    event.preventDefault();
  });
  addEventListener("keyup", (event) => {
    if (event.key === " " && page.releaseSpace()) run(byKey.get("Space"));
  });
}

/** @returns {boolean} whether a key belongs to the element that has the focus. */
function isTaken(event) {
  if (document.querySelector("dialog[open]")) return true;
  const { target } = event;
  if (!(target instanceof HTMLElement)) return false;
  if (target.matches('input[type="range"]')) return /^(Arrow|Page|Home|End)/.test(event.key);
  if (target.matches('input[type="checkbox"]')) return event.key === " ";
  if (target.matches("input, select, textarea")) return true;
  return target.matches("button, a") && (event.key === " " || event.key === "Enter");
}

/** Read numbers of objects, of one digit or several that are typed quickly. */
function makeDigitReader(model) {
  let [typed, until] = ["", 0];
  const isOpen = () => typed !== "" && performance.now() < until;
  const press = (digit) => {
    const longer = isOpen() ? typed + digit : digit;
    typed = model.object(Number(longer)) ? longer : digit;
    until = performance.now() + DIGIT_PAUSE;
    if (model.object(Number(typed))) model.set({ chosen: Number(typed) });
  };
  return { isOpen, press };
}

/** @param {any} button @param {import("./commands.js").Command} command */
function dressButton(button, { label, keys, icon, text }) {
  button.type = "button";
  if (icon) button.append(makeIcon(icon));
  if (text) button.append(make("span", { text }));
  button.title = keys.length ? `${label} (${keys.map(showKey).join(" or ")})` : label;
  button.setAttribute(
    "aria-label",
    text ? `${text.replace(/[←→|]/g, "").trim()}: ${label}` : label,
  );
  button.setAttribute("aria-keyshortcuts", keys.join(" ").replaceAll("Ctrl", "Control"));
}

function showKey(key) {
  return key
    .split(/\+(?=.)/)
    .map((part) => NAMES[part] ?? part)
    .join(" ");
}

/** Fill the dialog of the help, once. */
export function fillHelp() {
  const rows = groupCommands();
  const groups = [...rows].map(([group, commands]) =>
    makeGroup(
      group,
      commands.map(({ label, keys }) => [label, ...keys.map(showKey)]),
    ),
  );
  groups[1].querySelector("dl").append(...makeRow(["Choose by number", "1 … 9", "12"]));
  byId("help-groups").replaceChildren(...groups, makeGroup("Mouse and touch", GESTURES, "span"));
}

function groupCommands() {
  const rows = new Map();
  for (const each of COMMANDS) rows.set(each.group, [...(rows.get(each.group) ?? []), each]);
  return rows;
}

function makeGroup(title, rows, tag = "kbd") {
  const list = make("dl", {});
  for (const row of rows) list.append(...makeRow(row, tag));
  return make("section", {}, make("h3", { text: title }), list);
}

function makeRow([label, ...keys], tag = "kbd") {
  const keyList = make("dd", {});
  keys.forEach((key, k) => keyList.append(...(k ? [" "] : []), make(tag, { text: key })));
  return [make("dt", { text: label }), keyList];
}
