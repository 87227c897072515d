"""Masks from clicks and scribbles with scribble-to-mask networks: the shipped one, or another.

The network looks at a crop around the object and the strokes, so a small object is seen as well as
a large one, and the time does not depend on the size of the video.

Shapes: ``H`` rows and ``W`` columns of the video, ``h`` and ``w`` of a crop.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import torch

from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.io.download import allow_address, is_address
from vps_d2.io.errors import UserError
from vps_d2.modeling.s2m.architecture import S2M

__all__ = ["S2MMaskMaker", "make_s2m_mask_maker"]

SMALL_CONFIG = "package://configs/vos/small_s2m.yaml"
SMALL_WEIGHTS = "package://s2m_small.pth"
PUBLIC_CONFIG = "package://configs/vos/s2m.yaml"

_SIDES = {"small": 224, "deeplab": 480}  # pixels of the longer side at which a network works
_MARGIN = 1.4  # side of a crop, in sides of what is in it
_LEAST_CROP = 48  # pixels
_WORTH_A_LOOK = 0.7  # side of a crop, in sides of the picture, up to which a second look is taken
_RADII = (2.0, 5.0)  # smallest radius of a stroke, and largest one of a click, as the network sees
_SURE = 5.0  # log odds that the newest stroke has at least
_REACH = 0.1  # how far it persuades the network, a standard deviation in sides of a crop
_NEAR = 0.35  # up to where a correction may change anything, in sides of a crop
_RIM = 0.015  # width of changes along the outline that are not worth one, in sides of a crop


class _Crop(NamedTuple):
    """Part of a picture: its first row and column, its size, and the size it is brought to."""

    top: int
    left: int
    height: int
    width: int
    size: tuple[int, int]

    @property
    def area(self) -> tuple[slice, slice]:
        """Where it is in the picture."""
        rows = slice(self.top, self.top + self.height)
        return rows, slice(self.left, self.left + self.width)

    def move(self, stroke: Stroke) -> Stroke:
        """Return a stroke in the pixels of the resized crop, not too thin to be seen."""
        down, across = self.size[0] / self.height, self.size[1] / self.width
        points = tuple(((x - self.left) * across, (y - self.top) * down) for x, y in stroke.points)
        radius = max(stroke.radius * max(down, across), _RADII[0])
        if stroke.tool == "click":
            radius = min(radius, _RADII[1])
        return replace(stroke, points=points, radius=radius)


class S2MMaskMaker(MaskMaker):
    """Makes masks with a model for ``object_mask``.

    Args:
        loaded: the model, of the architecture S2M.
        source: see :class:`MaskMaker`.
        side: longer side at which the network works, in pixels; None for its usual one.
    """

    def __init__(self, loaded: LoadedModel, source: str, side: int | None = None) -> None:
        assert isinstance(loaded.model, S2M)
        self.source = source
        self._loaded = loaded
        self._stride = int(loaded.model.network.stride)
        self._side = side or _SIDES.get(loaded.cfg.MODEL.S2M.NETWORK, 480)

    def make_mask(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        """Make or correct the mask of an object; see the base class.

        A correction adds only near positive strokes and in parts that they touch, and takes away
        only near negative ones: near the newest one, and those that the mask so far contradicts.
        """
        positive, negative = draw_strokes(strokes, mask.shape)
        if mask.any():
            crop = self._crop(mask | positive | draw_strokes(strokes[-1:], mask.shape)[1])
            found = self._find(picture, mask, strokes, crop)
            made = mask.copy()
            made[crop.area] = _change(mask[crop.area], found, _touched(mask, strokes, crop))
        elif positive.any():
            made = self._make_first(picture, positive, strokes)
        else:
            made = mask
        return (made | positive) & ~negative

    def _make_first(
        self, picture: np.ndarray, positive: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        """Find an object of which nothing is known, and look again at a crop if it is small."""
        nothing = np.zeros(positive.shape, bool)
        whole = self._crop(~nothing)
        made = _parts_at(self._find(picture, nothing, strokes, whole), positive)
        crop = self._crop(made | positive)
        if max(crop.height / whole.height, crop.width / whole.width) <= _WORTH_A_LOOK:
            found = nothing.copy()
            found[crop.area] = self._find(picture, made, strokes, crop)
            made = _parts_at(found, positive)
        return made

    def _find(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke], crop: _Crop
    ) -> np.ndarray:
        """Return where the network finds the object in a crop, bool ``(h, w)``."""
        size = crop.size[::-1]
        shrinks = crop.width > size[0] or crop.height > size[1]
        way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        pixels = cv2.resize(picture[crop.area], size, interpolation=way)
        known = cv2.resize(mask[crop.area].astype(np.uint8) * 255, size, interpolation=way) > 127
        positive, negative = draw_strokes([crop.move(each) for each in strokes], crop.size)
        inputs = {
            "image": torch.from_numpy(pixels.transpose(2, 0, 1).copy()),
            "mask": torch.from_numpy(known),
            "positive": torch.from_numpy(positive),
            "negative": torch.from_numpy(negative),
        }
        probability = self._loaded([inputs])[0]["probability"].cpu().numpy()
        newest = crop.move(strokes[-1])
        score = _persuade(probability, draw_strokes([newest], crop.size), newest.positive)
        found: np.ndarray = cv2.resize(score, (crop.width, crop.height)) > 0
        return found

    def _crop(self, region: np.ndarray) -> _Crop:
        """Return a crop around a region, which must not be empty."""
        left, top, width, height = cv2.boundingRect(region.astype(np.uint8))
        spare = max((_MARGIN - 1) * max(width, height), _LEAST_CROP - min(width, height)) / 2
        first_column, last_column = _within(left - spare, left + width + spare, region.shape[1])
        first_row, last_row = _within(top - spare, top + height + spare, region.shape[0])
        height, width = last_row - first_row, last_column - first_column
        factor = self._side / max(height, width)
        rows, columns = (
            max(1, round(length * factor / self._stride)) * self._stride
            for length in (height, width)
        )
        return _Crop(first_row, first_column, height, width, (rows, columns))


def make_s2m_mask_maker(
    weights: str | None = None, config_file: str | None = None, device: str | None = None
) -> S2MMaskMaker:
    """Load a scribble-to-mask network.

    Args:
        weights: path or URL of a checkpoint; None for the shipped small network.
        config_file: of the model of these weights; None for that of the public ``s2m.pth``.
        device: of PyTorch, such as ``"cuda:1"``; None for a GPU if there is one.

    Raises:
        UserError: if a file is missing, damaged, or of another model.
    """
    if weights and is_address(weights):
        allow_address(weights)  # the user wrote it
    default = PUBLIC_CONFIG if weights else SMALL_CONFIG
    opts = [] if device is None else ["MODEL.DEVICE", device]
    chosen = weights or ("" if config_file else SMALL_WEIGHTS)
    loaded = load_model(config_file or default, opts, task="object_mask", weights=chosen)
    if not isinstance(loaded.model, S2M):
        raise UserError(
            f"config file {config_file} describes {type(loaded.model).__name__}, which takes no "
            "strokes; give one with MODEL.META_ARCHITECTURE S2M."
        )
    named = Path(chosen or loaded.cfg.MODEL.WEIGHTS).name
    return S2MMaskMaker(loaded, f"S2M ({loaded.cfg.MODEL.S2M.NETWORK}) with the weights {named}")


def _persuade(
    probability: np.ndarray, drawn: tuple[np.ndarray, np.ndarray], positive: bool
) -> np.ndarray:
    """Return log odds that agree with the newest stroke, and the less changed the farther away.

    Args:
        probability: of the network, float32 ``(h, w)``.
        drawn: where the stroke is positive, and where it is negative, bool ``(h, w)``.
        positive: whether it is.
    """
    clipped = probability.clip(1e-4, 1 - 1e-4)
    odds: np.ndarray = np.log(clipped / (1 - clipped))
    stroke, sign = (drawn[0], 1.0) if positive else (drawn[1], -1.0)
    if not stroke.any():
        return odds
    lacking = _SURE - sign * float(np.median(odds[stroke]))
    if lacking <= 0:
        return odds
    away = cv2.distanceTransform((~stroke).astype(np.uint8), cv2.DIST_L2, 3)
    reach = _REACH * max(odds.shape)
    result: np.ndarray = odds + sign * lacking * np.exp(-0.5 * (away / reach) ** 2)
    return result


def _within(first: float, last: float, length: int) -> tuple[int, int]:
    return max(0, int(first)), min(length, int(np.ceil(last)))


def _touched(
    mask: np.ndarray, strokes: Sequence[Stroke], crop: _Crop
) -> tuple[np.ndarray, np.ndarray]:
    """Return where something may be added, and where taken away: under strokes, in the crop."""
    may_add, may_remove = np.zeros(mask.shape, bool), np.zeros(mask.shape, bool)
    drawn = [draw_strokes([stroke], mask.shape) for stroke in strokes]
    for index, (positive, negative) in enumerate(drawn, 1):
        if index == len(drawn) or (positive & ~mask).any() or (negative & mask).any():
            may_add |= positive
            may_remove |= negative
    return may_add[crop.area], may_remove[crop.area]


def _change(
    mask: np.ndarray, found: np.ndarray, touched: tuple[np.ndarray, np.ndarray]
) -> np.ndarray:
    """Change a mask where it was touched.

    Args:
        mask: so far, bool ``(h, w)``.
        found: by the network, likewise.
        touched: where something may be added, and where taken away.
    """
    may_add, may_remove = touched
    added = _parts_near(found & ~mask, may_add)
    removed = _parts_near(mask & ~found, may_remove)
    return (mask | added) & ~removed


def _parts_near(region: np.ndarray, strokes: np.ndarray) -> np.ndarray:
    """Return what of a region is near strokes, and the parts of it that they touch.

    Parts are not held together by a thin rim, such as one along the whole outline of an object.
    """
    if not strokes.any() or not region.any():
        return np.zeros_like(region)
    away = cv2.distanceTransform((~strokes).astype(np.uint8), cv2.DIST_L2, 3)
    side = max(region.shape)
    width = 2 * max(1, round(_RIM * side / 2)) + 1
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width, width))
    thick = cv2.morphologyEx(region.astype(np.uint8), cv2.MORPH_OPEN, kernel) > 0
    parts = _parts_at(thick, away <= width)
    around = cv2.dilate(parts.astype(np.uint8), kernel) > 0
    near: np.ndarray = away <= _NEAR * side
    return region & (around | near)


def _parts_at(region: np.ndarray, places: np.ndarray) -> np.ndarray:
    """Return the connected parts of a region that have a pixel in some places."""
    _, labels = cv2.connectedComponents(region.astype(np.uint8))
    chosen = np.unique(labels[region & places])
    return np.isin(labels, chosen) & region
