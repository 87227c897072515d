/**
 * Plays the video at its rate; where frames come too slowly, some are left out.
 */

/**
 * Play while the model says so.
 * @param {import("./model.js").Model} model
 * @param {import("./pictures.js").Pictures} pictures
 */
export function startPlayer(model, pictures) {
  let due = 0; // milliseconds: when the next frame is to be shown

  const tick = (now) => {
    if (!model.playing) return;
    const pause = 1000 / (model.session.video.rate || 25);
    const last = (model.range?.end ?? model.numFrames) - 1;
    if (model.frame >= last) {
      model.set({ playing: false });
      return;
    }
    if (now >= due) {
      const late = Math.floor((now - due) / pause);
      const next = newestReady(model.frame, Math.min(model.frame + 1 + late, last), pictures);
      if (next !== null) {
        due = now - due > 4 * pause ? now + pause : due + pause * (next - model.frame);
        model.seek(next);
      }
    }
    requestAnimationFrame(tick);
  };

  model.on(["playing"], () => {
    if (!model.playing) return;
    const { range, frame } = model;
    const [first, end] = [range?.start ?? 0, range?.end ?? model.numFrames];
    if (frame < first || frame >= end - 1) model.seek(first);
    due = performance.now();
    requestAnimationFrame(tick);
  });
}

/** @returns {number|null} the last frame up to `target` that can be shown, after `frame`. */
function newestReady(frame, target, pictures) {
  for (let index = target; index > frame; index--) {
    if (pictures.frames.has(index) || pictures.broken.has(index)) return index;
  }
  return null;
}
