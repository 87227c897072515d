/**
 * Colors of the objects on the page: bright, and each unlike the ones before it. The masks that are
 * exported keep the palette of DAVIS, in which many colors are too dark to be seen over a video.
 */

const FIRST = [
  "#ff5a5f",
  "#35c46a",
  "#4d8dff",
  "#ffc233",
  "#c77dff",
  "#1fc8d4",
  "#ff8a3d",
  "#ff6fc1",
  "#a6d82f",
  "#8f9bff",
  "#e0a884",
  "#5fe0b0",
];
const GOLDEN_ANGLE = 137.508; // degrees; each hue is far from those before

/**
 * Return the color of an object.
 * @param {number} number - 1-255.
 * @returns {string} "#rrggbb"
 */
export function objectColor(number) {
  if (number <= FIRST.length) return FIRST[number - 1];
  const hue = (number * GOLDEN_ANGLE) % 360;
  const lightness = 0.62 + 0.08 * (number % 3);
  const channel = (shift) => {
    const k = (shift + hue / 30) % 12;
    const value = lightness - 0.75 * Math.min(lightness, 1 - lightness) * clamp(k);
    return Math.round(255 * value)
      .toString(16)
      .padStart(2, "0");
  };
  return `#${channel(0)}${channel(8)}${channel(4)}`;
}

/** @param {number} k - a third of the color wheel is 4 @returns {number} */
function clamp(k) {
  return Math.max(-1, Math.min(k - 3, 9 - k, 1));
}
