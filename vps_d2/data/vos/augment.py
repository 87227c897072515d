"""Random crops, turns and colors of clips of real videos.

As in the public training of STCN (arXiv 2106.05210): one crop, flip and change of colors for the
clip, and a little turn and shear for each frame, of which only the result is drawn.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence

import cv2
import numpy as np

_TURN, _SHEAR = 15.0, 10.0  # degrees
_ASPECT = 4 / 3


class ClipAugmentation:
    """Crop all frames of a clip alike, and move each of them a little.

    Args:
        size: height and width of the result, in pixels.
        min_crop: least share of the shorter side that is cropped.
        gray: chance of a gray clip.
    """

    def __init__(self, size: tuple[int, int], min_crop: float = 0.5, gray: float = 0.05) -> None:
        self.size = size
        self.min_crop = min_crop
        self.gray = gray

    def __call__(
        self, rng: np.random.Generator, frames: Sequence[np.ndarray], maps: Sequence[np.ndarray]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augment a clip.

        Args:
            rng: random numbers.
            frames: ``T`` of uint8 RGB ``(h, w, 3)``.
            maps: object maps, ``T`` of uint8 ``(h, w)``.

        Returns:
            frames uint8 ``(T, H, W, 3)`` and maps uint8 ``(T, H, W)``.
        """
        crop = self._crop(rng, frames[0].shape[:2])
        gains = np.exp(rng.uniform(-0.1, 0.1) + rng.uniform(-0.05, 0.05, 3))
        contrast = rng.uniform(0.9, 1.1)
        gray = rng.random() < self.gray
        size = (self.size[1], self.size[0])
        moved_frames, moved_maps = [], []
        for frame, object_map in zip(frames, maps, strict=True):
            matrix = self._jitter(rng) @ crop
            mean = np.array(cv2.mean(frame)[:3])
            tint = gains * np.exp(rng.uniform(-0.02, 0.02))
            moved = cv2.warpAffine(
                _smooth(frame, matrix), matrix[:2], size, borderValue=mean.tolist()
            )
            moved_frames.append(_color(moved, tint, contrast, mean, gray))
            moved_maps.append(cv2.warpAffine(object_map, matrix[:2], size, flags=cv2.INTER_NEAREST))
        return np.stack(moved_frames), np.stack(moved_maps)

    def _crop(self, rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
        """Return a matrix ``(3, 3)`` that brings a random part of a picture to the new size."""
        height, width = size
        extent = rng.uniform(self.min_crop, 1.0) * min(height, width)
        aspect = np.exp(rng.uniform(-0.5, 0.5) * np.log(_ASPECT))
        ratio = self.size[1] / self.size[0] * aspect
        across = min(width, extent * np.sqrt(ratio))
        along = min(height, extent / np.sqrt(ratio))
        left = rng.uniform(0, width - across)
        top = rng.uniform(0, height - along)
        scale_x, scale_y = self.size[1] / across, self.size[0] / along
        matrix = np.array([[scale_x, 0, -left * scale_x], [0, scale_y, -top * scale_y], [0, 0, 1]])
        if rng.random() < 0.5:
            matrix = np.array([[-1, 0, self.size[1] - 1], [0, 1, 0], [0, 0, 1]]) @ matrix
        return matrix

    def _jitter(self, rng: np.random.Generator) -> np.ndarray:
        """Return a little turn and shear around the middle of a frame, ``(3, 3)``."""
        turn, shear = np.deg2rad(rng.uniform(-1, 1, 2) * (_TURN, _SHEAR))
        cosine, sine = np.cos(turn), np.sin(turn)
        linear = np.array([[cosine, -sine], [sine, cosine]]) @ [[1, np.tan(shear)], [0, 1]]
        center = np.array([self.size[1], self.size[0]]) / 2
        matrix = np.eye(3)
        matrix[:2, :2] = linear
        matrix[:2, 2] = center - linear @ center
        return matrix


def _smooth(frame: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Blur a frame that will be made much smaller, so that no detail turns into noise."""
    factor = np.sqrt(abs(np.linalg.det(matrix[:2, :2])))
    if factor > 0.7:
        return frame
    return cv2.GaussianBlur(frame, (0, 0), 0.4 / factor)


def _color(
    frame: np.ndarray, gains: np.ndarray, contrast: float, mean: np.ndarray, gray: bool
) -> np.ndarray:
    values = np.arange(256)[:, None]
    table = np.clip(((values - mean) * contrast + mean) * gains, 0, 255).astype(np.uint8)
    colored = cv2.LUT(frame, table.reshape(1, 256, 3))
    if not gray:
        return colored
    return cv2.cvtColor(cv2.cvtColor(colored, cv2.COLOR_RGB2GRAY), cv2.COLOR_GRAY2RGB)
