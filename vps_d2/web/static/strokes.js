/**
 * Strokes of the user: drawn at once, sent to the server in order, and replaced by the mask that
 * comes back.
 */

import { api } from "./api.js";
import { decodeBase64Mask } from "./masks.js";
import { showError, speak } from "./messages.js";

const CLICK_RADIUS = 5; // pixels of the video, as the server draws a click
const MAX_POINTS = 9000; // the server takes 10,000

/**
 * A stroke that has no mask yet. All strokes of one new object share a target.
 * @typedef {{frame: number, target: {number: number|null}, stroke: import("./api.js").Stroke}}
 *   PendingStroke
 */

/** Draws and sends strokes; one request is on its way at a time. */
export class Strokes {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./pictures.js").Pictures} pictures
   * @param {() => void} onChange - what is drawn has changed.
   */
  constructor(model, pictures, onChange) {
    this.model = model;
    this.pictures = pictures;
    this.onChange = onChange;
    /** Drawn, and not answered yet, the oldest first. @type {PendingStroke[]} */
    this.pending = [];
    /** Under the pen. @type {PendingStroke|null} */
    this.current = null;
    /** Of the frame that is shown, by object number, as the server has them. */
    this.saved = { frame: -1, revision: -1, strokes: {} };
    this.target = /** @type {{number: number|null}|null} */ (null);
  }

  /** The next stroke makes a new object, even if the number of the last one is not known yet. */
  beginObject() {
    this.target = null;
    this.model.set({ chosen: null });
  }

  /**
   * Put the pen down.
   * @param {{x: number, y: number}} place - in pixels of the video.
   * @param {boolean} positive - adds; if not, takes away.
   * @returns {boolean} whether the tool draws, and may draw now.
   */
  begin({ x, y }, positive) {
    const { model } = this;
    const { tool, frame, chosen } = model;
    if (tool === "hand") return false;
    if (model.problem) return this._refuse(model.problem);
    const adds = tool === "eraser" ? false : positive;
    if (!adds && chosen === null && !this._waitsForNew()) {
      return this._refuse("There is nothing to take away from; choose an object first.");
    }
    const kind = tool === "click" || tool === "scribble" ? tool : "paint";
    const radius = tool === "click" ? CLICK_RADIUS : model.sizes[tool];
    /** @type {import("./api.js").Stroke} */
    const stroke = { points: [[x, y]], positive: adds, radius, tool: kind };
    this.current = { frame, target: this._findTarget(), stroke };
    model.set({ playing: false });
    this.onChange();
    return true;
  }

  _refuse(sentence) {
    showError(Object.assign(new Error(sentence), { status: 0 }));
    return false;
  }

  /** Whether a new object was begun whose number is not known yet. */
  _waitsForNew() {
    return this.pending.some((each) => each.target === this.target && each.target.number === null);
  }

  /** @param {number} number @returns {boolean} whether an object was made here a moment ago. */
  isMaking(number) {
    return this.model.sending && this.pending.some((each) => each.target.number === number);
  }

  _findTarget() {
    const { chosen } = this.model;
    const same =
      this.target && (chosen === null ? this._waitsForNew() : this.target.number === chosen);
    if (!same) this.target = { number: chosen };
    return this.target;
  }

  /**
   * Go on with the stroke.
   * @param {{x: number, y: number}} place
   */
  extend({ x, y }) {
    if (!this.current || this.current.stroke.tool === "click") return;
    const { points, radius } = this.current.stroke;
    const [lastX, lastY] = points[points.length - 1];
    const step = Math.max(0.5, Math.min(radius / 6, 4));
    if (Math.hypot(x - lastX, y - lastY) < step || points.length >= MAX_POINTS) return;
    points.push([x, y]);
    this.onChange();
  }

  /** Lift the pen, and send the stroke. */
  finish() {
    if (!this.current) return;
    const { stroke } = this.current;
    stroke.points = stroke.points.map((point) => point.map((each) => Math.round(each * 100) / 100));
    if (stroke.tool === "scribble" && stroke.points.length === 1) stroke.tool = "click";
    this.pending.push(this.current);
    this.current = null;
    this.onChange();
    this._send();
  }

  /** Drop the stroke under the pen. @returns {boolean} whether there was one. */
  drop() {
    const had = this.current !== null;
    this.current = null;
    if (had) this.onChange();
    return had;
  }

  async _send() {
    if (this.model.sending || !this.pending.length) return;
    this.model.set({ sending: true });
    const { frame, target } = this.pending[0];
    const batch = [];
    for (const each of this.pending) {
      if (each.frame !== frame || each.target !== target) break;
      batch.push(each);
    }
    try {
      await this._sendBatch(frame, target, batch);
      this.pending = this.pending.filter((each) => !batch.includes(each));
    } catch (error) {
      // Later strokes of an object that was not made have nothing to belong to.
      const lost = (each) => batch.includes(each) || (each.target === target && !target.number);
      this.pending = this.pending.filter((each) => !lost(each));
      showError(error);
    }
    this.model.set({ sending: false });
    this.onChange();
    this._send();
  }

  async _sendBatch(frame, target, batch) {
    const { model } = this;
    const isNew = target.number === null;
    const answer = await api.addStrokes(
      frame,
      target.number,
      batch.map((each) => each.stroke),
    );
    target.number = answer.object;
    // At once, so that the next stroke belongs to the same object.
    if (isNew && model.chosen === null && this.target === target)
      model.set({ chosen: answer.object });
    this.pictures.putMask(frame, await decodeBase64Mask(answer.mask, answer.revision));
    const name = model.object(answer.object)?.name ?? "object";
    speak(`The mask of ${name} ${answer.object} in frame ${frame + 1} has changed.`);
    await this.refresh(answer.revision);
  }

  /**
   * Fetch the strokes of the frame that is shown.
   * @param {number} [revision] - of the session; the known one by default.
   */
  async refresh(revision = this.model.session.revision) {
    const { frame } = this.model;
    if (this.saved.frame === frame && this.saved.revision >= revision) return;
    const isTouched = Object.values(this.model.timeline.objects).some((each) =>
      each.touched.includes(frame),
    );
    const mayHave = isTouched || revision > this.model.session.revision;
    try {
      const strokes = mayHave ? await api.strokes(frame) : {};
      if (frame !== this.model.frame) return;
      this.saved = { frame, revision, strokes };
      this.onChange();
    } catch {
      // They are only a help for the eye, and are fetched again with the next change.
    }
  }
}
