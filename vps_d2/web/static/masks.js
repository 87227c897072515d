/**
 * Masks of a frame: read from the PNG that the server sends, and tinted to be drawn over the frame.
 */

/**
 * The objects of a frame. Labels are 0 for none, otherwise one more than an index of `colors`.
 * @typedef {{revision: number, width: number, height: number, labels: Uint8Array,
 *   colors: string[], tinted?: {key: string, canvas: HTMLCanvasElement}}} Mask
 */

/**
 * Read a mask.
 * @param {Blob|null} blob - RGBA PNG, objects in their colors; null where nothing is known.
 * @param {number} revision - of the session at which it holds.
 * @returns {Promise<Mask>}
 */
export async function decodeMask(blob, revision) {
  if (!blob) return { revision, width: 0, height: 0, labels: new Uint8Array(0), colors: [] };
  const options = { premultiplyAlpha: "none", colorSpaceConversion: "none" };
  const bitmap = await createImageBitmap(blob, /** @type {ImageBitmapOptions} */ (options));
  const { width, height } = bitmap;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const pixels = new Uint32Array(context.getImageData(0, 0, width, height).data.buffer);
  const labels = new Uint8Array(pixels.length);
  /** @type {Map<number, number>} */
  const found = new Map();
  let [lastPixel, lastLabel] = [0, 0]; // pixels beside each other are mostly alike
  for (let k = 0; k < pixels.length; k++) {
    const pixel = pixels[k];
    if (pixel !== lastPixel) {
      lastPixel = pixel;
      lastLabel = pixel >>> 24 < 128 ? 0 : (found.get(pixel) ?? found.size + 1);
      if (lastLabel > found.size) found.set(pixel, lastLabel);
    }
    labels[k] = lastLabel;
  }
  return { revision, width, height, labels, colors: [...found.keys()].map(toColor) };
}

/**
 * Read a mask from Base64.
 * @param {string} text
 * @param {number} revision
 * @returns {Promise<Mask>}
 */
export function decodeBase64Mask(text, revision) {
  const bytes = Uint8Array.from(atob(text), (each) => each.charCodeAt(0));
  return decodeMask(new Blob([bytes], { type: "image/png" }), revision);
}

/** @param {number} pixel - ABGR @returns {string} "#rrggbb" */
function toColor(pixel) {
  const [red, green, blue] = [pixel & 255, (pixel >> 8) & 255, (pixel >> 16) & 255];
  return `#${((1 << 24) | (red << 16) | (green << 8) | blue).toString(16).slice(1)}`;
}

/** @param {string} color - "#rrggbb" @param {number} alpha @returns {number} ABGR */
function toPixel(color, alpha) {
  const value = parseInt(color.slice(1), 16);
  const [red, green, blue] = [value >> 16, (value >> 8) & 255, value & 255];
  return ((alpha << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/**
 * Tint objects, and draw their outlines.
 * @param {Mask} mask - with at least one pixel.
 * @param {object} style
 * @param {Map<string, string>} style.shown - the color of each object on the page, by its color in
 *   the mask; others are left out.
 * @param {string|undefined} style.chosen - color in the mask of the object whose outline is white.
 * @param {number} style.opacity - of the inside, 0-1; outlines are opaque.
 * @returns {HTMLCanvasElement}
 */
export function tintMask(mask, { shown, chosen, opacity }) {
  const key = `${[...shown].join()} ${chosen} ${opacity}`;
  if (mask.tinted?.key === key) return mask.tinted.canvas;
  const { width, height, labels, colors } = mask;
  const inside = [0];
  const outline = [0];
  colors.forEach((color, k) => {
    const own = shown.get(color);
    inside[k + 1] = own ? toPixel(own, Math.round(opacity * 255)) : 0;
    outline[k + 1] = own ? toPixel(color === chosen ? "#ffffff" : own, 255) : 0;
  });
  const picture = new ImageData(width, height);
  const pixels = new Uint32Array(picture.data.buffer);
  for (let y = 0, k = 0; y < height; y++) {
    for (let x = 0; x < width; x++, k++) {
      const label = labels[k];
      if (!label) continue;
      const isEdge =
        (x > 0 && labels[k - 1] !== label) ||
        (x < width - 1 && labels[k + 1] !== label) ||
        (y > 0 && labels[k - width] !== label) ||
        (y < height - 1 && labels[k + width] !== label);
      pixels[k] = isEdge ? outline[label] : inside[label];
    }
  }
  const canvas = mask.tinted?.canvas ?? document.createElement("canvas");
  [canvas.width, canvas.height] = [width, height];
  canvas.getContext("2d").putImageData(picture, 0, 0);
  mask.tinted = { key, canvas };
  return canvas;
}

/**
 * Return the color of the object at a place.
 * @param {Mask} mask
 * @param {number} x - 0-1, from the left of the frame.
 * @param {number} y - 0-1, from its top.
 * @returns {string|undefined}
 */
export function colorAt(mask, x, y) {
  const column = Math.floor(x * mask.width);
  const row = Math.floor(y * mask.height);
  if (column < 0 || row < 0 || column >= mask.width || row >= mask.height) return undefined;
  return mask.colors[mask.labels[row * mask.width + column] - 1];
}
