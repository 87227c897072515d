/**
 * Draws the frame, the masks and the strokes.
 */

import { byId, fitCanvas, onNextPicture } from "./dom.js";
import { tintMask } from "./masks.js";
import { themeColor } from "./theme.js";
import { View } from "./view.js";

const TAU = 2 * Math.PI;
const NEW_COLOR = "#ffffff"; // of an object that has no color yet
const SHARP = 3; // CSS pixels for a pixel of the video from which on pixels are shown as squares

/** The canvas with the frame. */
export class Stage {
  /** @param {import("./model.js").Model} model */
  constructor(model) {
    this.model = model;
    this.view = new View();
    this.canvas = byId("stage");
    this.draw = onNextPicture(() => this._draw());
    /** Where the pointer is, in CSS pixels; null if it is elsewhere. */
    this.pointer = /** @type {{x: number, y: number}|null} */ (null);
    /** Set by the page, as they need each other. @type {any} */
    this.pictures = null;
    /** @type {any} */
    this.strokes = null;
    new ResizeObserver(([entry]) => {
      this.view.resize(entry.contentRect.width, entry.contentRect.height);
      this.changeView();
    }).observe(this.canvas.parentElement);
  }

  /** The view has changed: draw, and ask for frames of a suitable size. */
  changeView() {
    if (!this.model.session) return;
    const density = window.devicePixelRatio || 1;
    this.pictures.setHeight(this.view.video.height * this.view.scale * density);
    this.draw();
  }

  _draw() {
    const { view, model } = this;
    if (!model.session) return;
    const context = fitCanvas(this.canvas, view.stage.width, view.stage.height);
    context.fillStyle = themeColor("stage");
    context.fillRect(0, 0, view.stage.width, view.stage.height);
    const frame = this.pictures.frames.get(model.frame);
    // Until this frame has come, the one that was loaded last stands in for it.
    const picture = frame?.bitmap ?? this.pictures.latest;
    if (!picture) return;
    context.save();
    context.translate(view.left, view.top);
    context.scale(view.scale, view.scale);
    context.imageSmoothingEnabled = view.scale < SHARP;
    context.drawImage(picture, 0, 0, view.video.width, view.video.height);
    if (model.showMasks) this._drawMask(context);
    this._drawStrokes(context);
    context.restore();
    this._drawPointer(context);
    this.canvas.toggleAttribute("data-crosshair", model.crosshair !== null);
    this.canvas.dataset.frame = frame ? String(model.frame) : ""; // for tests
  }

  _drawMask(context) {
    const { view, model } = this;
    const mask = this.pictures.masks.get(model.frame);
    if (!mask?.width) return;
    const seen = model.objects.filter((each) => !model.hidden.has(each.number));
    const shown = new Map(seen.map((each) => [each.maskColor, each.color]));
    const chosen = model.object(model.chosen)?.maskColor;
    const canvas = tintMask(mask, { shown, chosen, opacity: model.opacity / 100 });
    context.drawImage(canvas, 0, 0, view.video.width, view.video.height);
  }

  _drawStrokes(context) {
    const { model, strokes } = this;
    if (model.showStrokes && strokes.saved.frame === model.frame && !model.playing) {
      for (const stroke of strokes.saved.strokes[model.chosen] ?? []) {
        if (stroke.tool !== "paint") this._drawHint(context, stroke, this._color(model.chosen));
      }
    }
    const waiting = strokes.current ? [...strokes.pending, strokes.current] : strokes.pending;
    for (const { frame, target, stroke } of waiting) {
      if (frame !== model.frame) continue;
      if (stroke.tool === "paint") this._drawPaint(context, stroke, this._color(target.number));
      else this._drawHint(context, stroke, this._color(target.number));
    }
  }

  _color(number) {
    return this.model.object(number)?.color ?? NEW_COLOR;
  }

  /** Draw a click or a scribble: a thin line or a dot, with a sign of what it does. */
  _drawHint(context, { points, positive, tool }, color) {
    const pixel = 1 / this.view.scale;
    context.lineCap = context.lineJoin = "round";
    const [x, y] = points[0];
    if (tool === "click") {
      context.beginPath();
      context.arc(x, y, 6 * pixel, 0, TAU);
      context.fillStyle = positive ? color : "#d8392b";
      context.fill();
      context.lineWidth = 1.5 * pixel;
      context.strokeStyle = "#fff";
      context.stroke();
      context.beginPath();
      context.moveTo(x - 3 * pixel, y);
      context.lineTo(x + 3 * pixel, y);
      if (positive) {
        context.moveTo(x, y - 3 * pixel);
        context.lineTo(x, y + 3 * pixel);
      }
      context.stroke();
      return;
    }
    const path = tracePoints(points);
    context.setLineDash(positive ? [] : [7 * pixel, 5 * pixel]);
    context.lineWidth = 5 * pixel;
    context.strokeStyle = "#fff";
    context.stroke(path);
    context.lineWidth = 3 * pixel;
    context.strokeStyle = positive ? color : "#d8392b";
    context.stroke(path);
    context.setLineDash([]);
  }

  /** Draw what is painted as the mask will look. */
  _drawPaint(context, { points, positive, radius }, color) {
    context.lineCap = context.lineJoin = "round";
    context.lineWidth = 2 * radius;
    context.strokeStyle = positive ? color : "#000";
    context.globalAlpha = positive ? Math.max(0.35, this.model.opacity / 100) : 0.45;
    context.stroke(tracePoints(points));
    context.globalAlpha = 1;
  }

  /** Draw the ring of the pen, or the crosshair of the keyboard. */
  _drawPointer(context) {
    const { model, view, pointer } = this;
    const { crosshair, tool } = model;
    const place = crosshair
      ? { x: crosshair.x * view.scale + view.left, y: crosshair.y * view.scale + view.top }
      : pointer;
    if (!place) return;
    const twice = (draw) => {
      for (const [width, color] of [
        [3, "#000a"],
        [1.2, "#fff"],
      ]) {
        context.lineWidth = width;
        context.strokeStyle = color;
        draw();
      }
    };
    if (crosshair) {
      twice(() => {
        context.beginPath();
        for (const [dx, dy] of [
          [1, 0],
          [-1, 0],
          [0, 1],
          [0, -1],
        ]) {
          context.moveTo(place.x + 5 * dx, place.y + 5 * dy);
          context.lineTo(place.x + 18 * dx, place.y + 18 * dy);
        }
        context.stroke();
      });
    }
    const radius = (model.sizes[tool] ?? 0) * view.scale;
    if (radius > 1)
      twice(() => {
        context.beginPath();
        context.arc(place.x, place.y, radius, 0, TAU);
        context.stroke();
      });
  }
}

/** @param {number[][]} points @returns {Path2D} a line through them; a dot if there is one. */
function tracePoints(points) {
  const path = new Path2D();
  path.moveTo(points[0][0], points[0][1]);
  for (const [x, y] of points) path.lineTo(x, y);
  return path;
}
