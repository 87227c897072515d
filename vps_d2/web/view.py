"""What the page is told of a session, without HTTP.

What only looks takes no lock, so it never waits for a network.
"""

import threading
from collections.abc import Callable
from typing import Any, TypeVar

import cv2
import numpy as np

from vps_d2.data.object_maps import OBJECT_PALETTE
from vps_d2.inference.vos.session import VOSSession
from vps_d2.inference.vos.timeline import Timeline
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import encode_palette_png
from vps_d2.web.frames import CachedSource, FrameStore, scale_to_rows
from vps_d2.web.jobs import Jobs
from vps_d2.web.transfer import Exports

__all__ = ["MissingError", "PageView"]

_FIRST_MASK_ROWS = 16

Value = TypeVar("Value")


class MissingError(UserError):
    """What was asked for does not exist."""


class PageView:
    """A session as the page shows it.

    Args:
        session: opened with a :class:`~vps_d2.web.frames.CachedSource`.

    Attributes:
        revision: number of changes so far; each frame that is found is one.
        frames: of the video, for the page.
        shown: set when the first frame has been asked for and made.
    """

    def __init__(self, session: VOSSession) -> None:
        assert isinstance(session.source, CachedSource)
        self.session = session
        self.revision, self.shown = 0, threading.Event()
        self.frames = FrameStore(session.source)
        self.timeline = Timeline(session.maps)
        self.exports = Exports(session.folder)
        self._jobs = Jobs(self._bump)
        self._listeners: list[Callable[[], None]] = []
        self._counting = threading.Lock()

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call a function after each change, from the thread that made it.

        Returns:
            a function that ends this.
        """
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def state(self) -> dict[str, Any]:
        """Return all but the frames and what is known of them, as the page is told."""
        session, source, job = self.session, self.session.source, self._jobs.last
        unfinished = None if self._jobs.running else session.unfinished
        keys = ("direction", "start", "end")
        return {
            "video": {
                "name": source.name,
                "width": source.width,
                "height": source.height,
                "rate": float(source.rate),
                "num_frames": source.num_frames,
                "losses": source.losses,
            },
            "engine": _describe(session.engine),
            "prompts": _describe(session.mask_maker),
            "objects": [
                {"number": number, "name": name, "color": _color(number)}
                for number, name in session.objects.items()
            ],
            "can_undo": session.can_undo,
            "can_redo": session.can_redo,
            "job": None if job is None else job.to_json(),
            "unfinished": unfinished and {key: unfinished[key] for key in keys},
            "revision": self.revision,
            "exports": self.exports.list(source.name),
        }

    def rows(self) -> dict[str, Any]:
        """Return the timeline, as the page is told."""
        rows = self.timeline.rows()
        count = self.session.source.num_frames
        if count is None:
            last = [run[1] for row in rows.values() for run in row["runs"]]
            count = max([*last, *(k + 1 for row in rows.values() for k in row["touched"])] or [0])
        return {"frames": count, "objects": {str(number): row for number, row in rows.items()}}

    def frame(self, index: int, rows: int | None = None) -> bytes:
        """Return a frame as a JPEG; see :meth:`vps_d2.web.frames.FrameStore.jpeg`.

        Raises:
            MissingError: if there is no such frame, or it cannot be read.
        """
        try:
            return self.frames.jpeg(index, rows)
        except UserError as error:
            raise MissingError(str(error)) from error
        finally:
            self.shown.set()

    def mask(self, index: int, rows: int | None = None) -> bytes | None:
        """Return what is known of a frame as a PNG in the colors of the objects.

        Args:
            index: of the frame.
            rows: height of the PNG; None for that of the video, which it never exceeds.

        Returns:
            a PNG that is transparent where no object is; None if nothing is known.
        """
        self._check_frame(index)
        object_map = self._look(lambda: self.session.object_map(index))
        if object_map is None:
            return None
        rows = max(rows or len(object_map), _FIRST_MASK_ROWS)
        object_map = scale_to_rows(object_map, rows, cv2.INTER_NEAREST)
        return encode_palette_png(object_map, OBJECT_PALETTE, transparent=0)

    def strokes(self, index: int) -> dict[str, list[dict[str, Any]]]:
        """Return the strokes in a frame, by the numbers of their objects."""
        self._check_frame(index)
        drawn = {number: self.session.strokes(index, number) for number in self.session.objects}
        return {
            str(number): [stroke.to_json() for stroke in strokes]
            for number, strokes in drawn.items()
            if strokes
        }

    def _bump(self) -> None:
        with self._counting:
            self.revision += 1
        for listener in list(self._listeners):
            listener()

    def _look(self, read: Callable[[], Value]) -> Value:
        """Read something that may be changed meanwhile, and then is read once more."""
        revision = self.revision
        try:
            return read()
        except UserError:
            if revision == self.revision:
                raise
            return read()

    def _check_frame(self, index: int) -> None:
        count = self.session.source.num_frames
        if index < 0 or (count is not None and index >= count):
            raise MissingError(f"the video has no frame {index}; choose another one.")


def _describe(part: Any) -> dict[str, str] | None:
    if part is None:
        return None
    return {"source": part.source, "license_note": part.license_note}


def _color(number: int) -> str:
    return "#" + bytes(np.asarray(OBJECT_PALETTE[number])).hex()
