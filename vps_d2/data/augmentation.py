"""Augmentation: flips, cut-outs that are enlarged, light, noise, blur and compression.

Random numbers come from NumPy's global generator, as in Detectron2's augmentations; the loader
seeds it for every sample.
"""

import cv2
import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import transforms as T
from vps_d2.io.errors import UserError


class PixelTransform(T.Transform):
    """A change of a picture's pixels that moves nothing, so masks and coordinates stay."""

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Return the mask unchanged."""
        return segmentation

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Return the coordinates unchanged."""
        return coords

    def inverse(self) -> T.Transform:
        """Return a transform that does nothing: what was changed is lost, but nothing moved."""
        return T.NoOpTransform()


class BlurTransform(PixelTransform):
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


class ZoomTransform(T.Transform):
    """Cut a window out of a picture and enlarge it to the picture's size, linearly.

    What the window cuts off looks as if the picture's border did it. Masks take the nearest pixel.

    Args:
        left: of the window, in pixels.
        top: of the window, in pixels.
        scale: 1 or more; the window is the picture over it.
    """

    def __init__(self, left: float, top: float, scale: float) -> None:
        super().__init__()
        self.left, self.top, self.scale = left, top, scale

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Enlarge the window of a picture ``(H, W)`` or ``(H, W, C)``."""
        return self._warp(img, cv2.INTER_LINEAR)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Enlarge the window of a mask ``(H, W)``."""
        return self._warp(segmentation, cv2.INTER_NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Return where points ``(N, 2)``, x and y in pixels, are then."""
        return (coords - [self.left, self.top]) * self.scale

    def inverse(self) -> T.Transform:
        """Raise: what was cut off is lost.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("what was cut off is lost")

    def _warp(self, img: np.ndarray, how: int) -> np.ndarray:
        # OpenCV's points are centers of pixels, at whole numbers; ours are corners.
        x, y = ((edge - 0.5) * self.scale + 0.5 for edge in (self.left, self.top))
        place = np.array([[self.scale, 0, -x], [0, self.scale, -y]])
        size = (img.shape[1], img.shape[0])
        return cv2.warpAffine(img, place, size, flags=how, borderMode=cv2.BORDER_REPLICATE)


class RandomZoom(T.Augmentation):
    """Show a random window of a share of the pictures, so that its border cuts objects off.

    Args:
        prob: share of the pictures.
        largest: scale; the smallest is 1.
    """

    def __init__(self, prob: float, largest: float) -> None:
        super().__init__()
        self.prob, self.largest = prob, largest

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """Draw the window for one picture."""
        if np.random.uniform() >= self.prob:
            return T.NoOpTransform()
        scale = np.random.uniform(1, self.largest)
        height, width = image.shape[:2]
        left, top = np.random.uniform(0, 1 - 1 / scale, 2) * [width, height]
        return ZoomTransform(float(left), float(top), float(scale))


class LookTransform(PixelTransform):
    """Change how a uint8 picture ``(H, W, 3)`` was lit and taken; masks do not change.

    Args:
        gain: factors of the channels, ``(3,)``.
        noise: standard deviation of the pixels' noise, the same in all channels, in gray levels.
        quality: of a JPEG that the picture was stored as, 1-100; None for none.
    """

    def __init__(self, gain: np.ndarray, noise: float = 0.0, quality: int | None = None) -> None:
        super().__init__()
        self.gain, self.noise, self.quality = gain, noise, quality

    def apply_image(self, img: np.ndarray) -> np.ndarray:
        """Change a picture."""
        values = img * self.gain.astype(np.float32)
        if self.noise > 0:
            values += np.random.standard_normal((*img.shape[:2], 1)).astype(np.float32) * self.noise
        img = np.clip(np.rint(values), 0, 255).astype(np.uint8)
        if self.quality is not None:
            _, data = cv2.imencode(".jpg", img, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
            return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))
        return img


class RandomLook(T.Augmentation):
    """Vary light, noise and compression.

    Args:
        light: standard deviation of the logarithm of the brightness; that of each channel by itself
            is a third of it.
        noise: largest standard deviation of the pixels' noise, in gray levels.
        jpeg: share of the pictures that were stored as JPEG.
        quality: lowest and highest quality of these.
    """

    def __init__(
        self, light: float, noise: float, jpeg: float, quality: tuple[int, int] = (50, 95)
    ) -> None:
        super().__init__()
        self.light, self.noise, self.jpeg, self.quality = light, noise, jpeg, quality

    def get_transform(self, image: np.ndarray) -> T.Transform:
        """Draw how one picture looks."""
        light, tint = np.random.standard_normal(), np.random.standard_normal(3)
        gain = np.exp(self.light * (light + tint / 3))
        noise = np.random.uniform(0, self.noise)
        stored = np.random.uniform() < self.jpeg
        quality = int(np.random.randint(self.quality[0], self.quality[1] + 1)) if stored else None
        return LookTransform(gain, noise, quality)


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


def build_look(cfg: CfgNode) -> list[T.Augmentation]:
    """Return the changes of light, noise and compression that INPUT.LOOK describes."""
    look = cfg.INPUT.LOOK
    if not (look.LIGHT or look.NOISE or look.JPEG):
        return []
    return [RandomLook(look.LIGHT, look.NOISE, look.JPEG, tuple(look.JPEG_QUALITY))]


def build_frame_augmentations(cfg: CfgNode) -> list[T.Augmentation]:
    """Return all augmentations of single frames that INPUT describes."""
    zoom = cfg.INPUT.ZOOM
    zooms = [RandomZoom(zoom.PROB, zoom.MAX)] if zoom.PROB > 0 else []
    return [*build_flip(cfg), *zooms, *build_blur(cfg), *build_look(cfg)]
