"""Video files by PyAV: exact times, upright pictures, and what can be read of a damaged file.

The packets of a file are listed once, without decoding them. Their sorted time stamps are the
index of the video: place ``i`` is the frame with the ``i``-th time stamp, whether it can be decoded
or not. This is exact for variable rates and for frames that are stored in another order, and it
lets a frame be read from the keyframe before it.
"""

import os
import threading
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, NamedTuple

import av
import numpy as np
from av.video.reformatter import VideoReformatter

from vps_d2.io.errors import UserError
from vps_d2.io.video import FOLDER_RATE, MAX_PIXELS, VideoFrame, VideoSource, check_size

# Formats that name other files or addresses, or take any text for a picture.
_NOT_VIDEOS = {"hls", "concat", "dash", "sdp", "rtsp", "lavfi", "tty", "image2", "imf"}
_MAX_FAILURES = 100  # in a row, after which the rest of the file is given up
_OPTIONS = {"protocol_whitelist": "file", "max_pixels": str(MAX_PIXELS)}


class _Missed(Exception):  # noqa: N818 -- not an error of the file
    """A seek came out behind the keyframe that it was meant for."""


@dataclass(frozen=True)
class _Places:
    """Where the frames of a file are.

    Attributes:
        stamps: sorted time stamps of all frames; None if some frames have none.
        keys: sorted time stamps of the keyframes.
        count: number of frames.
    """

    stamps: array | None
    keys: array
    count: int

    def find(self, stamp: int | None) -> int | None:
        """Return the place of a time stamp, or None if no packet has it."""
        if self.stamps is None or stamp is None:
            return None
        place = bisect_left(self.stamps, stamp)
        return place if place < self.count and self.stamps[place] == stamp else None

    def key_before(self, place: int) -> int | None:
        """Return the time stamp of the last keyframe up to a place; None for the file's start."""
        if self.stamps is None or not 0 < place < self.count:
            return None
        number = bisect_right(self.keys, self.stamps[place])
        return self.keys[number - 1] if number > 1 else None


class _Search(NamedTuple):
    """A walk through the frames of a file.

    Attributes:
        walk: what :meth:`FileSource._walk` yields.
        begin: place of the keyframe that it begins with; None for the start of the file.
        place: of the last frame that it has yielded.
    """

    walk: Iterator[tuple[int, Any]]
    begin: int | None
    place: int = -1


class FileSource(VideoSource):
    """A video file.

    Args:
        path: of a regular file.

    Raises:
        UserError: if it has no video stream, or no frame of it can be decoded.
    """

    def __init__(self, path: Path) -> None:
        self._known: _Places | None = None
        self._last: _Search | None = None
        self._lock = threading.RLock()
        # One for all frames, as what it sets up for a size takes time; threads take turns.
        self._reformatter, self._turns = VideoReformatter(), threading.Lock()
        with _open(path) as (container, stream):
            rate = stream.average_rate or stream.guessed_rate or FOLDER_RATE
            cut = _count_cut(path, stream)
            first = next(_decode(container, stream, cut > 0), None)
            if first is None:
                raise UserError(
                    f"no frame of {path} can be read; the file is damaged, so fetch it again."
                )
            self._coded_size = {"width": first.width, "height": first.height}
            self._matrix = _display_matrix(first)
            height, width = _turn(np.empty((first.height, first.width)), self._matrix).shape
            super().__init__(path, height, width, Fraction(rate), Fraction(stream.time_base))
        self._cut = cut

    @property
    def num_frames(self) -> int:
        """Number of frames that the file holds, counted without decoding them."""
        return self._places().count

    def read(self, index: int) -> VideoFrame:
        """Read one frame, from the keyframe before it; see the base class."""
        places = self._places()
        if not 0 <= index < places.count:
            raise self._no_frame(index)
        with self._lock:
            key = places.key_before(index)
            found = None
            if self._last is not None and (places.find(key) or 0) <= self._last.place < index:
                found = self._search(index, self._last)
            if found is None:
                found = self._search(index, _Search(self._walk(key), places.find(key)))
            if found is None and key is not None:
                # What is damaged between the keyframe and here may look different when the decoder
                # has seen what came before; the frame is to be the one that frames() gives.
                found = self._search(index, _Search(self._walk(None), None))
        if found is None:
            self._lost.add(index)
            raise self._no_frame(index)
        return found

    def _search(self, index: int, search: _Search) -> VideoFrame | None:
        """Return a frame that comes later in a walk, or None if it or one before it is bad.

        A walk that finds it is kept for the next call, which often asks for the next frame.
        """
        self._last = None
        try:
            for place, frame in search.walk:
                begin = search.begin
                whole = begin is None or self._damaged.isdisjoint(range(begin, index + 1))
                if place == index and whole:
                    self._last = _Search(search.walk, begin, place)
                    return self._finish(place, frame)
                if place >= index or not whole:
                    return None
        except _Missed:
            pass
        return None

    def _frames(self, start: int, end: int | None, stride: int) -> Iterator[VideoFrame]:
        key = self._places().key_before(start)
        try:
            yield from self._pick(key, start, end, stride)
        except _Missed:
            yield from self._pick(None, start, end, stride)

    def _pick(
        self, key: int | None, start: int, end: int | None, stride: int
    ) -> Iterator[VideoFrame]:
        for place, frame in self._walk(key):
            if end is not None and place >= end:
                return
            if place >= start and not (place - start) % stride:
                yield self._finish(place, frame)

    def _places(self) -> _Places:
        with self._lock:
            if self._known is None:
                self._known = self._list_places()
            return self._known

    def _list_places(self) -> _Places:
        stamps, keys, count, is_timed = array("q"), array("q"), 0, True
        with _open(self.path) as (container, stream):
            for packet in _packets(container, stream, self._cut > 0):
                if packet.is_discard or not _is_shown(packet):
                    continue
                count += 1
                if packet.pts is None:
                    is_timed = False
                    continue
                stamps.append(packet.pts)
                if packet.is_keyframe:
                    keys.append(packet.pts)
        if not is_timed:
            return _Places(None, array("q"), count)
        stamps = array("q", sorted(set(stamps)))
        return _Places(stamps, array("q", sorted(set(keys))), len(stamps))

    def _walk(self, key: int | None) -> Iterator[tuple[int, Any]]:
        """Decode from a keyframe, or from the start, to the end.

        Yields:
            places in the video, in order, and decoded frames.

        Raises:
            _Missed: if the frame of the keyframe is not the first one.
        """
        places = self._places()
        begin = 0 if key is None else places.find(key) or 0
        expected = begin
        with _open(self.path) as (container, stream):
            if key is not None:
                try:
                    container.seek(key, stream=stream)
                except av.FFmpegError as error:
                    raise _Missed from error
            for frame in _decode(container, stream, self._cut > 0):
                place = expected if places.stamps is None else places.find(frame.pts)
                if place is None or place < expected:
                    continue
                if key is not None and expected == begin and place > begin:
                    raise _Missed
                self._lost.update(range(expected, place))
                if frame.is_corrupt:
                    self._damaged.add(place)
                expected = place + 1
                yield place, frame
        if key is not None and expected == begin:
            raise _Missed
        self._lost.update(range(expected, places.count))

    def _finish(self, place: int, frame: Any) -> VideoFrame:
        time = place / self.rate if frame.pts is None else frame.pts * self.time_base
        return VideoFrame(place, Fraction(time), self._to_picture(frame))

    def _to_picture(self, frame: Any) -> np.ndarray:
        # A frame whose size differs from the first one's is scaled, as players do.
        with self._turns:
            plain = self._reformatter.reformat(frame, format="rgb24", **self._coded_size)
        return np.ascontiguousarray(_turn(plain.to_ndarray(), self._matrix))


