"""How strokes over a frame become the mask of an object.

Shapes: ``H`` rows and ``W`` columns of the video.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from vps_d2.data.strokes import Stroke, draw_strokes
from vps_d2.io.errors import UserError

if TYPE_CHECKING:
    from vps_d2.inference.vos.engine import VOSEngine

__all__ = ["MaskMaker", "apply_strokes", "find_mask_maker"]


class MaskMaker(ABC):
    """Makes the mask of one object in one frame from clicks and scribbles.

    Attributes:
        source: what it is and where its weights come from.
        license_note: a sentence for the user about the license of the weights; "" for none.
    """

    source: str
    license_note: str = ""

    @abstractmethod
    def make_mask(
        self, picture: np.ndarray, mask: np.ndarray, strokes: Sequence[Stroke]
    ) -> np.ndarray:
        """Make or correct the mask of an object.

        Args:
            picture: the frame, uint8 RGB ``(H, W, 3)``.
            mask: of the object so far, bool ``(H, W)``; empty for a new one.
            strokes: clicks and scribbles that were drawn for the object in this frame, the newest
                last.

        Returns:
            the mask, bool ``(H, W)``; what the strokes say of the pixels under them holds in it.
        """


def apply_strokes(
    maker: MaskMaker | None,
    picture: np.ndarray,
    mask: np.ndarray,
    before: Sequence[Stroke],
    strokes: Sequence[Stroke],
) -> np.ndarray:
    """Make or correct the mask of an object by strokes of any tool.

    Args:
        maker: for clicks and scribbles; None if there is none.
        picture: the frame, uint8 RGB ``(H, W, 3)``.
        mask: of the object so far, bool ``(H, W)``.
        before: the strokes that made this mask, the newest last.
        strokes: that were added, the newest last.

    Returns:
        the mask, bool ``(H, W)``.

    Raises:
        UserError: if there is no stroke, or nothing that makes a mask of it.
    """
    if not strokes:
        raise UserError("there is no stroke; click or scribble on an object.")
    hints = [each for each in before if each.tool != "paint"]
    for painted, group in groupby(strokes, key=lambda stroke: stroke.tool == "paint"):
        drawn = list(group)
        if painted:
            positive, negative = draw_strokes(drawn, mask.shape)
            mask = (mask | positive) & ~negative
            continue
        if maker is None:
            raise UserError("nothing makes masks of clicks and scribbles here; paint the mask.")
        hints += drawn
        mask = maker.make_mask(picture, mask, hints)
    return mask


def find_mask_maker(
    engine: "VOSEngine | None" = None,
    weights: str | None = None,
    config_file: str | None = None,
    device: str | None = None,
) -> MaskMaker:
    """Return what makes masks of clicks and scribbles.

    That is the engine's own maker, if it has one and no other is named, so that one network serves
    for both; otherwise the small network that is shipped.

    Args:
        engine: that follows the objects; None for none.
        weights: checkpoint of a scribble-to-mask network, such as the public ``s2m.pth``.
        config_file: of these weights; None for that of the public network.
        device: of PyTorch; None for a GPU if there is one.

    Raises:
        UserError: if a file is missing, damaged, or of another model.
    """
    if not (weights or config_file) and engine is not None and engine.mask_maker is not None:
        return engine.mask_maker
    from vps_d2.inference.vos.s2m import make_s2m_mask_maker  # which needs the class above

    return make_s2m_mask_maker(weights, config_file, device)
