/**
 * Which frames the timeline shows, and where.
 */

const MIN_FRAMES = 12;

/** Turns frames into places on the timeline and back, in CSS pixels. */
export class TimeScale {
  constructor() {
    this.numFrames = 1;
    /** Of the names at its left. */
    this.gutter = 128;
    this.width = 800;
    /** What is seen: the index of a frame, and that after the last one. */
    this.start = 0;
    this.end = 1;
  }

  /** CSS pixels for a frame. */
  get pixels() {
    return (this.width - this.gutter) / (this.end - this.start);
  }

  /**
   * Tell how long the video and how wide the timeline is.
   * @param {number} numFrames
   * @param {number} width
   */
  resize(numFrames, width) {
    const wasWhole = this.end - this.start >= this.numFrames;
    this.numFrames = numFrames;
    this.width = Math.max(width, this.gutter + 50);
    if (wasWhole) this.fit();
    else this._show(this.start, this.end - this.start);
  }

  /** Show the whole video. */
  fit() {
    [this.start, this.end] = [0, this.numFrames];
  }

  /** @param {number} frame @returns {number} where it begins. */
  xOf(frame) {
    return this.gutter + (frame - this.start) * this.pixels;
  }

  /** @param {number} x @returns {number} the index of the frame there, in the video. */
  frameAt(x) {
    const frame = Math.floor(this.start + (x - this.gutter) / this.pixels);
    return Math.min(Math.max(0, frame), this.numFrames - 1);
  }

  /**
   * Show fewer or more frames.
   * @param {number} factor - above 1 for fewer.
   * @param {number} frame - that stays where it is.
   */
  zoom(factor, frame) {
    const count = this.end - this.start;
    const next = Math.min(
      Math.max(count / factor, Math.min(MIN_FRAMES, this.numFrames)),
      this.numFrames,
    );
    this._show(frame - ((frame - this.start) / count) * next, next);
  }

  /** @param {number} frames - to move by. */
  pan(frames) {
    this._show(this.start + frames, this.end - this.start);
  }

  /** @param {number} frame - to bring into view. */
  reveal(frame) {
    const count = this.end - this.start;
    if (frame < this.start) this._show(frame - 0.1 * count, count);
    else if (frame + 1 > this.end) this._show(frame + 1 - 0.9 * count, count);
  }

  _show(start, count) {
    const length = Math.min(count, this.numFrames);
    this.start = Math.min(Math.max(0, start), this.numFrames - length);
    this.end = this.start + length;
  }
}
