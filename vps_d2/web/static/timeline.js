/**
 * The timeline: click and drag to go to a frame, with Shift to choose a range.
 */

import { byId, fitCanvas, onNextPicture } from "./dom.js";
import { drawRows, drawRuler, ROW, RULER } from "./timeline_drawing.js";
import { TimeScale } from "./timescale.js";

/** The rows of the objects below the frame. */
export class Timeline {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.scale = new TimeScale();
    this.element = byId("timeline");
    this.ruler = byId("timeline-ruler");
    this.scroll = byId("timeline-scroll");
    this.rows = byId("timeline-rows");
    this.draw = onNextPicture(() => this._draw());
    /** @type {"seek"|"range"|null} */
    this.mode = null;
    new ResizeObserver(() => this.draw()).observe(this.element);
    const listen = (name, call, options) =>
      this.element.addEventListener(name, call.bind(this), options);
    listen("pointerdown", this._press);
    listen("pointermove", this._move);
    listen("pointerup", this._lift);
    listen("pointercancel", this._lift);
    listen("dblclick", () => model.set({ range: null }));
    listen("wheel", this._wheel, { passive: false });
    model.on(["frame"], () => {
      this.scale.reveal(model.frame);
      this._describe();
    });
    model.on(["timeline"], () => this._summarize());
    model.on(["frame", "timeline", "session", "chosen", "range", "hidden"], this.draw);
    model.on(["chosen"], () => this._revealChosen());
    model.on(["session", "timeline", "chosen"], () => this._describe());
  }

  _draw() {
    const { model, scale } = this;
    const box = this.element.getBoundingClientRect();
    scale.gutter = box.width < 700 ? 84 : 128;
    scale.resize(model.numFrames, this.scroll.clientWidth || box.width);
    drawRuler(fitCanvas(this.ruler, scale.width, RULER), scale, model);
    const height = Math.max(model.objects.length * ROW, 2 * ROW);
    this.rows.style.width = this.ruler.style.width = `${scale.width}px`;
    this.rows.style.height = `${height}px`;
    this.ruler.style.height = `${RULER}px`;
    drawRows(fitCanvas(this.rows, scale.width, height), scale, model, height);
  }

  _revealChosen() {
    const row = this.model.objects.findIndex((each) => each.number === this.model.chosen);
    if (row < 0) return;
    const { scrollTop, clientHeight } = this.scroll;
    if (row * ROW < scrollTop) this.scroll.scrollTop = row * ROW;
    if ((row + 1) * ROW > scrollTop + clientHeight) {
      this.scroll.scrollTop = (row + 1) * ROW - clientHeight;
    }
  }

  /** Tell screen readers where the slider stands. */
  _describe() {
    const { model } = this;
    const object = model.object(model.chosen);
    const status = object
      ? `, ${object.name} ${object.number}: ${model.status(object.number, model.frame)}`
      : "";
    const set = (name, value) => this.element.setAttribute(`aria-${name}`, String(value));
    set("valuemax", model.numFrames);
    set("valuenow", model.frame + 1);
    set("valuetext", `frame ${model.frame + 1} of ${model.numFrames}${status}`);
  }

  /** Say in words what the rows show. */
  _summarize() {
    const { model } = this;
    const parts = model.objects.map(({ number, name }) => {
      const row = model.timeline.objects[number] ?? { touched: [], runs: [] };
      const count = (kind) =>
        row.runs.reduce((sum, [start, end, each]) => sum + (each === kind ? end - start : 0), 0);
      return (
        `${name} ${number}: touched in ${row.touched.length} frames, propagated to ` +
        `${count("propagated")}, doubtful in ${count("doubtful")}, empty in ${count("empty")}.`
      );
    });
    byId("timeline-facts").textContent = parts.join(" ");
  }

  _at(event) {
    const box = this.element.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  _press(event) {
    if (event.button !== 0) return;
    const { x, y } = this._at(event);
    const { model, scale } = this;
    if (x < scale.gutter) {
      const row = Math.floor((y - RULER + this.scroll.scrollTop) / ROW);
      const object = y > RULER && model.objects[row];
      if (object) model.set({ chosen: object.number });
      return;
    }
    this.element.setPointerCapture(event.pointerId);
    const frame = scale.frameAt(x);
    this.anchor = frame;
    this.mode = event.shiftKey ? "range" : "seek";
    if (event.shiftKey && event.detail < 2)
      this.anchor = model.range ? this._far(frame) : model.frame;
    this._follow(frame);
  }

  /** The end of the range that stays when another one is set. */
  _far(frame) {
    const { start, end } = this.model.range;
    return Math.abs(frame - start) > Math.abs(frame - end) ? start : end - 1;
  }

  _follow(frame) {
    const { model, anchor } = this;
    if (this.mode === "range") {
      model.set({ range: { start: Math.min(anchor, frame), end: Math.max(anchor, frame) + 1 } });
    }
    model.set({ playing: false });
    model.seek(frame);
  }

  _move(event) {
    if (this.mode) this._follow(this.scale.frameAt(this._at(event).x));
  }

  _lift() {
    this.mode = null;
  }

  _wheel(event) {
    const { x, y } = this._at(event);
    const scrolls = this.scroll.scrollHeight > this.scroll.clientHeight && y > RULER;
    if (scrolls && !event.ctrlKey && !event.shiftKey && !event.deltaX) return;
    event.preventDefault();
    if (event.shiftKey || event.deltaX) {
      this.scale.pan((event.deltaX || event.deltaY) / this.scale.pixels);
    } else this.scale.zoom(Math.exp(-event.deltaY * 0.002), this.scale.frameAt(x));
    this.draw();
  }

  /** @param {number} factor - above 1 to show fewer frames; 0 for all. */
  zoom(factor) {
    if (factor) this.scale.zoom(factor, this.model.frame);
    else this.scale.fit();
    this.draw();
  }
}
