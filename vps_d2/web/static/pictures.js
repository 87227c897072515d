/**
 * The frames and masks that are shown, fetched before they are needed.
 */

import { api } from "./api.js";
import { decodeMask } from "./masks.js";
import { Loader } from "./loader.js";

const FRAME_BYTES = 384 * 2 ** 20;
const MASK_BYTES = 96 * 2 ** 20;
const AHEAD = 16; // frames
const BEHIND = 4;
/** Heights at which frames of large videos are asked for. */
const HEIGHTS = [360, 540, 720, 1080, 1440, 2160];
const SMALL = 720; // a video up to this height is always shown in full

/** @typedef {import("./masks.js").Mask} Mask */

/** Frames and masks by index, for the frame that is shown and those that come next. */
export class Pictures {
  /**
   * @param {import("./model.js").Model} model
   * @param {(index: number) => void} onLoad - called when something of a frame has come.
   */
  constructor(model, onLoad) {
    this.model = model;
    this.lastFrame = 0;
    this.direction = 1;
    this.rows = /** @type {number|null} */ (null);
    /** That was loaded last. @type {ImageBitmap|null} */
    this.latest = null;
    /** Frames that the server could not give, so that it is not asked again and again. */
    this.broken = new Set();
    const onError = (error) => error.status && model.set({ trouble: error.message });
    this.frames = new Loader({
      load: (index, signal) => this._loadFrame(index, signal),
      isFresh: (value) => value.rows >= (this.rows ?? model.session.video.height),
      size: (value) => value.bitmap.width * value.bitmap.height * 4,
      limit: FRAME_BYTES,
      parallel: 2,
      onLoad,
      onError,
    });
    this.masks = new Loader({
      load: (index, signal) => this._loadMask(index, signal),
      isFresh: (value) => value.revision >= model.session.revision,
      size: (value) => value.labels.length,
      limit: MASK_BYTES,
      parallel: 1,
      onLoad,
      onError,
    });
  }

  async _loadFrame(index, signal) {
    const rows = this.rows;
    try {
      const bitmap = await createImageBitmap(await api.frame(index, rows, signal));
      this.latest = bitmap;
      if (index > this.model.reach) this.model.set({ reach: index });
      return { bitmap, rows: rows ?? this.model.session.video.height };
    } catch (error) {
      if (error.status) this.broken.add(index);
      if (error.status !== 404 || this.model.session.video.num_frames !== null) throw error;
      this.model.set({ ended: index });
      this.model.seek(this.model.frame);
      return { bitmap: this.latest, rows: 0 };
    }
  }

  async _loadMask(index, signal) {
    const { revision } = this.model.session;
    return decodeMask(await api.mask(index, revision, this.rows, signal), revision);
  }

  /**
   * Say how tall the frame is on the screen.
   * @param {number} height - in pixels of the screen.
   */
  setHeight(height) {
    const full = this.model.session.video.height;
    const rows = full <= SMALL ? undefined : HEIGHTS.find((each) => each >= height && each < full);
    if (this.rows === (rows ?? null)) return;
    this.rows = rows ?? null;
    this.refresh();
  }

  /** Ask for what is needed at the frame that is shown, and after it. */
  refresh() {
    const { frame, numFrames, playing } = this.model;
    if (frame !== this.lastFrame) this.direction = frame < this.lastFrame ? -1 : 1;
    this.lastFrame = frame;
    const step = playing ? 1 : this.direction;
    const wanted = [frame];
    for (let k = 1; k <= AHEAD; k++) {
      wanted.push(frame + k * step);
      if (k <= BEHIND) wanted.push(frame - k * step);
    }
    const inside = wanted.filter((each) => each >= 0 && each < numFrames);
    this.frames.want(inside.filter((each) => !this.broken.has(each)));
    this.masks.want(inside);
  }

  /**
   * Keep the mask of a frame that a stroke has just made.
   * @param {number} index
   * @param {Mask} mask
   */
  putMask(index, mask) {
    const before = this.model.session.revision;
    if (mask.revision === before + 1) this.keepMasks(before, mask.revision, index, index);
    this.masks.put(index, mask);
  }

  /**
   * Masks outside a range of frames have not changed from one revision to another.
   * @param {number} before - revision of the session.
   * @param {number} after
   * @param {number} first - frame of the range.
   * @param {number} last - likewise, included.
   */
  keepMasks(before, after, first, last) {
    for (const [index, mask] of this.masks.values) {
      if (mask.revision !== before) continue;
      mask.revision = index < first || index > last ? after : -1;
    }
  }
}
