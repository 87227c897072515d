/**
 * Draws the rows of the timeline. Its cost follows what is known, not the length of the video.
 */

import { themeColor } from "./theme.js";

export const ROW = 19; // CSS pixels
export const RULER = 22;
const BAR = 9;
const STEPS = [1, 2, 5, 10, 20, 25, 50, 100, 200, 250, 500, 1000, 2000, 5000, 10000, 50000, 100000];
const LABEL_ROOM = 62;

/**
 * Draw the numbers of the frames.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./timescale.js").TimeScale} scale
 * @param {import("./model.js").Model} model
 */
export function drawRuler(context, scale, model) {
  context.fillStyle = themeColor("panel");
  context.fillRect(0, 0, scale.width, RULER);
  drawRange(context, scale, model, RULER);
  context.font = "11px system-ui, sans-serif";
  context.textBaseline = "middle";
  const step = STEPS.find((each) => each * scale.pixels >= LABEL_ROOM) ?? STEPS[STEPS.length - 1];
  const first = Math.max(step, Math.ceil((scale.start + 1) / step) * step);
  const numbers = scale.start < 0.5 ? [1] : [];
  for (let number = first; number <= scale.end; number += step) numbers.push(number);
  for (const number of numbers) {
    const x = scale.xOf(number - 1) + Math.min(scale.pixels / 2, 6);
    context.fillStyle = themeColor("line");
    context.fillRect(Math.round(x), RULER - 5, 1, 5);
    if (number > 1 && number < 0.6 * step) continue;
    context.fillStyle = themeColor("faint");
    context.fillText(String(number), x + 3, RULER / 2);
  }
  context.fillStyle = themeColor("faint");
  context.fillText("frame", 12, RULER / 2);
  drawPlayhead(context, scale, model, RULER, true);
}

/**
 * Draw a row for each object.
 * @param {CanvasRenderingContext2D} context
 * @param {import("./timescale.js").TimeScale} scale
 * @param {import("./model.js").Model} model
 * @param {number} height - of all rows, or of what is free below them.
 */
export function drawRows(context, scale, model, height) {
  context.fillStyle = themeColor("panel");
  context.fillRect(0, 0, scale.width, height);
  const hatch = makeHatch(context);
  model.objects.forEach((object, k) => {
    const top = k * ROW;
    if (object.number === model.chosen) {
      context.fillStyle = themeColor("pressed");
      context.fillRect(0, top, scale.width, ROW);
    }
    context.fillStyle = themeColor("track");
    const right = scale.xOf(Math.min(scale.end, scale.numFrames));
    context.fillRect(scale.gutter, top + (ROW - BAR) / 2, right - scale.gutter, BAR);
  });
  drawRange(context, scale, model, height);
  context.save();
  context.beginPath();
  context.rect(scale.gutter, 0, scale.width - scale.gutter, height);
  context.clip();
  model.objects.forEach((object, k) => {
    const row = model.timeline.objects[object.number];
    if (row) drawRow(context, scale, k * ROW, row, object.color, hatch);
  });
  drawPlayhead(context, scale, model, height, false);
  context.restore();
  model.objects.forEach((object, k) => drawName(context, scale, k * ROW, object, model));
}

