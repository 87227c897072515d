"""Pseudo-clips: a picture, moved, rotated and scaled at random for each frame of a clip.

So a video model can learn from pictures, too (MinVIS, arXiv 2208.02245; CTVIS, arXiv 2307.12616).
Random numbers come from NumPy's global generator, as in :mod:`vps_d2.data.augmentation`.
"""

import cv2
import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import transforms as T


class AffineTransform(T.Transform):
    """Move each point of a picture by a matrix; its size stays the same.

    What lies outside the picture gets the picture's mean color, and no mask. A reflection at the
    edges would show objects that have no mask.

    Args:
        matrix: float ``(2, 3)``, from ``(x, y, 1)`` before to ``(x, y)`` after, in pixels.
    """

    def __init__(self, matrix: np.ndarray) -> None:
        super().__init__()
        self.matrix = matrix

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Move a uint8 or float32 picture ``(H, W, C)``, with interpolation."""
        outside = np.reshape(cv2.mean(img)[: img.shape[2]], -1).tolist()
        return self._warp(img, cv2.INTER_LINEAR, outside)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Move a uint8 mask ``(H, W)``; its values are kept."""
        return self._warp(segmentation, cv2.INTER_NEAREST, [0])

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Move points ``(N, 2)``, x and y in pixels, where pixels have their centers at halves."""
        linear, offset = self.matrix[:, :2], self.matrix[:, 2]
        moved: np.ndarray = (coords - 0.5) @ linear.T + offset + 0.5
        return moved

    def _warp(self, picture: np.ndarray, interpolation: int, outside: list[float]) -> np.ndarray:
        size = (picture.shape[1], picture.shape[0])
        return cv2.warpAffine(picture, self.matrix, size, flags=interpolation, borderValue=outside)


class RandomMotion(T.Augmentation):
    """Rotate and scale a picture around its center, and move it.

    Args:
        rotation: largest angle in degrees, either way.
        scale: smallest and largest factor.
        shift: largest way, as a share of height and of width, either way.
    """

    def __init__(
        self, rotation: float = 15.0, scale: tuple[float, float] = (0.8, 1.25), shift: float = 0.1
    ) -> None:
        super().__init__()
        self.rotation = rotation
        self.scale = scale
        self.shift = shift

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "RandomMotion":
        """Return the motion that INPUT.CLIP.MOTION describes."""
        keys = cfg.INPUT.CLIP.MOTION
        return cls(keys.ROTATION, tuple(keys.SCALE), keys.SHIFT)

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """Draw angle, factor and way."""
        height, width = image.shape[:2]
        angle = np.random.uniform(-self.rotation, self.rotation)
        # Of the logarithm, so that a picture is made smaller as often as it is made larger.
        factor = np.exp(np.random.uniform(*np.log(self.scale)))
        center = ((width - 1) / 2, (height - 1) / 2)
        matrix: np.ndarray = cv2.getRotationMatrix2D(center, angle, factor)
        matrix[:, 2] += np.random.uniform(-self.shift, self.shift, 2) * np.array([width, height])
        return AffineTransform(matrix)
