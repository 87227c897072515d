/**
 * Everything that can be done by a button or a key, in one list: the buttons, the keys and their
 * help are made from it.
 */

import { api } from "./api.js";
import { clearFrames, propagate } from "./jobs.js";
import { attempt, speak } from "./messages.js";

/**
 * @typedef {object} Command
 * @property {string} id - also in `data-command` of its button.
 * @property {string} group - in the help.
 * @property {string} label - what it does, as tooltip and in the help.
 * @property {string[]} keys - as {@link keyName} gives them.
 * @property {(page: any) => any} run
 * @property {string} [icon]
 * @property {string} [text] - on its button.
 * @property {(model: any) => boolean} [enabled]
 * @property {(model: any) => boolean} [pressed] - for a button that stays down.
 */

const isOnline = (model) => !model.problem;
const isIdle = (model) =>
  isOnline(model) && !model.busy && model.objects.length > 0 && Boolean(model.session.engine);
const hasChosen = (model) => model.chosen !== null;

/** @param {any} page @param {"undo"|"redo"} which */
async function turn(page, which) {
  if (page.strokes.drop()) return;
  if (await attempt(async () => (await api[which](), true)))
    speak(which === "undo" ? "Undone." : "Redone.");
}

/** Go to the next frame of a kind. */
function jump(page, kind, direction) {
  const frame = page.model.findFrame(kind, direction);
  if (frame === null)
    speak(`There is no ${kind} frame ${direction > 0 ? "after" : "before"} this one.`);
  else page.goTo(frame);
}

function tool(id, label, key) {
  return {
    id: `tool-${id}`,
    group: "Tools",
    label,
    keys: [key],
    icon: id,
    run: ({ model }) => model.set({ tool: id }),
    pressed: (model) => model.tool === id,
  };
}

function go(id, label, keys, find, icon) {
  return { id, group: "Frames", label, keys, icon, run: (page) => page.goTo(find(page.model)) };
}

function follow(id, label, keys, text) {
  return {
    id,
    group: "Propagate",
    label,
    keys,
    text,
    enabled: isIdle,
    run: ({ model }) => propagate(model, id),
  };
}

