"""Transforms that fvcore does not have."""

import numpy as np
import torch
import torch.nn.functional as F
from fvcore.transforms.transform import Transform
from PIL import Image

__all__ = ["ResizeTransform"]


class ResizeTransform(Transform):
    """Resize an image; PIL, for 8 bits, averages over all pixels when it makes one smaller.

    Args:
        h: height before, in pixels.
        w: width before.
        new_h: height after.
        new_w: width after.
        interp: a filter of PIL, nearest, bilinear or bicubic; bilinear by default.
    """

    def __init__(self, h: int, w: int, new_h: int, new_w: int, interp: int | None = None):
        super().__init__()
        self.h, self.w = h, w
        self.new_h, self.new_w = new_h, new_w
        self.interp = Image.Resampling.BILINEAR if interp is None else interp

    def apply_image(self, img: np.ndarray, interp: int | None = None) -> np.ndarray:
        """Resize an image, (H, W) or (H, W, C), uint8 or floating point."""
        assert img.shape[:2] == (self.h, self.w), f"{img.shape[:2]} is not {(self.h, self.w)}"
        interp = self.interp if interp is None else interp
        if img.dtype != np.uint8:
            return self._interpolate(img, interp)
        if img.ndim == 3 and img.shape[2] != 3:
            # PIL knows gray and RGB; all else goes through it one channel at a time.
            channels = [self.apply_image(img[:, :, c], interp) for c in range(img.shape[2])]
            return np.stack(channels, axis=2)
        size = (self.new_w, self.new_h)
        image = Image.fromarray(np.ascontiguousarray(img))
        return np.asarray(image.resize(size, Image.Resampling(interp)))

    def _interpolate(self, img: np.ndarray, interp: int) -> np.ndarray:
        """Resize what has not 8 bits, which Detectron2 does by PyTorch, without averaging."""
        mode = Image.Resampling(interp).name.lower()
        pixels = torch.from_numpy(np.ascontiguousarray(img)).float()
        planes = pixels.reshape(1, self.h, self.w, -1).permute(0, 3, 1, 2)
        align_corners = None if mode == "nearest" else False
        size = (self.new_h, self.new_w)
        resized = F.interpolate(planes, size, mode=mode, align_corners=align_corners)
        shape = (self.new_h, self.new_w, *img.shape[2:])
        return resized[0].permute(1, 2, 0).reshape(shape).numpy().astype(img.dtype)

    def apply_segmentation(self, segmentation: np.ndarray) -> np.ndarray:
        """Resize a label map, (H, W), to the nearest pixel."""
        return self.apply_image(segmentation, interp=Image.Resampling.NEAREST)

    def apply_coords(self, coords: np.ndarray) -> np.ndarray:
        """Move points (N, 2), x and y."""
        return coords * [self.new_w / self.w, self.new_h / self.h]

    def inverse(self) -> "ResizeTransform":
        """Return the way back."""
        return ResizeTransform(self.new_h, self.new_w, self.h, self.w, self.interp)
