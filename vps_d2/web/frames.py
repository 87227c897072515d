"""Frames for the page: read ahead in a thread, and kept in memory up to a bound.

Pictures are uint8 RGB ``(H, W, 3)``. What goes to the page are JPEGs of them, which may have fewer
rows than the video.
"""

import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from contextlib import contextmanager, suppress
from typing import Generic, TypeVar

import cv2
import numpy as np

from vps_d2.io.errors import UserError
from vps_d2.io.video import VideoFrame, VideoSource

__all__ = ["ByteCache", "CachedSource", "FrameStore", "scale_to_rows"]

_PICTURE_BYTES = 2**27
_JPEG_BYTES = 2**27
_AHEAD = 48  # frames
_BACKWARD = 16  # frames that are read forward at a time when the user goes backward
_QUALITY = 90
_MIN_ROWS = 16

Value = TypeVar("Value")


class ByteCache(Generic[Value]):
    """Keeps the values that were used last; threads may share it.

    Args:
        max_bytes: of all values together. The value that was put last is always kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._values: OrderedDict[Hashable, tuple[Value, int]] = OrderedDict()
        self._lock = threading.Lock()

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def get(self, key: Hashable) -> Value | None:
        """Return a value, None if it is not there."""
        with self._lock:
            if key not in self._values:
                return None
            self._values.move_to_end(key)
            return self._values[key][0]

    def put(self, key: Hashable, value: Value, num_bytes: int) -> None:
        """Keep a value, and drop those that were used longest ago."""
        with self._lock:
            _, before = self._values.pop(key, (None, 0))
            self._values[key] = (value, num_bytes)
            self.num_bytes += num_bytes - before
            while self.num_bytes > self.max_bytes and len(self._values) > 1:
                self.num_bytes -= self._values.popitem(last=False)[1][1]


class CachedSource(VideoSource):
    """A video that keeps the frames which were read last.

    Args:
        source: the video.
        max_bytes: of the pictures in memory.
    """

    def __init__(self, source: VideoSource, max_bytes: int = _PICTURE_BYTES) -> None:
        super().__init__(source.path, source.height, source.width, source.rate, source.time_base)
        self._source = source
        self._cache: ByteCache[VideoFrame] = ByteCache(max_bytes)

    @property
    def num_frames(self) -> int | None:
        """Number of frames; see the base class."""
        return self._source.num_frames

    @property
    def losses(self) -> str:
        """One sentence about the frames that could not be read so far."""
        with suppress(RuntimeError):  # another thread is adding one
            return self._source.losses
        return ""

    def picture_name(self, index: int) -> str:
        """Return the name of the picture of a frame."""
        return self._source.picture_name(index)

    def read(self, index: int) -> VideoFrame:
        """Read one frame, or take it from memory; nobody may change its picture."""
        frame = self._cache.get(index)
        if frame is None:
            frame = self._source.read(index)
            self.keep(frame)
        return frame

    def keep(self, frame: VideoFrame) -> None:
        """Keep a frame in memory."""
        self._cache.put(frame.index, frame, frame.picture.nbytes)

    def is_kept(self, index: int) -> bool:
        """Return whether a frame is in memory."""
        return index in self._cache

    def _frames(self, start: int, end: int | None, stride: int) -> Iterator[VideoFrame]:
        return self._source._frames(start, end, stride)


class FrameStore:
    """Frames as JPEGs; those that are likely to be wanted next are made in a thread.

    Args:
        source: the video.
        max_bytes: of the JPEGs in memory.
        ahead: number of frames to make in the direction in which the user goes.
    """

    def __init__(
        self, source: CachedSource, max_bytes: int = _JPEG_BYTES, ahead: int = _AHEAD
    ) -> None:
        self.source, self.ahead = source, ahead
        self._jpegs: ByteCache[bytes] = ByteCache(max_bytes)
        self._largest = 1
        self._unreadable: set[int] = set()
        self._wanted = threading.Condition()
        self._target, self._step, self._rows = 0, 1, source.height
        self._paused, self._stopped = 0, False
        self._thread = threading.Thread(target=self._run, name="frames ahead", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop reading ahead."""
        with self._wanted:
            self._stopped = True
            self._wanted.notify_all()
        self._thread.join(timeout=5)

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Read nothing ahead while the user waits for something else."""
        with self._wanted:
            self._paused += 1
        try:
            yield
        finally:
            with self._wanted:
                self._paused -= 1
                self._wanted.notify_all()

    def jpeg(self, index: int, rows: int | None = None) -> bytes:
        """Return a frame.

        Args:
            index: of the frame.
            rows: height of the JPEG; None for that of the video, which it never exceeds.

        Raises:
            UserError: if there is no such frame, or it cannot be read.
        """
        rows = min(max(rows or self.source.height, _MIN_ROWS), self.source.height)
        data = self._jpegs.get((index, rows))
        if data is None:
            data = self._encode(self.source.read(index), rows)
        self._aim(index, rows)
        return data

    def is_kept(self, index: int, rows: int) -> bool:
        """Return whether the JPEG of a frame is in memory."""
        return (index, rows) in self._jpegs

    def _encode(self, frame: VideoFrame, rows: int) -> bytes:
        picture = scale_to_rows(frame.picture, rows, cv2.INTER_AREA)
        options = [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
        data = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), options)[1].tobytes()
        self._largest = max(self._largest, len(data))
        self._jpegs.put((frame.index, rows), data, len(data))
        return data

    def _aim(self, index: int, rows: int) -> None:
        with self._wanted:
            if index != self._target:
                self._step = 1 if index > self._target else -1
            self._target, self._rows = index, rows
            self._wanted.notify_all()

    def _plan(self) -> tuple[int, int, int] | None:
        """Return the next range of frames to read and their rows; None if all are there."""
        target, step, rows = self._target, self._step, self._rows
        if not self.source.is_kept(target) and target not in self._unreadable:
            return target, target + 1, rows  # the frame that the user looks at, to click on
        ahead = min(self.ahead, self._jpegs.max_bytes // (2 * self._largest))
        count = self.source.num_frames
        for index in range(target + step, target + step * (ahead + 1), step):
            if index < 0 or (count is not None and index >= count):
                return None
            if not self.is_kept(index, rows) and index not in self._unreadable:
                low = max(index - _BACKWARD + 1, target - ahead, 0) if step < 0 else index
                return low, index + 1, rows
        return None

    def _run(self) -> None:
        walk: Iterator[VideoFrame] = iter(())
        place = -2  # of the frame that the walk yields next; none at first
        while (plan := self._wait()) is not None:
            start, end, rows = plan
            # The next frame of a walk costs less than to search for one.
            if not place <= start <= place + 1:
                _close(walk)
                walk, place = self.source.frames(start), start
            while place < end:
                frame = next(walk, None)
                reached = end if frame is None else frame.index
                if frame is not None:
                    self.source.keep(frame)
                    self._encode(frame, rows)
                self._unreadable.update(range(max(place, start), reached))
                place = reached + 1
        _close(walk)

    def _wait(self) -> tuple[int, int, int] | None:
        """Wait for frames to read; return None when the store is closed."""
        with self._wanted:
            while not self._stopped:
                if not self._paused:
                    with suppress(UserError):
                        plan = self._plan()
                        if plan is not None:
                            return plan
                self._wanted.wait()
        return None


def scale_to_rows(picture: np.ndarray, rows: int, interpolation: int) -> np.ndarray:
    """Return a picture or a map with fewer rows, and the columns that belong to them.

    Args:
        picture: uint8 ``(H, W)`` or ``(H, W, 3)``.
        rows: 1 or more; a picture that has no more than this is returned as it is.
        interpolation: of OpenCV.
    """
    height, width = picture.shape[:2]
    if rows >= height:
        return picture
    size = (max(round(width * rows / height), 1), rows)
    return cv2.resize(picture, size, interpolation=interpolation)


def _close(walk: Iterator[VideoFrame]) -> None:
    close = getattr(walk, "close", None)
    if close is not None:
        close()
