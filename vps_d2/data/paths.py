"""Paths of objects through a picture, which a mask predictor may give beside its masks."""

from typing import NamedTuple

import numpy as np


class ObjectPath(NamedTuple):
    """Where the center of an object is expected in the frames after the last known one.

    Attributes:
        class_id: class number of the object.
        points: float32 ``(T, 2)``, x and y in pixels of the picture, from its upper left corner.
        probabilities: float32 ``(T,)``, of the object being in the picture, 0-1.
        futures: float32 ``(P, 2)``, where it may be in the last of these frames, all alike likely.
    """

    class_id: int
    points: np.ndarray
    probabilities: np.ndarray
    futures: np.ndarray = np.empty((0, 2), np.float32)
