"""Fusing what was known of a frame with what a propagation after a correction finds in it.

A propagation "around" a corrected frame runs up to the nearest frames that were given as well. Near
those, the earlier masks can be the better ones; a fuser decides, for each object and pixel. Beyond
the outermost given frames, the new masks hold.

Shapes: ``H`` rows and ``W`` columns at the working size, ``K`` objects. Pictures are uint8 RGB
``(H, W, 3)``, object maps uint8 ``(H, W)``.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np

from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.maps import SessionMaps, shrink_object_map

__all__ = ["FrameFuser", "RangeFusion", "find_fusion"]


class FrameFuser(ABC):
    """Fuses the masks of a frame, knowing how another frame was corrected."""

    @abstractmethod
    def begin(self, picture: np.ndarray, before: np.ndarray, after: np.ndarray) -> None:
        """Take in the corrected frame; it holds until the next call.

        Args:
            picture: the frame.
            before: its object map by the earlier propagation.
            after: its object map as it was given.
        """

    @abstractmethod
    def fuse(
        self,
        picture: np.ndarray,
        objects: Sequence[int],
        old: np.ndarray,
        new: np.ndarray,
        distances: tuple[float, float],
        fused: Sequence[int],
    ) -> np.ndarray:
        """Fuse the masks of a frame.

        Args:
            picture: the frame, the last that the engine has segmented.
            objects: numbers of the objects.
            old: the object map of the frame by the earlier propagation.
            new: probabilities float32 ``(K + 1, H, W)`` by the new one, the background first and
                then the objects in the order of ``objects``.
            distances: in frames, to the other given frame and to the corrected one, as shares of
                the distance between these.
            fused: numbers of the objects to fuse; of the others, the new masks hold.

        Returns:
            probabilities in the form of ``new``; they sum to 1 in each pixel.
        """

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights and settings, independent of paths and the device."""


class RangeFusion:
    """The fusion of the frames between a corrected frame and another one that was given.

    Args:
        fuser: of single frames.
        maps: of the session.
        action: the propagation.
        ends: indices of the other given frame, and of the corrected one.
        working: height and width at which the engine works.
    """

    def __init__(
        self,
        fuser: FrameFuser,
        maps: SessionMaps,
        action: Action,
        ends: tuple[int, int],
        working: tuple[int, int],
    ) -> None:
        self.fuser, self.maps, self.action, self.working = fuser, maps, action, working
        self.far, self.corrected = ends

    def begin(self, picture: np.ndarray) -> None:
        """Take in the picture of the corrected frame, at the working size."""
        before = self.maps.read_found(self.corrected, self.action["id"])
        after = self.maps.read(self.corrected, self.action["id"])
        assert before is not None and after is not None  # find_fusion saw to it
        self.fuser.begin(
            picture, *(shrink_object_map(each[0], self.working) for each in (before, after))
        )

    def __call__(
        self, index: int, picture: np.ndarray, objects: Sequence[int], new: np.ndarray
    ) -> np.ndarray:
        """Return the probabilities of a frame after fusion.

        Args:
            index: of the frame.
            picture: the frame, the last that the engine has segmented.
            objects: their numbers.
            new: probabilities float32 ``(K + 1, H, W)`` that the engine found.
        """
        known = self.maps.read_found(index, self.action["id"])
        # Of an object without a score, the earlier propagation knew nothing.
        fused = [number for number in objects if known and number in known[1]]
        if not known or not fused:
            return new
        length = abs(self.far - self.corrected)
        distances = abs(self.far - index) / length, abs(self.corrected - index) / length
        old = shrink_object_map(known[0], self.working)
        return self.fuser.fuse(picture, objects, old, new, distances, fused)


def find_fusion(
    fuser: FrameFuser | None,
    maps: SessionMaps,
    action: Action,
    backward: bool,
    working: tuple[int, int],
) -> RangeFusion | None:
    """Return the fusion of one direction of a propagation; None if nothing is to be fused there.

    Args:
        fuser: of single frames; None for no fusion.
        maps: of the session.
        action: the propagation.
        backward: the direction in time.
        working: height and width at which the engine works.
    """
    if fuser is None or action["direction"] != "around":
        return None
    far = action["start"] - 1 if backward else action["end"]
    given = maps.state.given
    if far is None or not set(action["objects"]) <= set(given.get(far, ())):
        return None  # the range ends where nothing was given
    if maps.read_found(action["at"], action["id"]) is None:
        return None  # there is nothing that was corrected
    return RangeFusion(fuser, maps, action, (far, action["at"]), working)
