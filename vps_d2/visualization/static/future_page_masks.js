'use strict';
// Masks on the page of future masks: decoded, compared, tinted and measured.

/** Return the class of every pixel, from base64 of 32-bit runs: value << 24 | length. */
function decode(runs, size) {
  const bytes = Uint8Array.from(atob(runs), (letter) => letter.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  const mask = new Uint8Array(size);
  for (let place = 0, at = 0; at < bytes.length; at += 4) {
    const run = view.getUint32(at, true);
    mask.fill(run >>> 24, place, place += run & 0xffffff);
  }
  return mask;
}

/** Return which of PARTS every pixel is in, counted from 1; 0 where nothing is or should be. */
function compare(mask, truth) {
  return mask.map((value, index) => {
    const wanted = truth[index];
    if (value === wanted) return value ? 1 : 0;
    return !value ? 2 : !wanted ? 3 : 4;
  });
}

/** Return a canvas with the values of a mask in their colors, tinted inside and full at borders. */
function tint(values, width, height, colors, inside) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [width, height];
  const context = canvas.getContext('2d');
  const picture = context.createImageData(width, height);
  const rgb = colors.map((color) => [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16)));
  for (let index = 0; index < values.length; index += 1) {
    const value = values[index];
    if (!value) continue;
    const column = index % width;
    const border = (column > 0 && values[index - 1] !== value)
      || (column < width - 1 && values[index + 1] !== value)
      || (index >= width && values[index - width] !== value)
      || (index + width < values.length && values[index + width] !== value);
    picture.data.set(rgb[value], 4 * index);
    picture.data[4 * index + 3] = border ? 255 : inside;
  }
  context.putImageData(picture, 0, 0);
  return canvas;
}

/** Return the classes of a mask pair with their overlap, middle and number, worst first. */
function measure(mask, truth, width) {
  const found = new Map();
  mask.forEach((value, index) => {
    for (const each of new Set([value, truth[index]])) {
      if (!each) continue;
      const object = found.get(each)
        ?? { id: each, both: 0, either: 0, wanted: 0, given: 0, x: 0, y: 0 };
      found.set(each, object);
      object.both += value === truth[index];
      object.wanted += truth[index] === each;
      object.given += value === each;
      object.either += 1;
      object.x += index % width;
      object.y += Math.floor(index / width);
    }
  });
  const objects = [...found.values()];
  for (const object of objects) object.overlap = object.both / object.either;
  return objects.sort((one, other) => one.overlap - other.overlap);
}
