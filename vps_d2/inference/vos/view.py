"""What is known in a session: everything here only reads."""

import threading
from pathlib import Path

import numpy as np

from vps_d2.data.strokes import Stroke
from vps_d2.inference.vos.log import Action
from vps_d2.inference.vos.maps import Scores, SessionMaps
from vps_d2.inference.vos.runner import PropagationRunner
from vps_d2.inference.vos.store import SessionStore
from vps_d2.io.video import VideoSource


class SessionView:
    """The objects of a session, what is known of each frame, and what was done last.

    Args:
        source: the video.
        folder: of the session.

    Attributes:
        size: height and width of the video.
        lock: to be held by whoever uses the session while other threads may. A propagation, which
            may be driven by another thread, holds it for a frame at a time.
    """

    def __init__(self, source: VideoSource, folder: Path) -> None:
        self.source, self.folder = source, folder
        self.size = (source.height, source.width)
        self.lock = threading.RLock()
        self._store = SessionStore(source, folder)
        self._runner = PropagationRunner(source, self._store, self.lock)

    @property
    def maps(self) -> SessionMaps:
        """The object maps on the disk, and what of them holds; only to be read."""
        return self._store.maps

    @property
    def objects(self) -> dict[int, str]:
        """The class names of the objects, by number."""
        return dict(sorted(self._store.maps.state.objects.items()))

    @property
    def given(self) -> dict[int, list[int]]:
        """The numbers of the objects that the user gave in each frame, by its index."""
        return {k: sorted(v) for k, v in sorted(self._store.maps.state.given.items())}

    @property
    def known_frames(self) -> list[int]:
        """The indices of the frames of which anything is known, in ascending order."""
        return self._store.maps.known_frames()

    def object_map(self, frame_index: int) -> np.ndarray | None:
        """Return what is known of a frame, uint8 ``(H, W)``; None if nothing is known yet."""
        known = self._store.maps.read(frame_index)
        return None if known is None else known[0]

    def scores(self, frame_index: int) -> Scores:
        """Return how certain the objects of a frame are, 0-1, by number; 1 for what was given."""
        known = self._store.maps.read(frame_index)
        return {} if known is None else known[1]

    def strokes(self, frame_index: int, number: int) -> list[Stroke]:
        """Return the strokes that made the mask of an object in a frame, the newest last."""
        drawn = self._store.maps.state.strokes.get(frame_index, {}).get(number, ())
        return [Stroke.from_json(each) for each in drawn]

    def is_finished(self, frame_index: int) -> bool:
        """Return whether a propagation that still holds came to a frame."""
        return self._store.maps.find_pass(frame_index) is not None

    @property
    def unfinished(self) -> Action | None:
        """The last action, if it is a propagation that did not come to its end; None otherwise."""
        return self._runner.unfinished

    def is_done(self, action: int) -> bool:
        """Return whether a propagation, by the number of its action, came to its end."""
        return self._runner.is_done(action)

    @property
    def is_propagated(self) -> bool:
        """Whether the last action is a propagation that came to its end."""
        done = self._store.done()
        return bool(done) and done[-1]["do"] == "propagate" and self.unfinished is None

    @property
    def can_undo(self) -> bool:
        """Whether there is an action to undo."""
        return bool(self._store.done())

    @property
    def can_redo(self) -> bool:
        """Whether there is an action to redo."""
        return bool(self._store.undone())
