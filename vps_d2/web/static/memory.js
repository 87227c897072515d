/**
 * What the user has chosen survives a reload. The session itself is on the server's disk.
 */

const CHOICES = [
  "frame",
  "chosen",
  "tool",
  "sizes",
  "opacity",
  "showMasks",
  "showStrokes",
  "range",
];
const PREFIX = "vps_d2.annotate.";

/**
 * Read what was kept.
 * @param {string} name
 * @returns {any} null if there is nothing, or it cannot be read.
 */
export function recall(name) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

/**
 * Keep a value.
 * @param {string} name
 * @param {any} value
 */
export function keep(name, value) {
  try {
    localStorage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // A browser may forbid it or have no room; then nothing is kept.
  }
}

/**
 * Take up the choices that were made for the same video, and keep those that are made from now on.
 * @param {import("./model.js").Model} model - with a session.
 */
export function rememberChoices(model) {
  const { name, width, height } = model.session.video;
  const key = `choices ${width}x${height} ${name}`;
  const kept = recall(key);
  if (kept && typeof kept === "object") {
    const known = CHOICES.filter((each) => kept[each] !== undefined);
    model.set(Object.fromEntries(known.map((each) => [each, kept[each]])));
    model.set({ hidden: new Set(kept.hidden ?? []) });
    model.seek(model.frame);
  }
  let timer = 0;
  const save = () => {
    clearTimeout(timer);
    const values = Object.fromEntries(CHOICES.map((each) => [each, model[each]]));
    keep(key, { ...values, hidden: [...model.hidden] });
  };
  model.on([...CHOICES, "hidden"], () => {
    clearTimeout(timer);
    timer = setTimeout(save, 300);
  });
  addEventListener("pagehide", save);
}
