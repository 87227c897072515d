/**
 * Elements of the page: found, made and drawn. Text always goes in as text, never as HTML.
 */

const SVG = "http://www.w3.org/2000/svg";

/** Paths of the icons, on a grid of 20 x 20, drawn as lines. @type {Object<string, string>} */
const ICONS = {
  undo: "M8 4L4 8l4 4M4 8h8a4 4 0 010 8h-3",
  redo: "M12 4l4 4-4 4M16 8H8a4 4 0 000 8h3",
  import: "M10 3v9M6.5 8.5L10 12l3.5-3.5M4 16h12",
  export: "M10 12V3M6.5 6.5L10 3l3.5 3.5M4 16h12",
  theme: "M10 3a7 7 0 100 14zM10 3a7 7 0 010 14",
  help: "M7.5 7.5a2.5 2.5 0 114 2c-1 .8-1.5 1.2-1.5 2.5M10 15v.2",
  click: "M10 3v4M10 13v4M3 10h4M13 10h4M10 10h.01",
  scribble: "M3 14c3-9 5-9 4.5-3.5S11 14 12 9s4-3 5-1",
  brush: "M16.5 3.5L9 11M9 11c-3-.5-4 1.5-4 3.5-1 .5-1.5.5-2 .5 2 2.5 7.5 1.5 7-2.5z",
  eraser: "M8 16l-4-4 8-8 5 5-7 7zM8 8l5 5M8 16h8",
  hand:
    "M6 11V6.5a1 1 0 012 0V10V4.5a1 1 0 012 0V10V5a1 1 0 012 0v5V7a1 1 0 012 0v5" +
    "c0 3-1.5 5-4.5 5S6 15.5 4.5 12.5L3.5 11a1 1 0 011.7-1z",
  plus: "M10 4v12M4 10h12",
  "plus-minus": "M10 3v8M6 7h8M6 16h8",
  minus: "M4 10h12",
  fit: "M4 8V4h4M12 4h4v4M16 12v4h-4M8 16H4v-4",
  play: "M6 4l10 6-10 6z",
  pause: "M7 4v12M13 4v12",
  next: "M8 5l5 5-5 5",
  previous: "M12 5l-5 5 5 5",
  "next-touched": "M5 5l5 5-5 5M15 5v10",
  "previous-touched": "M15 5l-5 5 5 5M5 5v10",
  "next-doubtful": "M4 5l4 5-4 5M12.5 7a2 2 0 113 1.8c-.8.6-1 .9-1 2M14.5 14v.2",
  "previous-doubtful": "M16 5l-4 5 4 5M4.5 7a2 2 0 113 1.8c-.8.6-1 .9-1 2M6.5 14v.2",
  eye: "M2.5 10c3.5-6 11.5-6 15 0-3.5 6-11.5 6-15 0zM10 8a2 2 0 100 4 2 2 0 000-4z",
  hidden:
    "M3 3l14 14M5 6.5C4 7.5 3 9 2.5 10c3 5 8.5 6 12 3.5M8 5c4-1 7.5 1.5 9.5 5-.4.8-1 1.6-1.6 2.2",
  trash: "M4 6h12M8 6V4h4v2M6 6l.7 10h6.6L14 6",
  close: "M5 5l10 10M15 5L5 15",
};

/**
 * Return the element with an id.
 * @param {string} id - which must exist.
 * @returns {any}
 */
export function byId(id) {
  return document.getElementById(id);
}

/**
 * Make an element.
 * @param {string} tag - its name.
 * @param {Object<string, any>} [attributes] - "text" is its text; a function is a listener, by the
 *   name of its event; false and null leave an attribute out.
 * @param {...Node} children - to put into it.
 * @returns {any}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (name === "text") element.textContent = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null) element.setAttribute(name, String(value));
  }
  element.append(...children);
  return element;
}

/**
 * Draw an icon.
 * @param {string} name - of {@link ICONS}.
 * @returns {SVGElement}
 */
export function makeIcon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "icon");
  const path = document.createElementNS(SVG, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

/**
 * Give a canvas as many pixels as it takes on the screen.
 * @param {HTMLCanvasElement} canvas
 * @param {number} width - in CSS pixels.
 * @param {number} height - likewise.
 * @returns {CanvasRenderingContext2D} which draws in CSS pixels.
 */
export function fitCanvas(canvas, width, height) {
  const density = window.devicePixelRatio || 1;
  const [w, h] = [
    Math.max(1, Math.round(width * density)),
    Math.max(1, Math.round(height * density)),
  ];
  if (canvas.width !== w || canvas.height !== h) [canvas.width, canvas.height] = [w, h];
  const context = canvas.getContext("2d");
  context.setTransform(density, 0, 0, density, 0, 0);
  return context;
}

/**
 * Call a function at most once a picture of the screen.
 * @param {() => void} draw
 * @returns {() => void} asks for a call.
 */
export function onNextPicture(draw) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      draw();
    });
  };
}
