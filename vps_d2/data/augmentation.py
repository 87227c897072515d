"""Augmentation: clips with a temporal stride (frameskip), Gaussian blur, flips.

Random numbers come from NumPy's global generator, as in Detectron2's augmentations; the loader
seeds it for every sample.
"""

import cv2
import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import transforms as T
from vps_d2.io.errors import UserError


class BlurTransform(T.Transform):
    """Gaussian blur of a picture; masks and coordinates do not change.

    Args:
        sigma: standard deviation in pixels; 0 leaves the picture as it is.
    """

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.sigma = sigma

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Blur a uint8 or float32 picture ``(H, W)`` or ``(H, W, C)``."""
        if self.sigma <= 0:
            return img
        return cv2.GaussianBlur(img, (0, 0), self.sigma)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Return the coordinates unchanged."""
        return coords

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Return the mask unchanged."""
        return segmentation

    def inverse(self) -> T.Transform:
        """Return a transform that does nothing: a blur cannot be undone, but moves nothing."""
        return T.NoOpTransform()


class GaussianBlur(T.Augmentation):
    """Blur a share of the pictures by a random strength, since predicted frames are blurred.

    Args:
        prob: share of the pictures that are blurred.
        sigma: smallest and largest standard deviation in pixels.
    """

    def __init__(self, prob: float, sigma: tuple[float, float]) -> None:
        super().__init__()
        self.prob = prob
        self.sigma = (float(sigma[0]), float(sigma[1]))

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """Draw the strength of the blur for one picture."""
        if np.random.uniform() >= self.prob:
            return T.NoOpTransform()
        return BlurTransform(np.random.uniform(*self.sigma))


def build_flip(cfg: CfgNode) -> list[T.Augmentation]:
    """Return the flip that INPUT.RANDOM_FLIP names; mirroring changes no class.

    Raises:
        UserError: if the name is unknown.
    """
    flip = cfg.INPUT.RANDOM_FLIP
    if flip not in ("none", "horizontal", "vertical"):
        raise UserError(
            f'INPUT.RANDOM_FLIP must be "none", "horizontal" or "vertical", not "{flip}".'
        )
    if flip == "none":
        return []
    return [T.RandomFlip(horizontal=flip == "horizontal", vertical=flip == "vertical")]


def build_blur(cfg: CfgNode) -> list[T.Augmentation]:
    """Return the blur that INPUT.BLUR describes."""
    blur = cfg.INPUT.BLUR
    return [GaussianBlur(blur.PROB, tuple(blur.SIGMA))] if blur.PROB > 0 else []
