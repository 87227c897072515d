/**
 * Propagation, and the progress of what takes long.
 */

import { api } from "./api.js";
import { byId } from "./dom.js";
import { attempt, showError, speak, toast } from "./messages.js";

const NAMES = { propagate: "Propagating", export: "Exporting", import: "Importing" };

/**
 * Begin to follow objects from the frame that is shown, or in the chosen range.
 * @param {import("./model.js").Model} model
 * @param {"forward"|"backward"|"both"|"around"} direction
 */
export async function propagate(model, direction) {
  const { frame, range, chosen, onlyChosen } = model;
  const whole = { forward: [frame, null], backward: [0, frame + 1] }[direction] ?? [0, null];
  let [start, end] = range ? [range.start, range.end] : whole;
  if (direction === "around") [start, end] = [frame, range?.end ?? null];
  const objects = onlyChosen && chosen !== null ? [chosen] : null;
  await attempt(() => api.propagate({ direction, start, end, objects }));
}

/** Forget what is known in the range, or in the frame that is shown. */
export async function clearFrames(model, objects, undo) {
  const { start, end } = model.range ?? { start: model.frame, end: model.frame + 1 };
  const done = await attempt(async () => (await api.clear(start, end, objects), true));
  if (!done) return;
  const where = end - start === 1 ? `frame ${start + 1}` : `frames ${start + 1} to ${end}`;
  const object = objects && model.object(objects[0]);
  const what = object ? `${object.name} ${object.number}` : "All objects";
  toast(`${what} cleared in ${where}.`, { action: { label: "Undo", run: undo } });
}

/**
 * Show the job that runs, and say how it ended.
 * @param {import("./model.js").Model} model
 */
export function showJobs(model) {
  let last = /** @type {string|null} */ (null);
  let first = true;
  model.on(["session"], () => {
    const { job } = model.session;
    byId("job").hidden = job?.state !== "running";
    if (job?.state === "running") showProgress(job);
    const ended = job && job.state !== "running" && `${job.id} ${job.state}`;
    // What ended before this page was opened is no news.
    if (ended && ended !== last && !first) announce(job);
    if (ended) last = ended;
    first = false;
  });
}

function showProgress(job) {
  const bar = byId("job-progress");
  const where = job.frame === null ? "" : `, frame ${job.frame + 1}`;
  const share = job.total ? `${job.done} of ${job.total}` : String(job.done);
  byId("job-text").textContent = `${NAMES[job.kind] ?? job.kind}: ${share}${where}`;
  if (job.total) [bar.max, bar.value] = [job.total, job.done];
  else bar.removeAttribute("value");
}

function announce(job) {
  const name = NAMES[job.kind] ?? job.kind;
  if (job.state === "failed") showError(Object.assign(new Error(job.message), { status: 0 }));
  else if (job.state === "cancelled")
    toast(job.message || `${name} was stopped; what was finished is kept.`);
  else if (job.kind === "propagate") speak(`${name} has finished after ${job.done} frames.`);
  if (job.state === "finished" && job.message && job.kind !== "propagate") toast(job.message);
}
