/**
 * Mouse, pen and fingers on the frame: one draws, two zoom and pan.
 */

import { colorAt } from "./masks.js";

const TAP = 6; // CSS pixels that a click may move

/** Turns pointer events on the stage into strokes, zoom and pan. */
export class Gestures {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./stage.js").Stage} stage
   * @param {import("./strokes.js").Strokes} strokes
   */
  constructor(model, stage, strokes) {
    this.model = model;
    this.stage = stage;
    this.strokes = strokes;
    /** Pointers that are down, by their id. @type {Map<number, {x: number, y: number}>} */
    this.down = new Map();
    /** @type {"draw"|"tap"|"pan"|"pinch"|null} */
    this.mode = null;
    this.spaceHeld = false;
    /** Whether the space bar was used to pan, and is not to start the playback. */
    this.spaceUsed = false;
    const { canvas } = stage;
    const listen = (name, call, options) => canvas.addEventListener(name, call.bind(this), options);
    listen("pointerdown", this._press);
    listen("pointermove", this._move);
    listen("pointerup", this._lift);
    listen("pointercancel", this._cancel);
    listen("pointerleave", this._leave);
    listen("wheel", this._wheel, { passive: false });
    listen("contextmenu", (event) => event.preventDefault());
  }

  _place(event) {
    const box = this.stage.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  _press(event) {
    const { model, stage, strokes, down } = this;
    stage.canvas.setPointerCapture(event.pointerId);
    const place = this._place(event);
    down.set(event.pointerId, place);
    model.set({ crosshair: null });
    if (down.size === 2) {
      strokes.drop();
      this.mode = "pinch";
      return;
    }
    if (down.size > 1) return;
    this.start = this.last = place;
    const at = stage.view.toVideo(place.x, place.y);
    if (event.button === 1 || this.spaceHeld || model.tool === "hand") {
      this.mode = "pan";
      this.spaceUsed = this.spaceHeld;
      event.preventDefault();
    } else if (event.ctrlKey || event.metaKey) {
      this._pick(at);
    } else if (event.button === 0 || event.button === 2) {
      const positive = event.button === 0 && !event.altKey && !model.takesAway;
      // A click counts when the finger is lifted, as a second finger may follow.
      if (model.tool === "click") {
        this.mode = "tap";
        this.positive = positive;
      } else if (strokes.begin(at, positive)) this.mode = "draw";
    }
  }

  /** Choose the object at a place. */
  _pick(at) {
    const { model, stage } = this;
    const mask = stage.pictures.masks.get(model.frame);
    const { width, height } = stage.view.video;
    const color = mask && colorAt(mask, at.x / width, at.y / height);
    const object = color && model.objects.find((each) => each.maskColor === color);
    if (object) model.set({ chosen: object.number });
  }

  _move(event) {
    const { stage, strokes, down } = this;
    const place = this._place(event);
    stage.pointer = event.pointerType === "touch" ? null : place;
    if (event.pointerType === "mouse") this.model.set({ crosshair: null });
    this.model.set({ pointerAt: stage.view.toVideo(place.x, place.y) });
    if (this.mode === "pinch") this._pinch(event.pointerId, place);
    else if (this.mode === "pan") {
      stage.view.pan(place.x - this.last.x, place.y - this.last.y);
      stage.changeView();
    } else if (this.mode === "draw") {
      const events = event.getCoalescedEvents?.() ?? [];
      for (const each of events.length ? events : [event]) {
        const { x, y } = this._place(each);
        strokes.extend(stage.view.toVideo(x, y));
      }
    }
    if (down.has(event.pointerId)) {
      down.set(event.pointerId, place);
      this.last = place;
    }
    stage.draw();
  }

  _pinch(id, place) {
    const { stage, down } = this;
    const others = [...down].filter(([each]) => each !== id);
    const before = down.get(id);
    if (!before || others.length !== 1) return;
    const [, other] = others[0];
    const distance = (a) => Math.max(10, Math.hypot(a.x - other.x, a.y - other.y));
    const middle = { x: (place.x + other.x) / 2, y: (place.y + other.y) / 2 };
    stage.view.zoom(distance(place) / distance(before), middle.x, middle.y);
    stage.view.pan((place.x - before.x) / 2, (place.y - before.y) / 2);
    stage.changeView();
  }

  _lift(event) {
    const { stage, strokes } = this;
    const place = this._place(event);
    if (this.mode === "draw") strokes.finish();
    if (this.mode === "tap" && Math.hypot(place.x - this.start.x, place.y - this.start.y) < TAP) {
      const at = stage.view.toVideo(this.start.x, this.start.y);
      if (stage.view.contains(at) && strokes.begin(at, this.positive)) strokes.finish();
    }
    this._release(event);
  }

  _cancel(event) {
    this.strokes.drop();
    this._release(event);
  }

  _release(event) {
    this.down.delete(event.pointerId);
    // What one finger does after a pinch, until it is lifted as well, means nothing.
    if (this.mode !== "pinch" || !this.down.size) this.mode = null;
  }

  _leave() {
    this.stage.pointer = null;
    this.model.set({ pointerAt: null });
    this.stage.draw();
  }

  _wheel(event) {
    event.preventDefault();
    const { stage } = this;
    const unit = event.deltaMode === 1 ? 16 : 1; // lines or pixels
    if (event.shiftKey) stage.view.pan(-(event.deltaX || event.deltaY) * unit, 0);
    else {
      const { x, y } = this._place(event);
      const speed = event.ctrlKey ? 0.01 : 0.0016; // a pinch on a touchpad comes in small steps
      stage.view.zoom(Math.exp(-event.deltaY * unit * speed), x, y);
    }
    stage.changeView();
  }
}