function drawRow(context, scale, top, { runs, touched }, color, hatch) {
  const bar = top + (ROW - BAR) / 2;
  const kinds = { propagated: [], empty: [], doubtful: [] };
  for (const [start, end, kind] of runs) {
    if (end > scale.start && start < scale.end) kinds[kind]?.push([start, end]);
  }
  // What needs attention is drawn last, as a frame may be narrower than a pixel.
  for (const [kind, list] of Object.entries(kinds)) {
    for (const [start, end] of list) {
      const x = scale.xOf(Math.max(start, scale.start));
      const width = Math.max(kind === "doubtful" ? 2 : 1, scale.xOf(Math.min(end, scale.end)) - x);
      if (kind === "propagated") {
        context.globalAlpha = 0.75;
        context.fillStyle = color;
        context.fillRect(x, bar, width, BAR);
        context.globalAlpha = 1;
      } else if (kind === "empty") {
        context.strokeStyle = themeColor("faint");
        context.lineWidth = 1;
        context.strokeRect(x + 0.5, bar + 1.5, Math.max(0.5, width - 1), BAR - 3);
      } else {
        context.fillStyle = hatch;
        context.fillRect(x, bar, width, BAR);
        context.fillStyle = themeColor("doubtful");
        context.fillRect(x, bar + BAR - 1, width, 3);
        if (width <= 4) context.fillRect(x, bar, width, BAR);
      }
    }
  }
  context.fillStyle = themeColor("ink");
  context.strokeStyle = themeColor("panel");
  context.lineWidth = 1;
  const half = scale.pixels < 3 ? 3.5 : 4.5;
  const middle = top + ROW / 2;
  let last = -Infinity;
  for (const frame of touched) {
    const x = scale.xOf(frame + 0.5);
    if (frame < scale.start - 1 || frame > scale.end || x - last < 1) continue;
    last = x;
    context.beginPath();
    context.moveTo(x, middle - half - 1);
    context.lineTo(x + half, middle);
    context.lineTo(x, middle + half + 1);
    context.lineTo(x - half, middle);
    context.closePath();
    context.fill();
    context.stroke();
  }
}

function drawName(context, scale, top, object, model) {
  context.fillStyle = themeColor(object.number === model.chosen ? "pressed" : "panel");
  context.fillRect(0, top, scale.gutter - 6, ROW);
  context.globalAlpha = model.hidden.has(object.number) ? 0.45 : 1;
  context.fillStyle = object.color;
  context.beginPath();
  context.roundRect(12, top + 4.5, 10, 10, 3);
  context.fill();
  context.fillStyle = themeColor("ink");
  context.font = "12px system-ui, sans-serif";
  context.textBaseline = "middle";
  const room = scale.gutter - 36;
  context.fillText(shorten(context, `${object.number} ${object.name}`, room), 28, top + ROW / 2);
  context.globalAlpha = 1;
}

function shorten(context, text, room) {
  let short = text.slice(0, 60);
  if (short === text && context.measureText(short).width <= room) return short;
  while (short.length > 1 && context.measureText(`${short}…`).width > room) {
    short = short.slice(0, -1);
  }
  return `${short}…`;
}

function drawRange(context, scale, { range }, height) {
  if (!range) return;
  const left = Math.max(scale.gutter, scale.xOf(range.start));
  const right = Math.min(scale.width, scale.xOf(range.end));
  if (right <= left) return;
  context.fillStyle = themeColor("accent");
  context.globalAlpha = 0.16;
  context.fillRect(left, 0, right - left, height);
  context.globalAlpha = 0.9;
  context.fillRect(left, 0, 1.5, height);
  context.fillRect(right - 1.5, 0, 1.5, height);
  context.globalAlpha = 1;
}

function drawPlayhead(context, scale, { frame }, height, withHead) {
  const [left, width] = [scale.xOf(frame), Math.max(1, scale.pixels)];
  if (left + width < scale.gutter || left > scale.width) return;
  context.fillStyle = themeColor("accent");
  if (width > 3) {
    context.globalAlpha = 0.22;
    context.fillRect(left, 0, width, height);
    context.globalAlpha = 1;
  }
  const x = left + width / 2;
  context.fillRect(x - 0.75, 0, 1.5, height);
  if (!withHead) return;
  context.beginPath();
  context.moveTo(x - 5, 0);
  context.lineTo(x + 5, 0);
  context.lineTo(x, 8);
  context.fill();
}

/** @returns {CanvasPattern} slanted lines, so that doubt is seen without color as well. */
function makeHatch(context) {
  const tile = new OffscreenCanvas(6, 6);
  const pen = tile.getContext("2d");
  pen.fillStyle = themeColor("track");
  pen.fillRect(0, 0, 6, 6);
  pen.strokeStyle = themeColor("doubtful");
  pen.lineWidth = 2;
  for (const shift of [-6, 0, 6]) {
    pen.moveTo(shift - 1, 7);
    pen.lineTo(shift + 7, -1);
  }
  pen.stroke();
  return context.createPattern(/** @type {any} */ (tile), "repeat");
}
