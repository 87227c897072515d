/**
 * Points at the frame by the keyboard: arrow keys move a crosshair, Enter clicks or lifts the pen.
 */

const STEP = 1; // CSS pixels at the least; a pixel of the video where those are larger
const LONG_STEP = 20;
const MOVES = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** The crosshair on the stage. */
export class Crosshair {
  /**
   * @param {import("./model.js").Model} model
   * @param {import("./stage.js").Stage} stage
   * @param {import("./strokes.js").Strokes} strokes
   */
  constructor(model, stage, strokes) {
    this.model = model;
    this.stage = stage;
    this.strokes = strokes;
    /** Where it was last. @type {{x: number, y: number}|null} */
    this.last = null;
    const { canvas } = stage;
    canvas.addEventListener("focus", () => {
      if (canvas.matches(":focus-visible")) this.show();
    });
    canvas.addEventListener("blur", () => this.hide());
    canvas.addEventListener("keydown", (event) => this._press(event));
  }

  /** Show it where it was, or in the middle of what is seen. */
  show() {
    const { stage, model } = this;
    const { width, height } = stage.view.stage;
    const middle = stage.view.toVideo(width / 2, height / 2);
    model.set({ crosshair: this._clamp(this.last ?? middle) });
    stage.canvas.focus();
    stage.draw();
  }

  /** Hide it, and drop what was being drawn. */
  hide() {
    if (!this.model.crosshair) return;
    this.strokes.drop();
    this.model.set({ crosshair: null });
    this.stage.draw();
  }

  _clamp({ x, y }) {
    const { width, height } = this.stage.view.video;
    const clamp = (value, size) => Math.min(Math.max(Math.floor(value) + 0.5, 0.5), size - 0.5);
    return { x: clamp(x, width), y: clamp(y, height) };
  }

  _press(event) {
    const { model, strokes, stage } = this;
    const { crosshair } = model;
    if (!crosshair || event.ctrlKey || event.metaKey) return;
    const move = MOVES[event.key];
    if (move) {
      const step = Math.max(1, Math.round((event.shiftKey ? LONG_STEP : STEP) / stage.view.scale));
      const [x, y] = [crosshair.x + move[0] * step, crosshair.y + move[1] * step];
      this.last = this._clamp({ x, y });
      stage.view.reveal(this.last.x, this.last.y);
      model.set({ crosshair: this.last, pointerAt: this.last });
      strokes.extend(this.last);
    } else if (event.key === "Enter") {
      const positive = !event.altKey && !model.takesAway;
      if (strokes.current) strokes.finish();
      else if (strokes.begin(crosshair, positive) && model.tool === "click") strokes.finish();
    } else if (event.key === "Escape") {
      if (!strokes.drop()) this.hide();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
    stage.draw();
  }
}
