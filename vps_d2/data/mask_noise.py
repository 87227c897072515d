"""Noise on true masks, so that a model learns from masks like those of a segmenter.

Random numbers come from NumPy's global generator, which the loader seeds for every sample.
"""

import cv2
import numpy as np

from vps_d2.d2.config import CfgNode

_MARGIN = 2
"""How far a changed outline may reach around an object besides the shift, in pixels."""


class MaskNoise:
    """Remove objects and move their outlines in some of the clips.

    Args:
        prob: share of the clips that get noise.
        missed_object: share of the objects that are missed in all masks of a clip.
        missed_frame: share of the masks in which an object is missed.
        rough: share of the outlines that are shifted and, at random, grown or shrunk by a pixel.
        max_shift: largest shift along rows and along columns, in pixels.
    """

    def __init__(
        self,
        *,
        prob: float,
        missed_object: float = 0.0,
        missed_frame: float = 0.0,
        rough: float = 0.0,
        max_shift: int = 1,
    ) -> None:
        self.prob = prob
        self.missed_object = missed_object
        self.missed_frame = missed_frame
        self.rough = rough
        self.max_shift = max_shift

    def __call__(self, masks: np.ndarray) -> np.ndarray:
        """Return masks uint8 ``(T, H, W)`` with noise, or the same array without."""
        if np.random.uniform() >= self.prob:
            return masks
        numbers = np.flatnonzero(np.bincount(masks.ravel(), minlength=256)[1:]) + 1
        found = numbers[np.random.uniform(size=len(numbers)) >= self.missed_object]
        noisy = np.zeros_like(masks)
        for mask, result in zip(masks, noisy, strict=True):
            seen = found[np.random.uniform(size=len(found)) >= self.missed_frame]
            for number in np.random.permutation(seen):
                self._paint(mask, result, int(number))
        return noisy

    def _paint(self, mask: np.ndarray, result: np.ndarray, number: int) -> None:
        x, y, width, height = cv2.boundingRect((mask == number).view(np.uint8))
        if not width:
            return
        if np.random.uniform() >= self.rough:
            result[mask == number] = number
            return
        margin = self.max_shift + _MARGIN
        rows = slice(max(y - margin, 0), y + height + margin)
        columns = slice(max(x - margin, 0), x + width + margin)
        outline = (mask[rows, columns] == number).astype(np.uint8)
        shift = np.random.randint(-self.max_shift, self.max_shift + 1, 2).astype(np.float32)
        matrix = np.array([[1, 0, shift[0]], [0, 1, shift[1]]], np.float32)
        moved = cv2.warpAffine(outline, matrix, outline.shape[::-1], flags=cv2.INTER_NEAREST)
        change = np.random.randint(3)
        if change:
            kernel = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))
            moved = (cv2.dilate, cv2.erode)[change - 1](moved, kernel)
        result[rows, columns][moved > 0] = number


def build_mask_noise(cfg: CfgNode) -> MaskNoise | None:
    """Return the noise that INPUT.MASK_NOISE describes, None if its share is 0."""
    noise = cfg.INPUT.MASK_NOISE
    if noise.PROB <= 0:
        return None
    return MaskNoise(
        prob=noise.PROB,
        missed_object=noise.MISSED_OBJECT,
        missed_frame=noise.MISSED_FRAME,
        rough=noise.ROUGH,
        max_shift=noise.MAX_SHIFT,
    )
