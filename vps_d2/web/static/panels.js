/**
 * The fields around the frame: sizes, opacity, the number of the frame, and facts in words.
 */

import { byId, make } from "./dom.js";

/**
 * Keep fields and model alike.
 * @param {any} page
 */
export function showPanels(page) {
  const { model } = page;
  connectFields(page);
  model.on(["tool", "sizes"], () => showSize(model));
  model.on(["opacity", "showStrokes", "onlyChosen"], () => {
    byId("opacity").value = String(model.opacity);
    byId("show-strokes").checked = model.showStrokes;
    byId("only-chosen").checked = model.onlyChosen;
  });
  model.on(["frame", "session", "timeline"], () => showFrame(model));
  model.on(["range", "frame", "session"], () => showRange(model));
  model.on(["session"], () => showFacts(model));
  model.on(["session", "chosen", "tool", "takesAway"], () => showTarget(model));
  model.on(["sending"], () => byId("stage-note").classList.toggle("busy", model.sending));
  model.on(["pointerAt"], () => showPlace(model));
  model.on(["problem"], () => {
    byId("notice").textContent = model.problem;
  });
  showSize(model);
}

function connectFields(page) {
  const { model } = page;
  const listen = (id, name, call) => byId(id).addEventListener(name, call);
  listen("size", "input", ({ target }) => {
    model.set({ sizes: { ...model.sizes, [model.tool]: Number(target.value) } });
  });
  listen("opacity", "input", ({ target }) =>
    model.set({ opacity: Number(target.value), showMasks: true }),
  );
  listen("show-strokes", "change", ({ target }) => model.set({ showStrokes: target.checked }));
  listen("only-chosen", "change", ({ target }) => model.set({ onlyChosen: target.checked }));
  listen("frame-number", "change", ({ target }) => {
    page.goTo(Number(target.value) - 1);
    showFrame(model);
  });
  listen("frame-number", "keydown", ({ key }) => {
    if (key === "Enter" || key === "Escape") byId("frame-number").blur();
  });
}

function showSize(model) {
  const size = model.sizes[model.tool];
  byId("size").disabled = size === undefined;
  byId("size").value = String(size ?? 1);
  byId("size-value").textContent = size === undefined ? "–" : String(size);
}

function showFrame(model) {
  const field = byId("frame-number");
  if (document.activeElement !== field || field.value === "") field.value = String(model.frame + 1);
  if (Number(field.value) !== model.frame + 1) field.value = String(model.frame + 1);
  field.max = String(model.numFrames);
  byId("frame-count").textContent = `of ${model.numFrames}`;
  const rate = model.session?.video.rate;
  byId("frame-time").textContent = rate ? formatTime(model.frame / rate) : "";
  byId("stage").setAttribute("aria-label", `Frame ${model.frame + 1} of ${model.numFrames}`);
}

function showRange(model) {
  const { range, frame } = model;
  byId("range-text").textContent = range
    ? `Frames ${range.start + 1} to ${range.end}`
    : `From frame ${frame + 1}`;
  byId("range-text").title =
    "The keys I and O, or Shift and dragging on the timeline, set a range.";
}

function showFacts(model) {
  const { video, engine, prompts, objects } = model.session;
  document.title = `${video.name} – annotate`;
  byId("title").textContent = video.name;
  byId("title").title = video.name;
  const rate = video.rate ? `, ${Number(video.rate.toFixed(2))} fps` : "";
  byId("video-facts").textContent = `${video.width} × ${video.height}${rate}`;
  const parts = [];
  if (!engine) parts.push("Loading the network…");
  else parts.push(`Engine: ${[engine.source, engine.license_note].filter(Boolean).join(", ")}`);
  if (prompts)
    parts.push(`Clicks: ${[prompts.source, prompts.license_note].filter(Boolean).join(", ")}`);
  if (video.losses) parts.push(video.losses);
  byId("engine-facts").textContent = byId("engine-facts").title = parts.join(" · ");
  byId("start-hint").hidden = objects.length > 0;
  byId("resume").hidden = !model.session.unfinished;
}

/** Say over the frame what the next stroke belongs to. */
function showTarget(model) {
  const note = byId("stage-note");
  const object = model.object(model.chosen);
  const dot = make("span", { class: object ? "dot" : "dot new" });
  if (object) dot.style.background = object.color;
  const sign = model.takesAway || model.tool === "eraser" ? "take away from" : "";
  const name = object ? `${object.number} ${object.name}` : "new object";
  note.replaceChildren(dot, `${sign} ${name}`.trim());
}

function showPlace(model) {
  const at = model.pointerAt;
  byId("pointer-place").textContent = at ? `${Math.floor(at.x)}, ${Math.floor(at.y)}` : "";
}

/** @param {number} seconds @returns {string} minutes, seconds and hundredths. */
function formatTime(seconds) {
  const minutes = Math.floor(seconds / 60);
  return `${minutes}:${(seconds - 60 * minutes).toFixed(2).padStart(5, "0")}`;
}