@contextmanager
def _open(path: Path) -> Iterator[tuple[Any, Any]]:
    """Open a file and its best video stream.

    Raises:
        UserError: if that is not possible, or the frames are too large.
    """
    try:
        container = av.open(f"file:{path}", options=_OPTIONS)
    except (av.FFmpegError, OSError, ValueError) as error:
        raise UserError(
            f"{path} is not a video, or is damaged at its start ({_reason(error)}); give the path "
            f"of a video."
        ) from error
    with container:
        if _NOT_VIDEOS & set(container.format.name.split(",")):
            raise UserError(f"{path} is a list or a text, not a video; give the path of a video.")
        stream: Any = container.streams.best("video")
        if stream is None or "attached_pic" in str(stream.disposition).lower():
            raise UserError(f"{path} has no video stream; give the path of a video.")
        if stream.codec_context is None:
            raise UserError(f"{path} has a codec that FFmpeg cannot decode; convert the file.")
        check_size(path, stream.codec_context.height, stream.codec_context.width)
        stream.codec_context.options = {"max_pixels": str(MAX_PIXELS)}
        yield container, stream


def _reason(error: Exception) -> str:
    words = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return words[:1].lower() + words[1:]


def _count_cut(path: Path, stream: Any) -> int:
    """Return how many frames the index of a file promises behind the file's end."""
    size = os.path.getsize(path)
    return sum(entry.pos + entry.size > size for entry in stream.index_entries)


def _packets(container: Any, stream: Any, is_cut: bool) -> Iterator[Any]:
    """Yield the packets of the video, past what cannot be read between them."""
    failures = 0
    while failures < _MAX_FAILURES:
        try:
            for packet in container.demux(stream):
                failures = 0
                # The end of a file that was cut off holds a part of a frame.
                if packet.size and not (is_cut and packet.is_corrupt):
                    yield packet
            return
        except av.FFmpegError:
            failures += 1


def _decode(container: Any, stream: Any, is_cut: bool) -> Iterator[Any]:
    """Yield the frames that can be decoded, in the order of their times."""
    for packet in _packets(container, stream, is_cut):
        # A damaged packet costs its own frame, or makes others look wrong, and nothing more.
        try:
            frames = packet.decode()
        except av.FFmpegError:
            continue
        yield from frames
    try:
        frames = stream.decode(None)  # those that the decoder still holds back
    except av.FFmpegError:
        return
    yield from frames


def _is_shown(packet: Any) -> bool:
    """Return whether a packet holds a frame to show; VP8 also has hidden reference frames."""
    if packet.stream.codec_context.name not in ("vp8", "libvpx"):
        return True
    return bool(memoryview(packet)[0] & 0x10)


def _display_matrix(frame: Any) -> np.ndarray:
    """Return the part of a frame's display matrix that turns and mirrors, int32 ``(2, 2)``."""
    for number in range(len(frame.side_data)):
        side_data = frame.side_data[number]
        if side_data.type.name == "DISPLAYMATRIX":
            return np.frombuffer(bytes(side_data), np.int32)[:9].reshape(3, 3)[:2, :2].copy()
    return np.eye(2, dtype=np.int32)


def _turn(picture: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Turn a picture ``(H, W, ...)`` upright, by the nearest multiple of 90 degrees.

    The matrix maps a row vector (x, y) of the stored picture to that of the shown one.
    """
    (a, b), (c, d) = matrix.tolist()
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return picture.swapaxes(0, 1)[:: -1 if b < 0 else 1, :: -1 if c < 0 else 1]
