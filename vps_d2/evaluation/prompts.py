"""Scoring what makes masks from clicks and scribbles, on pictures with true masks.

Shapes: ``H`` rows, ``W`` columns. Masks are bool ``(H, W)``.
"""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.data.pictures import read_picture
from vps_d2.data.strokes import CLICK_RADIUS, Stroke
from vps_d2.data.video import FaultError
from vps_d2.data.vos.library import open_library
from vps_d2.data.vos.maps import read_gray, read_saliency
from vps_d2.data.vos.simulated_strokes import center_of, largest_part
from vps_d2.inference.vos.prompts import MaskMaker

__all__ = [
    "ClickScores",
    "click_on",
    "click_until",
    "evaluate_prompts",
    "largest_error",
    "mask_iou",
    "scribble_strokes",
]

MAX_CLICKS = 20
"""Clicks after which a robot gives up; such a picture counts with as many."""

ClickScores = list[float]
"""Intersection over union after each click."""


def evaluate_prompts(
    maker: MaskMaker,
    pictures: str | Path,
    masks: str | Path,
    scribbles: Sequence[str | Path] = (),
    wanted: float = 0.85,
) -> dict[str, Any]:
    """Score a maker of masks on every picture of a folder.

    Args:
        maker: to score.
        pictures: folder of pictures.
        masks: folder of their masks, PNGs of the same names, white where the object is.
        scribbles: folders of people's scribbles, PNGs of the same names: 1 on the object, 0 on the
            background, 255 elsewhere. A picture without scribbles is only clicked on.
        wanted: intersection over union up to which a robot clicks, see :func:`click_until`.

    Returns:
        ``clicks``, the mean number of clicks until then; ``click_iou``, the mean intersection over
        union after each click, of a picture that is done its last one; ``scribble_iou``, the mean
        for each folder of scribbles; ``seconds``, the median time that a click took; and
        ``pictures``, ``clicks`` and ``scribble_iou`` of each picture by its name.

    Raises:
        UserError: if a file is missing or cannot be read, or sizes differ.
    """
    each: dict[str, Any] = {}
    seconds: list[float] = []
    paths = [Path(path) for path in open_library(str(pictures), None).pictures]
    for path in tqdm(paths, desc="scoring", unit="picture"):
        picture = read_picture(str(path))
        truth = _read_mask(Path(masks) / f"{path.stem}.png", picture.shape[:2])
        ious = click_until(maker, picture, truth, wanted, seconds)
        found = [_scribble_iou(maker, Path(folder), path, picture, truth) for folder in scribbles]
        each[path.stem] = {"clicks": ious, "scribble_iou": found}
    return {**_summarize(each, len(scribbles)), "seconds": _median(seconds), "pictures": each}


def click_until(
    maker: MaskMaker,
    picture: np.ndarray,
    truth: np.ndarray,
    wanted: float,
    seconds: list[float] | None = None,
) -> ClickScores:
    """Click in the middle of the largest error until the mask is good enough.

    Args:
        maker: of masks.
        picture: uint8 RGB ``(H, W, 3)``.
        truth: the true mask, with at least one pixel.
        wanted: intersection over union to reach, in 0-1.
        seconds: takes the time of each click; None for no list.

    Returns:
        the intersection over union after each click, of at most :data:`MAX_CLICKS`.
    """
    mask = np.zeros_like(truth)
    strokes: list[Stroke] = []
    ious: ClickScores = []
    while len(ious) < MAX_CLICKS and (not ious or ious[-1] < wanted):
        error, positive = largest_error(mask, truth)
        strokes.append(click_on(error, positive))
        start = time.perf_counter()
        mask = maker.make_mask(picture, mask, strokes)
        if seconds is not None:
            seconds.append(time.perf_counter() - start)
        ious.append(mask_iou(mask, truth))
    return ious


def largest_error(mask: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, bool]:
    """Return the largest connected error of a mask, bool ``(H, W)``, and whether it was missed."""
    missed, wrong = largest_part(truth & ~mask), largest_part(mask & ~truth)
    positive = bool(missed.sum() >= wrong.sum())
    return missed if positive else wrong, positive


def click_on(error: np.ndarray, positive: bool, radius: float = CLICK_RADIUS) -> Stroke:
    """Return a click in the middle of an error, which has at least one pixel."""
    row, column = center_of(error)
    return Stroke(((column + 0.5, row + 0.5),), positive, radius, "click")


def scribble_strokes(scribbles: np.ndarray) -> list[Stroke]:
    """Return strokes that cover exactly the pixels of a map of scribbles.

    Args:
        scribbles: uint8 ``(H, W)``: 1 on the object, 0 on the background; other values are none.
    """
    strokes = []
    for value in (0, 1):
        padded = np.pad(scribbles == value, ((0, 0), (1, 1))).astype(np.int8)
        rows, starts = np.nonzero(np.diff(padded, axis=1) == 1)
        _, ends = np.nonzero(np.diff(padded, axis=1) == -1)
        for row, start, end in zip(rows.tolist(), starts.tolist(), ends.tolist(), strict=True):
            points = ((start + 0.5, row + 0.5), (end - 0.5, row + 0.5))
            strokes.append(Stroke(points, value == 1, 0.5))
    return strokes


def mask_iou(one: np.ndarray, other: np.ndarray) -> float:
    """Return the intersection over union of two masks; 1 if both are empty."""
    union = int((one | other).sum())
    return int((one & other).sum()) / union if union else 1.0


def _read_mask(path: Path, size: tuple[int, int]) -> np.ndarray:
    mask: np.ndarray = read_saliency(path, size) > 0
    if not mask.any():
        raise FaultError(path, "mask without an object", "remove it and its picture")
    return mask


def _scribble_iou(
    maker: MaskMaker, folder: Path, path: Path, picture: np.ndarray, truth: np.ndarray
) -> float | None:
    """Return how good the mask of a person's scribbles is, None if there are none."""
    file = folder / f"{path.stem}.png"
    if not file.exists():
        return None
    strokes = scribble_strokes(read_gray(file, picture.shape[:2]))
    made = maker.make_mask(picture, np.zeros_like(truth), strokes)
    return mask_iou(made, truth)


def _summarize(each: Mapping[str, Any], folders: int) -> dict[str, Any]:
    ious = [picture["clicks"] for picture in each.values()]
    longest = max(map(len, ious))
    padded = np.array([scores + [scores[-1]] * (longest - len(scores)) for scores in ious])
    found = [
        [picture["scribble_iou"][place] for picture in each.values()] for place in range(folders)
    ]
    return {
        "clicks": float(np.mean([len(scores) for scores in ious])),
        "click_iou": padded.mean(0).tolist(),
        "scribble_iou": [_mean([iou for iou in scores if iou is not None]) for scores in found],
    }


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _median(values: Sequence[float]) -> float:
    return float(np.median(values))
