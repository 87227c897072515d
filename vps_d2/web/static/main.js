/**
 * The annotation page: puts its parts together.
 */

import { api, followState } from "./api.js";
import { objectColor } from "./colors.js";
import { Crosshair } from "./crosshair.js";
import { byId } from "./dom.js";
import { Files } from "./files.js";
import { Gestures } from "./gestures.js";
import { showJobs } from "./jobs.js";
import { fillHelp, startCommands } from "./keys.js";
import { rememberChoices } from "./memory.js";
import { attempt, showError, speak } from "./messages.js";
import { Model } from "./model.js";
import { ObjectList } from "./objects.js";
import { showPanels } from "./panels.js";
import { Pictures } from "./pictures.js";
import { startPlayer } from "./player.js";
import { Stage } from "./stage.js";
import { Strokes } from "./strokes.js";
import { startTheme } from "./theme.js";
import { Timeline } from "./timeline.js";
import { TimelineFeed } from "./timeline_feed.js";

/** Everything on the page; the commands work with it. */
class Page {
  constructor() {
    const model = (this.model = new Model());
    this.stage = new Stage(model);
    this.pictures = new Pictures(model, this.stage.draw);
    this.strokes = new Strokes(model, this.pictures, this.stage.draw);
    Object.assign(this.stage, { pictures: this.pictures, strokes: this.strokes });
    this.gestures = new Gestures(model, this.stage, this.strokes);
    this.crosshair = new Crosshair(model, this.stage, this.strokes);
    this.objects = new ObjectList(model, this.strokes, () => attempt(() => api.undo()));
    this.timeline = new Timeline(model);
    this.feed = new TimelineFeed(model);
    this.files = new Files(model);
    this.switchTheme = startTheme(() => {
      this.stage.draw();
      this.timeline.draw();
    });
    showPanels(this);
    showJobs(model);
    startPlayer(model, this.pictures);
    startCommands(this);
    fillHelp();
    model.on(["frame", "timeline", "session"], () => this.strokes.refresh());
    model.on(["frame", "session", "playing"], () => this.pictures.refresh());
    const drawn = ["frame", "session", "chosen", "hidden", "opacity", "showMasks", "showStrokes"];
    model.on([...drawn, "tool", "sizes", "crosshair", "playing"], this.stage.draw);
    model.on(["trouble"], () => model.trouble && showError({ message: model.trouble, status: 0 }));
  }

  /** Take the first state, and follow those that come. */
  async start() {
    try {
      this.takeState(await api.state());
    } catch (error) {
      this.model.set({ problem: error.message });
    }
    followState(
      (state) => this.takeState(state),
      (problem) => this.model.set({ problem }),
    );
  }

  /** Show a state of the session. */
  takeState(state) {
    const { model, pictures } = this;
    const before = model.session;
    const isRestarted = before && state.revision < before.revision;
    for (const object of state.objects) {
      object.maskColor = object.color;
      object.color = objectColor(object.number);
    }
    if (before) keepMasksOfJob(before, state, pictures);
    else {
      const { width, height } = state.video;
      this.stage.view.video = { width, height };
      this.stage.view.fit();
    }
    if (isRestarted) for (const mask of pictures.masks.values.values()) mask.revision = -1;
    model.set({ session: state });
    if (!before) {
      model.set({ sizes: defaultSizes(state.video) });
      rememberChoices(model);
      this.stage.changeView();
    }
    const exists = (number) => state.objects.some((each) => each.number === number);
    if (model.chosen !== null && !exists(model.chosen) && !this.strokes.isMaking(model.chosen)) {
      model.set({ chosen: null });
    }
    this.feed.refresh();
  }

  /** Show a frame, and say how the chosen object is known in it. */
  goTo(frame) {
    const { model } = this;
    model.set({ playing: false });
    model.seek(frame);
    const object = model.object(model.chosen);
    const status = object ? `, ${object.name} ${model.status(object.number, model.frame)}` : "";
    speak(`Frame ${model.frame + 1}${status}`);
  }

  /** Zoom the frame. @param {number} factor - 0 to see the whole frame. */
  zoom(factor) {
    const { view } = this.stage;
    if (factor) view.zoom(factor);
    else view.fit();
    this.stage.changeView();
  }

  /** Change the size of the pen. @param {number} factor */
  resizePen(factor) {
    const { model } = this;
    const size = model.sizes[model.tool];
    if (!size) return;
    const next = factor > 1 ? Math.ceil(size * factor) : Math.floor(size * factor);
    model.set({ sizes: { ...model.sizes, [model.tool]: Math.min(Math.max(next, 1), 200) } });
  }

  /** Let the user type the number of a frame. */
  editFrame() {
    byId("frame-number").focus();
    byId("frame-number").select();
  }

  /** Open the help. */
  help() {
    byId("help-dialog").showModal();
  }

  /** The space bar is down: dragging pans. @param {boolean} repeats */
  holdSpace(repeats) {
    if (repeats) return;
    Object.assign(this.gestures, { spaceHeld: true, spaceUsed: false });
  }

  /** The space bar is up. @returns {boolean} whether it was tapped, and means to play. */
  releaseSpace() {
    const { spaceHeld, spaceUsed } = this.gestures;
    this.gestures.spaceHeld = false;
    return spaceHeld && !spaceUsed;
  }
}

/** While frames are found one after the other, the masks of all others stay as they are. */
function keepMasksOfJob(before, state, pictures) {
  const [old, job] = [before.job, state.job];
  if (job?.kind !== "propagate" || old?.id !== job.id || job.frame === null) return;
  if (state.revision - before.revision !== job.done - old.done) return;
  const other = old.frame ?? job.frame;
  const [first, last] = [Math.min(other, job.frame), Math.max(other, job.frame)];
  pictures.keepMasks(before.revision, state.revision, first, last);
}

/** @returns {Object<string, number>} radii that suit the size of the video, in its pixels. */
function defaultSizes({ height }) {
  const unit = height / 480;
  const round = (size) => Math.max(1, Math.round(size * unit));
  return { scribble: round(3), brush: round(12), eraser: round(12) };
}

const page = new Page();
page.start();