/** @type {Command[]} */
export const COMMANDS = [
  tool("click", "Click", "C"),
  tool("scribble", "Scribble", "S"),
  tool("brush", "Brush", "B"),
  tool("eraser", "Eraser", "E"),
  tool("hand", "Move the view", "H"),
  {
    id: "take-away",
    group: "Tools",
    label: "Take away instead of adding",
    keys: ["R"],
    icon: "plus-minus",
    pressed: (model) => model.takesAway,
    run: ({ model }) => model.set({ takesAway: !model.takesAway }),
  },
  {
    id: "smaller",
    group: "Tools",
    label: "Smaller pen",
    keys: ["["],
    run: (page) => page.resizePen(1 / 1.25),
  },
  {
    id: "larger",
    group: "Tools",
    label: "Larger pen",
    keys: ["]"],
    run: (page) => page.resizePen(1.25),
  },
  {
    id: "crosshair",
    group: "Tools",
    label: "Point by the arrow keys",
    keys: ["X"],
    run: (page) => page.crosshair.show(),
  },

  {
    id: "new",
    group: "Objects",
    label: "New object",
    keys: ["N"],
    run: (page) => page.strokes.beginObject(),
  },
  {
    id: "object-before",
    group: "Objects",
    label: "Object before",
    keys: ["ArrowUp"],
    run: (page) => page.objects.move(-1),
  },
  {
    id: "object-after",
    group: "Objects",
    label: "Object after",
    keys: ["ArrowDown"],
    run: (page) => page.objects.move(1),
  },
  {
    id: "rename",
    group: "Objects",
    label: "Name its class",
    keys: ["F2"],
    run: (page) => page.objects.editName(),
  },
  {
    id: "hide",
    group: "Objects",
    label: "Hide or show it",
    keys: ["V"],
    enabled: hasChosen,
    run: (page) => page.objects.toggle(page.model.chosen),
  },
  {
    id: "show-all",
    group: "Objects",
    label: "Show all objects",
    keys: ["Shift+V"],
    run: ({ model }) => model.set({ hidden: new Set() }),
  },
  {
    id: "delete",
    group: "Objects",
    label: "Delete it in all frames",
    keys: ["Delete"],
    enabled: hasChosen,
    run: (page) => page.objects.remove(page.model.chosen),
  },

  {
    id: "play",
    group: "Frames",
    label: "Play or pause",
    keys: ["Space"],
    icon: "play",
    pressed: (model) => model.playing,
    run: ({ model }) => model.set({ playing: !model.playing }),
  },
  go("previous", "Frame before", ["ArrowLeft", ","], (model) => model.frame - 1, "previous"),
  go("next", "Frame after", ["ArrowRight", "."], (model) => model.frame + 1, "next"),
  go("back-10", "10 frames back", ["Shift+ArrowLeft", "PageUp"], (model) => model.frame - 10),
  go("ahead-10", "10 frames ahead", ["Shift+ArrowRight", "PageDown"], (model) => model.frame + 10),
  go("first", "First frame", ["Home"], () => 0),
  go("last", "Last frame", ["End"], (model) => model.numFrames - 1),
  {
    id: "next-doubtful",
    group: "Frames",
    label: "Next doubtful frame",
    keys: ["D"],
    icon: "next-doubtful",
    run: (page) => jump(page, "doubtful", 1),
  },
  {
    id: "previous-doubtful",
    group: "Frames",
    label: "Doubtful frame before",
    keys: ["Shift+D"],
    icon: "previous-doubtful",
    run: (page) => jump(page, "doubtful", -1),
  },
  {
    id: "next-touched",
    group: "Frames",
    label: "Next touched frame",
    keys: ["T"],
    icon: "next-touched",
    run: (page) => jump(page, "touched", 1),
  },
  {
    id: "previous-touched",
    group: "Frames",
    label: "Touched frame before",
    keys: ["Shift+T"],
    icon: "previous-touched",
    run: (page) => jump(page, "touched", -1),
  },
  {
    id: "go-to",
    group: "Frames",
    label: "Type the number of a frame",
    keys: ["G"],
    run: (page) => page.editFrame(),
  },

  follow("forward", "Forward from this frame, or in the range", ["P"], "Forward →"),
  follow("backward", "Backward from this frame, or in the range", ["Shift+P"], "← Backward"),
  follow("both", "Through the whole video, or in the range", ["F"], "Whole video"),
  follow("around", "From this frame to the nearest touched ones", ["A"], "→| Around |←"),
  {
    id: "resume",
    group: "Propagate",
    label: "Go on with what was interrupted",
    keys: ["Shift+F"],
    text: "Go on",
    enabled: (model) => isIdle(model) && Boolean(model.session.unfinished),
    run: () => attempt(() => api.resume()),
  },
  {
    id: "cancel",
    group: "Propagate",
    label: "Stop what is running",
    keys: ["Q"],
    text: "Stop",
    enabled: (model) => model.busy,
    run: () => attempt(() => api.cancel()),
  },
  {
    id: "range-start",
    group: "Range",
    label: "Range begins here",
    keys: ["I"],
    run: ({ model }) => {
      const end = Math.max(model.range?.end ?? model.numFrames, model.frame + 1);
      model.set({ range: { start: model.frame, end } });
    },
  },
  {
    id: "range-end",
    group: "Range",
    label: "Range ends here",
    keys: ["O"],
    run: ({ model }) => {
      const start = Math.min(model.range?.start ?? 0, model.frame);
      model.set({ range: { start, end: model.frame + 1 } });
    },
  },
  {
    id: "range-clear",
    group: "Range",
    label: "No range",
    keys: ["Escape"],
    icon: "close",
    enabled: (model) => model.range !== null,
    run: ({ model }) => model.set({ range: null }),
  },
  {
    id: "clear-chosen",
    group: "Range",
    label: "Clear the chosen object in the range or frame",
    keys: ["Backspace"],
    text: "Clear",
    enabled: (model) => hasChosen(model) && isOnline(model),
    run: (page) => clearFrames(page.model, [page.model.chosen], () => turn(page, "undo")),
  },
  {
    id: "clear-all",
    group: "Range",
    label: "Clear all objects in the range or frame",
    keys: ["Shift+Backspace"],
    enabled: (model) => model.objects.length > 0 && isOnline(model),
    run: (page) => clearFrames(page.model, null, () => turn(page, "undo")),
  },

  {
    id: "undo",
    group: "Session",
    label: "Undo",
    keys: ["Ctrl+Z"],
    icon: "undo",
    enabled: (model) => isOnline(model) && Boolean(model.session?.can_undo),
    run: (page) => turn(page, "undo"),
  },
  {
    id: "redo",
    group: "Session",
    label: "Redo",
    keys: ["Ctrl+Shift+Z", "Ctrl+Y"],
    icon: "redo",
    enabled: (model) => isOnline(model) && Boolean(model.session?.can_redo),
    run: (page) => turn(page, "redo"),
  },
  {
    id: "import",
    group: "Session",
    label: "Import masks",
    keys: ["Shift+I"],
    icon: "import",
    text: "Import",
    enabled: isOnline,
    run: (page) => page.files.openImport(),
  },
  {
    id: "export",
    group: "Session",
    label: "Export masks",
    keys: ["Shift+E"],
    icon: "export",
    text: "Export",
    enabled: isOnline,
    run: (page) => page.files.openExport(),
  },

  {
    id: "zoom-in",
    group: "View",
    label: "Zoom in",
    keys: ["+", "="],
    icon: "plus",
    run: (page) => page.zoom(1.4),
  },
  {
    id: "zoom-out",
    group: "View",
    label: "Zoom out",
    keys: ["-"],
    icon: "minus",
    run: (page) => page.zoom(1 / 1.4),
  },
  {
    id: "zoom-fit",
    group: "View",
    label: "Whole frame",
    keys: ["0"],
    icon: "fit",
    run: (page) => page.zoom(0),
  },
  {
    id: "masks",
    group: "View",
    label: "Masks on or off",
    keys: ["M"],
    run: ({ model }) => model.set({ showMasks: !model.showMasks }),
  },
  {
    id: "strokes",
    group: "View",
    label: "Clicks and scribbles on or off",
    keys: ["W"],
    run: ({ model }) => model.set({ showStrokes: !model.showStrokes }),
  },
  {
    id: "timeline-in",
    group: "View",
    label: "Fewer frames in the timeline",
    keys: ["Shift+ArrowUp"],
    icon: "plus",
    run: (page) => page.timeline.zoom(1.6),
  },
  {
    id: "timeline-out",
    group: "View",
    label: "More frames in the timeline",
    keys: ["Shift+ArrowDown"],
    icon: "minus",
    run: (page) => page.timeline.zoom(1 / 1.6),
  },
  {
    id: "timeline-fit",
    group: "View",
    label: "All frames in the timeline",
    keys: ["Z"],
    text: "All",
    run: (page) => page.timeline.zoom(0),
  },
  {
    id: "theme",
    group: "View",
    label: "Light or dark",
    keys: ["L"],
    icon: "theme",
    run: (page) => page.switchTheme(),
  },
  {
    id: "help",
    group: "Session",
    label: "Keys and gestures",
    keys: ["?"],
    icon: "help",
    run: (page) => page.help(),
  },
];
