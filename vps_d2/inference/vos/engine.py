"""The interface of what follows objects through a video, whatever network stands behind it.

Shapes: ``H`` rows and ``W`` columns at the working size, ``K`` objects. Pictures are uint8 RGB
``(H, W, 3)``. An object map is uint8 ``(H, W)``: 0 for none, otherwise the number of the object,
1-255.

A session (:mod:`vps_d2.inference.vos.session`) drives an engine like this::

    engine.reset()
    engine.remember(first.picture, object_map, permanent=True)  # a mask that the user gave
    for frame in following_frames:
        probabilities = engine.segment(frame.picture, objects=[1, 2])  # (3, H, W)
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from vps_d2.inference.vos.fuser import FrameFuser
from vps_d2.inference.vos.prompts import MaskMaker

__all__ = ["VOSEngine"]


class VOSEngine(ABC):
    """Follows objects through one video.

    The same calls in the same order always give the same numbers.

    Attributes:
        source: what it is and where its weights come from, for the manifest of a run.
        license_note: a sentence for the user about the license of the weights; "" for none.
        short_side: pixels of the shorter side of a frame at which it works well, on a machine as
            it is made for; what the command uses if the user names no other size.
        mask_maker: makes masks from clicks and scribbles, with the engine's own prompts; None if it
            has none.
        fuser: fuses masks before and after a correction; None if the new ones are to hold.
    """

    source: str
    license_note: str = ""
    short_side: int = 480
    mask_maker: MaskMaker | None = None
    fuser: FrameFuser | None = None

    @abstractmethod
    def reset(self) -> None:
        """Forget everything; another video follows."""

    @abstractmethod
    def remember(self, picture: np.ndarray, object_map: np.ndarray, permanent: bool) -> None:
        """Take in a frame in which it is known where the objects are.

        The frame also becomes the latest one, from which the next :meth:`segment` goes on.

        Args:
            picture: the frame, uint8 RGB ``(H, W, 3)``.
            object_map: uint8 ``(H, W)``. An object that is known already but not in the map is not
                visible in the frame.
            permanent: never drop the frame, because the user gave its masks.
        """

    @abstractmethod
    def segment(self, picture: np.ndarray, objects: Sequence[int]) -> np.ndarray:
        """Find objects in the next frame in the direction of propagation.

        The engine itself remembers such frames from time to time, by its own result. A call of
        :meth:`remember` with the same picture may follow; the picture is encoded only once.

        Args:
            picture: the frame, uint8 RGB ``(H, W, 3)``.
            objects: numbers of the objects to find, all of which were in a remembered frame.

        Returns:
            probabilities float32 ``(K + 1, H, W)``, the background first and then the objects in
            the order of ``objects``; they sum to 1 in each pixel.
        """

    @abstractmethod
    def forget_frames(self) -> None:
        """Forget all frames that are not permanent, before another direction or range."""

    @abstractmethod
    def fingerprint(self) -> str:
        """Return a hash of weights and settings, independent of paths and the device."""

    def get_state(self) -> Mapping[str, Any] | None:
        """Return all that the engine knows about the video, so that a killed run can go on.

        Returns:
            a mapping of tensors, numbers, strings, and lists and mappings of these, which PyTorch
            saves and loads with ``weights_only=True``; it is saved before the next call. None if
            the engine cannot do this: a run then begins again at the masks that were given.
        """
        return None

    def set_state(self, state: Mapping[str, Any]) -> None:
        """Go back to what :meth:`get_state` returned, so that all that follows is the same.

        Args:
            state: from an engine with the same :meth:`fingerprint`.
        """
        raise NotImplementedError(f"{type(self).__name__} has no states")
