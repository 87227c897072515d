/**
 * What the page knows and shows: the state of the session, as the server told it, and what the user
 * has chosen. Everything that is drawn is drawn from here, and is told when something changes.
 */

/** @typedef {"click"|"scribble"|"brush"|"eraser"|"hand"} Tool */

/** Holds values by name, and tells listeners which of them have changed. */
export class Model {
  constructor() {
    /** @type {Array<{names: Set<string>, call: (changed: Set<string>) => void}>} */
    this.listeners = [];
    /** As of `GET api/state`; null until it is known. @type {any} */
    this.session = null;
    /** As of `GET api/timeline`. @type {{frames: number, objects: Object<string, any>}} */
    this.timeline = { frames: 0, objects: {} };
    /** Index of the frame that is shown. */
    this.frame = 0;
    /** Number of the chosen object; null for a new one. @type {number|null} */
    this.chosen = null;
    /** @type {Tool} */
    this.tool = "click";
    /** Radius of each pen, in pixels of the video. @type {Object<string, number>} */
    this.sizes = { scribble: 3, brush: 12, eraser: 12 };
    /** Numbers of the objects that are not drawn. @type {Set<number>} */
    this.hidden = new Set();
    /** Chosen frames, end exclusive. @type {{start: number, end: number}|null} */
    this.range = null;
    /** Of the masks, 0-100. */
    this.opacity = 45;
    this.showMasks = true;
    this.showStrokes = true;
    this.onlyChosen = false;
    /** Whether strokes take away; the right button and Alt do so at any time. */
    this.takesAway = false;
    /** Where the pointer is, in pixels of the video. @type {{x: number, y: number}|null} */
    this.pointerAt = null;
    /** Index of the furthest frame that was seen. */
    this.reach = 0;
    /** Number of frames, once a video that does not say it has come to its end. */
    this.ended = Infinity;
    /** A sentence about a frame that cannot be shown. */
    this.trouble = "";
    this.playing = false;
    /** Whether a stroke has been sent whose mask has not come yet. */
    this.sending = false;
    /** Why the server is lost; "" while it answers. */
    this.problem = "";
    /** Pixel of the video at which the keyboard points; null while it does not. */
    this.crosshair = /** @type {{x: number, y: number}|null} */ (null);
  }

  /**
   * Be told of changes.
   * @param {string[]} names - of the values.
   * @param {(changed: Set<string>) => void} call
   */
  on(names, call) {
    this.listeners.push({ names: new Set(names), call });
  }

  /**
   * Change values.
   * @param {Object<string, any>} values - by name.
   */
  set(values) {
    const changed = new Set();
    for (const [name, value] of Object.entries(values)) {
      if (this[name] === value) continue;
      this[name] = value;
      changed.add(name);
    }
    if (!changed.size) return;
    for (const { names, call } of this.listeners) {
      for (const name of changed) {
        if (names.has(name)) {
          call(changed);
          break;
        }
      }
    }
  }

  /** Number of frames of the video, as far as it is known; at least 1. */
  get numFrames() {
    // Of a video that does not say how long it is, there may always be a frame after the last one.
    const known = this.session?.video.num_frames ?? Math.max(this.timeline.frames, this.reach + 2);
    return Math.max(1, Math.min(known, this.ended));
  }

  /** @returns {Array<import("./api.js").VideoObject>} */
  get objects() {
    return this.session?.objects ?? [];
  }

  /** @param {number|null} number @returns {any} the object of a number, or undefined. */
  object(number) {
    return this.objects.find((each) => each.number === number);
  }

  /** Whether a job is running that works on the session. */
  get busy() {
    return this.session?.job?.state === "running";
  }

  /**
   * Show a frame; outside the video, the nearest one.
   * @param {number} index
   */
  seek(index) {
    if (Number.isFinite(index)) {
      this.set({ frame: Math.min(Math.max(0, Math.round(index)), this.numFrames - 1) });
    }
  }

  /**
   * Return how an object is known in a frame.
   * @param {number} number - of the object.
   * @param {number} frame
   * @returns {"touched"|"propagated"|"empty"|"doubtful"|"unknown"}
   */
  status(number, frame) {
    const row = this.timeline.objects[number];
    if (!row) return "unknown";
    if (row.touched.includes(frame)) return "touched";
    const run = row.runs.find(([start, end]) => start <= frame && frame < end);
    return run ? run[2] : "unknown";
  }

  /**
   * Return the nearest frame of a kind, of all objects, or only of the chosen one.
   * @param {"touched"|"doubtful"} kind
   * @param {1|-1} direction
   * @returns {number|null}
   */
  findFrame(kind, direction) {
    const rows = Object.entries(this.timeline.objects);
    const own = rows.filter(([number]) => Number(number) === this.chosen);
    const frames = (this.onlyChosen && own.length ? own : rows).flatMap(([, row]) =>
      kind === "touched" ? row.touched : doubtfulFrames(row.runs, this.frame, direction),
    );
    const ahead = frames.filter((each) => (each - this.frame) * direction > 0);
    if (!ahead.length) return null;
    return direction > 0 ? Math.min(...ahead) : Math.max(...ahead);
  }
}

/**
 * Return where to stop in doubtful runs: the first frame of each, and its last one on the way back.
 * @param {Array<[number, number, string]>} runs
 * @param {number} frame - that is shown.
 * @param {1|-1} direction
 * @returns {number[]}
 */
function doubtfulFrames(runs, frame, direction) {
  return runs
    .filter(([, , kind]) => kind === "doubtful")
    .filter(([start, end]) => !(start <= frame && frame < end))
    .map(([start, end]) => (direction > 0 ? start : end - 1));
}
