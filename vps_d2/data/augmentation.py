"""Augmentation: clips with a temporal stride (frameskip), Gaussian blur, flips.

Random numbers come from NumPy's global generator, as in Detectron2's augmentations; the loader
seeds it for every sample.
"""

import cv2
import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import transforms as T
from vps_d2.data.video import NUM_INPUT_FRAMES
from vps_d2.errors import UserError


class ClipSampler:
    """Choose the frames of a training clip: ``start, start + stride, ...``.

    The input frames must lie within the video. Target frames may fall beyond its end; they are
    then marked as not valid. The start is drawn at random where the clip leaves room for it.

    Args:
        num_input_frames: frames a prediction starts from.
        num_target_frames: frames to predict.
        strides: temporal strides to draw from; (1,) is no frameskip.
        num_frames: frames in a video.
    """

    def __init__(
        self,
        *,
        num_input_frames: int,
        num_target_frames: int,
        strides: tuple[int, ...] = (1,),
        num_frames: int = 22,
    ) -> None:
        self.num_input_frames = num_input_frames
        self.num_target_frames = num_target_frames
        self.strides = tuple(strides)
        if not self.strides or min(self.strides) < 1:
            raise UserError(
                f"INPUT.FRAMESKIP {self.strides}: strides count from 1; correct the configuration."
            )
        for stride in self.strides:
            if num_input_frames * stride >= num_frames:
                raise UserError(
                    f"INPUT.FRAMESKIP {stride}: {num_input_frames} input frames at this stride "
                    f"leave no target in a video of {num_frames} frames; use a smaller stride or "
                    "fewer INPUT.NUM_INPUT_FRAMES."
                )

    def sample(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a clip.

        Args:
            num_frames: frames in the video.

        Returns:
            frame indices int64 ``(T_in + T_out,)`` counted from 0, and bool ``(T_out,)``: whether
            the target lies within the video.
        """
        stride = self.strides[np.random.randint(len(self.strides))]
        length = self.num_input_frames + self.num_target_frames
        start = np.random.randint(max(num_frames - (length - 1) * stride, 1))
        indices = start + stride * np.arange(length)
        return indices, indices[self.num_input_frames :] < num_frames

    def after_input(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clip, without a stride, whose input ends with frame 11; as :meth:`sample`."""
        start = max(NUM_INPUT_FRAMES - self.num_input_frames, 0)
        indices = start + np.arange(self.num_input_frames + self.num_target_frames)
        return indices, indices[self.num_input_frames :] < num_frames


class BlurTransform(T.Transform):
    """Gaussian blur of a picture; masks and coordinates stay as they are.

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
        """Return a transform that does nothing: a blur cannot be undone, and moves nothing."""
        return T.NoOpTransform()


class GaussianBlur(T.Augmentation):
    """Blur a share of the pictures by a random strength: predicted frames are blurred.

    Args:
        prob: share of the pictures that are blurred.
        sigma: smallest and greatest standard deviation in pixels.
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
    """Return the flip that INPUT.RANDOM_FLIP names; no class changes when it is mirrored.

    Raises:
        UserError: if it names none.
    """
    flip = cfg.INPUT.RANDOM_FLIP
    if flip not in ("none", "horizontal", "vertical"):
        raise UserError(
            f'INPUT.RANDOM_FLIP "{flip}" is no flip; use "none", "horizontal" or "vertical".'
        )
    if flip == "none":
        return []
    return [T.RandomFlip(horizontal=flip == "horizontal", vertical=flip == "vertical")]


def build_blur(cfg: CfgNode) -> list[T.Augmentation]:
    """Return the blur that INPUT.BLUR describes."""
    blur = cfg.INPUT.BLUR
    return [GaussianBlur(blur.PROB, tuple(blur.SIGMA))] if blur.PROB > 0 else []
