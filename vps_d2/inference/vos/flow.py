"""Following objects by optical flow alone: no network, no weights, no memory.

The last object map is moved by dense flow (DIS of OpenCV; Kroeger et al., ECCV 2016). An object
that is covered for a moment is lost, and errors add up, so this is what other engines are measured
against.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import torch

from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.engines import EngineOptions, register_vos_engine
from vps_d2.io.errors import UserError

__all__ = ["FlowEngine"]

_MIN_SIDE = 16  # DIS finds nothing in smaller pictures


class FlowEngine(VOSEngine):
    """Moves the last object map by optical flow; see the docstring of this module."""

    short_side = 240
    source = "optical flow (DIS of OpenCV), which moves the last mask; no weights"

    def __init__(self) -> None:
        self._flow = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self._gray: np.ndarray = np.zeros((0, 0), np.uint8)
        self._map: np.ndarray = np.zeros((0, 0), np.uint8)

    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take a map for the last one; see the base class."""
        self._gray, self._map = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), object_map

    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> np.ndarray:
        """Move the last map to the next frame; see the base class."""
        gray = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
        height, width = gray.shape
        columns, rows = np.meshgrid(*(np.arange(n, dtype=np.float32) for n in (width, height)))
        if self._gray.shape == gray.shape and min(gray.shape) >= _MIN_SIDE:
            flow = self._flow.calc(gray, self._gray, np.zeros((height, width, 2), np.float32))
            columns, rows = columns + flow[..., 0], rows + flow[..., 1]
        planes = [
            cv2.remap((self._map == number).astype(np.float32), columns, rows, cv2.INTER_LINEAR)
            for number in objects
        ]
        probabilities = np.stack([1 - np.sum(planes, axis=0), *planes])
        probabilities = probabilities.clip(0, 1).astype(np.float32)
        winner = probabilities.argmax(0)
        self._gray, self._map = gray, np.array([0, *objects], np.uint8)[winner]
        return probabilities

    def forget_frames(self) -> None:
        """Forget the last map, the only one there is."""
        self.reset()

    def fingerprint(self) -> str:
        """Return a name, as there are no weights."""
        return f"flow, OpenCV {cv2.__version__}"

    def get_state(self) -> Mapping[str, Any]:
        """Return the last frame and its map."""
        return {"gray": torch.from_numpy(self._gray), "map": torch.from_numpy(self._map)}

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Take over the last frame and its map.

        Raises:
            ValueError: if they are no pictures of one size.
        """
        gray, object_map = state["gray"].numpy(), state["map"].numpy()
        if {gray.dtype, object_map.dtype} != {np.dtype(np.uint8)} or gray.ndim != 2:
            raise ValueError("its pictures are not gray ones")
        if gray.shape != object_map.shape:
            raise ValueError("its pictures are of two sizes")
        self._gray, self._map = gray, object_map


@register_vos_engine("flow")
def make_flow_engine(options: EngineOptions) -> FlowEngine:
    """Make the engine.

    Raises:
        UserError: if a model is named, which it does not have.
    """
    if options.name or options.config_file or options.weights:
        raise UserError(
            "the engine flow has no model; leave out --config-file and --weights, or name another "
            "--engine."
        )
    return FlowEngine()
