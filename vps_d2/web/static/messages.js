/**
 * What the page says: short messages that go away, and what only screen readers say.
 */

import { byId, make, makeIcon } from "./dom.js";

const MAX_TOASTS = 3;
let speakTimer = 0;

/**
 * Show a sentence for some seconds.
 * @param {string} text
 * @param {{error?: boolean, action?: {label: string, run: () => void}}} [options] - an action is a
 *   button beside the sentence.
 */
export function toast(text, { error = false, action } = {}) {
  text = text.charAt(0).toUpperCase() + text.slice(1);
  const list = byId("toasts");
  const same = [...list.children].find((each) => each.dataset.text === text);
  same?.remove();
  const close = make("button", { "aria-label": "Dismiss", click: () => item.remove() });
  close.append(makeIcon("close"));
  const item = make("div", {
    class: error ? "toast error" : "toast",
    role: error ? "alert" : "status",
  });
  item.dataset.text = text;
  item.append(make("span", { text }));
  if (action) {
    const run = () => {
      item.remove();
      action.run();
    };
    item.append(make("button", { class: "text", text: action.label, click: run }));
  }
  item.append(close);
  list.append(item);
  while (list.children.length > MAX_TOASTS) list.firstChild.remove();
  setTimeout(() => item.remove(), error ? 9000 : 5000);
}

/**
 * Show an error as its sentence.
 * @param {any} error - thrown by a call of the API, or by mistake.
 */
export function showError(error) {
  if (error?.name === "AbortError") return;
  if (error?.status === undefined) console.error(error);
  toast(error?.message || "Something went wrong on the page; reload it.", { error: true });
}

/**
 * Run something that may fail, and show why it did.
 * @template T
 * @param {() => Promise<T>} work
 * @returns {Promise<T|undefined>}
 */
export async function attempt(work) {
  try {
    return await work();
  } catch (error) {
    showError(error);
    return undefined;
  }
}

/**
 * Let screen readers say something, once nothing newer comes.
 * @param {string} text
 */
export function speak(text) {
  clearTimeout(speakTimer);
  speakTimer = setTimeout(() => {
    byId("live").textContent = text;
  }, 250);
}
