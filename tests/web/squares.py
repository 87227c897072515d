"""A film of colored squares, and an engine and a mask maker that know them by their colors."""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from tests.inference.vos.stub import ColorEngine
from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.io.video_writing import VideoWriter

HEIGHT, WIDTH, COUNT = 96, 128, 20
RED, BLUE, GRAY = (200, 40, 40), (40, 60, 200), (90, 90, 90)
SIDE = 30
TOLERANCE = 30  # of a color, as the film is compressed


class RegionMaker(MaskMaker):
    """Adds the regions of one color that positive strokes touch, and takes away the others."""

    source = "regions of one color"

    def make_mask(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        made = mask.copy()
        for stroke in strokes:
            (x, y) = stroke.points[0]
            color = picture[int(y), int(x)].astype(int)
            alike = (np.abs(picture - color).max(2) < TOLERANCE).astype(np.uint8)
            _, regions = cv2.connectedComponents(alike)
            made[regions == regions[int(y), int(x)]] = stroke.positive
        positive, negative = draw_strokes(strokes, mask.shape)
        return (made | positive) & ~negative


@register_vos_engine("squares")
def make_engine(options: EngineOptions) -> VOSEngine:
    engine = ColorEngine()
    engine.mask_maker = RegionMaker()
    return engine


def corner(index: int) -> tuple[int, int]:
    """Return x and y of the upper left corner of the red square, which moves to the right."""
    return 10 + 3 * index, 12


def draw(index: int) -> np.ndarray:
    """Return a frame: a red square moves, and a blue one rests below."""
    frame = np.full((HEIGHT, WIDTH, 3), GRAY, np.uint8)
    x, y = corner(index)
    frame[y : y + SIDE, x : x + SIDE] = RED
    frame[56 : 56 + SIDE, 20 : 20 + SIDE] = BLUE
    return frame


def write_film(path: Path, count: int = COUNT) -> Path:
    with VideoWriter(path, HEIGHT, WIDTH, Fraction(10)) as writer:
        for index in range(count):
            writer.write(draw(index), Fraction(index, 10))
    return path
