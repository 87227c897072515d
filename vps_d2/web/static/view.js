/**
 * Which part of the frame is seen, and how large: x on the screen = x in the video * scale + left.
 */

const MAX_SCALE = 40; // CSS pixels for a pixel of the video
const MARGIN = 12; // CSS pixels around a frame that is fitted

/** Zoom and pan of a frame on a stage. */
export class View {
  constructor() {
    this.stage = { width: 1, height: 1 };
    this.video = { width: 1, height: 1 };
    this.scale = 1;
    this.left = 0;
    this.top = 0;
    /** Whether the whole frame is kept in view when the stage changes. */
    this.fitted = true;
  }

  /** The scale at which the whole frame is seen. */
  get fitScale() {
    const width = Math.max(1, this.stage.width - 2 * MARGIN) / this.video.width;
    const height = Math.max(1, this.stage.height - 2 * MARGIN) / this.video.height;
    return Math.min(width, height);
  }

  /**
   * Tell the size of the stage, in CSS pixels.
   * @param {number} width
   * @param {number} height
   */
  resize(width, height) {
    const middle = this.toVideo(this.stage.width / 2, this.stage.height / 2);
    this.stage = { width, height };
    if (this.fitted) this.fit();
    else this.place(middle.x, middle.y, width / 2, height / 2);
  }

  /** Show the whole frame. */
  fit() {
    this.scale = this.fitScale;
    this.left = (this.stage.width - this.video.width * this.scale) / 2;
    this.top = (this.stage.height - this.video.height * this.scale) / 2;
    this.fitted = true;
  }

  /**
   * Zoom, with a place on the stage kept where it is.
   * @param {number} factor - above 1 to come closer.
   * @param {number} [x] - of the place; the middle by default.
   * @param {number} [y]
   */
  zoom(factor, x = this.stage.width / 2, y = this.stage.height / 2) {
    const place = this.toVideo(x, y);
    const least = Math.min(this.fitScale, 1) / 2;
    this.scale = Math.min(Math.max(this.scale * factor, least), MAX_SCALE);
    this.place(place.x, place.y, x, y);
  }

  /**
   * Move what is seen.
   * @param {number} dx - CSS pixels to the right.
   * @param {number} dy - down.
   */
  pan(dx, dy) {
    const middle = this.toVideo(this.stage.width / 2 - dx, this.stage.height / 2 - dy);
    this.place(middle.x, middle.y, this.stage.width / 2, this.stage.height / 2);
  }

  /**
   * Move a place of the video into view, if it is outside.
   * @param {number} x
   * @param {number} y
   */
  reveal(x, y) {
    const [sx, sy] = [x * this.scale + this.left, y * this.scale + this.top];
    const edge = 24;
    const dx = Math.min(Math.max(sx, edge), this.stage.width - edge) - sx;
    const dy = Math.min(Math.max(sy, edge), this.stage.height - edge) - sy;
    if (dx || dy) this.pan(dx, dy);
  }

  /**
   * Bring a place of the video to a place on the stage; some of the frame always stays in view.
   * @param {number} x
   * @param {number} y
   * @param {number} stageX
   * @param {number} stageY
   */
  place(x, y, stageX, stageY) {
    const keep = 40;
    const clamp = (value, size, room) => Math.min(Math.max(value, keep - size), room - keep);
    this.left = clamp(stageX - x * this.scale, this.video.width * this.scale, this.stage.width);
    this.top = clamp(stageY - y * this.scale, this.video.height * this.scale, this.stage.height);
    this.fitted = false;
  }

  /**
   * Return the place in the video of one on the stage.
   * @param {number} x - CSS pixels from the left of the stage.
   * @param {number} y
   * @returns {{x: number, y: number}} pixels of the video.
   */
  toVideo(x, y) {
    return { x: (x - this.left) / this.scale, y: (y - this.top) / this.scale };
  }

  /** @param {{x: number, y: number}} place @returns {boolean} whether it is in the frame. */
  contains({ x, y }) {
    return x >= 0 && y >= 0 && x < this.video.width && y < this.video.height;
  }
}
