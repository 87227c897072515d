"""A small data set, and a maker that fills what has the color under the strokes."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from tests.inference.vos.stub import ColorEngine, draw, truth
from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.inference.vos.engines import register_vos_engine
from vps_d2.inference.vos.prompts import MaskMaker


class ColorMaker(MaskMaker):
    """Takes all pixels of the color that is under positive strokes, and not under negative."""

    source = "colors under strokes"
    license_note = "For tests alone."

    def __init__(self) -> None:
        self.calls: list[tuple[list[bool], int]] = []

    def make_mask(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        self.calls.append(([each.positive for each in strokes], np.count_nonzero(mask)))
        positive, negative = draw_strokes(strokes, mask.shape)
        made = mask.copy()
        for region, value in ((positive, True), (negative, False)):
            colors, counts = np.unique(picture[region], axis=0, return_counts=True)
            if len(colors):
                made[(picture == colors[counts.argmax()]).all(2)] = value
        return made


@register_vos_engine("scribbled-colors")
def make(options: object) -> ColorEngine:
    engine = ColorEngine()
    engine.mask_maker = ColorMaker()
    return engine


def write_video(
    frames: Path,
    masks: Path,
    count: int,
    picture: Callable[[int], np.ndarray] = draw,
    labels: Callable[[int], np.ndarray] = truth,
) -> None:
    for folder, make_picture in ((frames, picture), (masks, labels)):
        folder.mkdir(parents=True)
        for index in range(count):
            Image.fromarray(make_picture(index)).save(folder / f"{index:05d}.png")


def write_scribbles(path: Path, count: int, frame: int = 0) -> None:
    """Scribble on objects 1 and 2 of a frame as somebody would, object 2 only where it is."""
    height, width = truth(frame).shape
    lines = []
    for number in (1, 2):
        ys, xs = np.nonzero(truth(frame) == number)
        if len(xs):
            row = int(np.median(ys))
            path_points = [
                [x / width, row / height] for x in (int(xs.min()) + 2, int(xs.max()) - 2)
            ]
            lines.append({"path": path_points, "object_id": number})
    frames = [lines if index == frame else [] for index in range(count)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"scribbles": frames, "sequence": path.parent.name}))
