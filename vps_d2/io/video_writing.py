"""Videos out, a frame at a time: H.264 to look at, and FFV1 that keeps each value of a mask.

The files appear when they are complete, or not at all, and the same frames always give the same
bytes::

    with VideoWriter("overlay.mp4", height, width, source.rate, sound_from=source.path) as writer:
        for frame in source.frames():
            writer.write(frame.picture, frame.time)
"""

import errno
import math
import os
from contextlib import AbstractContextManager, ExitStack, suppress
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from vps_d2.io.errors import UserError
from vps_d2.io.files import write_errors, write_whole

_MAX_UNITS = 2**31 - 1  # per second; the largest time base that MP4 has room for
_BT601, _LIMITED, _FULL = 6, 1, 2  # FFmpeg's numbers of color spaces and ranges
_BT601_MATRIX = 5  # its number of the conversion
_THREADS = 4  # fixed, as x264 and FFV1 give other bytes for another number


class _Writer(AbstractContextManager):
    """What the two writers share: one video stream in a file that is whole or absent.

    Attributes:
        notes: sentences about what the file has that the frames have not, or the other way round.
    """

    _format: str
    _codec: str
    _options: dict[str, str]

    def __init__(
        self,
        path: str | Path,
        height: int,
        width: int,
        rate: Fraction,
        time_base: Fraction | None = None,
        origin: Fraction = Fraction(0),
    ) -> None:
        self.path, self.height, self.width = Path(path), height, width
        self.notes: list[str] = []
        self._rate = Fraction(rate)
        if self._rate <= 0:
            raise ValueError(f"the rate is {rate}, but must be positive")
        self._time_base = time_base or _default_time_base(self._rate)
        self._origin = Fraction(origin)
        self._last: int | None = None
        self._stack = ExitStack()
        self._container: Any = None
        self._stream: Any = None

    def __enter__(self) -> Any:
        av = _import_av()
        with write_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
        with ExitStack() as stack:
            file = stack.enter_context(write_whole(self.path, self._inputs()))
            with _system_errors():
                # MP4 would otherwise keep the time of the first frame in milliseconds.
                options = {"movie_timescale": str(self._time_base.denominator)}
                self._container = av.open(
                    file.name,
                    "w",
                    format=self._format,
                    options={
                        "fflags": "+bitexact",  # no random identifiers
                        **(options if self._format == "mp4" else {}),
                    },
                )
                stack.callback(self._discard)
                self._prepare(stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._stack.__exit__(kind, error, trace)
            return
        with self._stack:
            if self._last is None:
                raise UserError(f"{self.path} would have no frames; write at least one.")
            with _system_errors():
                self._mux(self._stream.encode(None))
                self._finish()
                self._container.close()

    def _discard(self) -> None:
        """Close the container; what goes wrong then was either raised before, or is of no use."""
        with suppress(Exception):
            self._container.close()

    def _inputs(self) -> list[Path]:
        return []

    def _prepare(self, stack: ExitStack) -> None:
        """Add the streams; the stack closes what is opened for them."""

    def _finish(self) -> None:
        """Write what is left of the streams beside that of the frames."""

    def _add_stream(self, height: int, width: int, pixels: str, color_range: int) -> None:
        self._stream = self._container.add_stream(self._codec, rate=self._rate)
        self._stream.height, self._stream.width = height, width
        self._stream.pix_fmt = pixels
        self._stream.time_base = self._time_base
        context: Any = self._stream.codec_context
        context.time_base = self._time_base
        context.thread_count = _THREADS
        context.color_range, context.options = color_range, self._options

    def _encode(self, frame: Any, time: Fraction) -> None:
        units = round((time - self._origin) / self._time_base)
        if self._last is not None and units <= self._last:
            raise ValueError(f"the time {float(time):.6f} s is not after that of the frame before")
        frame.pts, frame.time_base, self._last = units, self._time_base, units
        with _system_errors():
            self._mux(self._stream.encode(frame))

    def _mux(self, packets: Any) -> None:
        for packet in packets:
            if not packet.duration:  # of the last frame, in particular
                packet.duration = max(1, round(1 / self._rate / packet.time_base))
            self._container.mux(packet)


class VideoWriter(_Writer):
    """Writes frames as H.264 in yuv420p in an MP4 file, which every player supports.

    Args:
        path: of the file; its folder is made.
        height: of the frames in pixels. An odd size is padded by a pixel at the bottom or the
            right, as the format needs even ones, and :attr:`notes` says so.
        width: likewise.
        rate: frames per second, for the length of the last frame and the default of ``time_base``.
        sound_from: a file whose sound is copied for the time from the first frame that is written
            to the end of the last one; AAC is made of what MP4 has no place for.
        time_base: unit of the time stamps in seconds, such as ``source.time_base``. By default, it
            suits times that are multiples of the rate's or of a 90,000th of a second.
        origin: time of the frames that becomes 0 in the file.

    Raises:
        UserError: if the file cannot be written, or no frame is.
    """

    _format, _codec = "mp4", "libx264"
    # With its macroblock tree, x264 now and then gives other bytes for the same frames.
    _options = {"crf": "20", "preset": "veryfast", "x264-params": "mbtree=0"}  # noqa: RUF012

    def __init__(
        self,
        path: str | Path,
        height: int,
        width: int,
        rate: Fraction,
        sound_from: str | Path | None = None,
        time_base: Fraction | None = None,
        origin: Fraction = Fraction(0),
    ) -> None:
        super().__init__(path, height, width, rate, time_base, origin)
        self._sound_from = sound_from
        self._sound: Any = None
        self._padding = (height % 2, width % 2)
        if any(self._padding):
            self.notes.append(
                f"{path} has {width + width % 2} x {height + height % 2} pixels, not {width} x "
                f"{height}, because H.264 needs even sizes."
            )

    def write(self, picture: np.ndarray, time: Fraction) -> None:
        """Write a frame.

        Args:
            picture: uint8 ``(H, W, 3)`` RGB.
            time: in seconds, later than that of the frame before.

        Raises:
            UserError: if the file cannot be written.
        """
        from av import VideoFrame

        _check(picture, (self.height, self.width, 3))
        below, right = self._padding
        padded = np.pad(picture, ((0, below), (0, right), (0, 0)), mode="edge")
        rgb = VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgb24")
        frame = self._reformatter.reformat(
            rgb,
            format="yuv420p",
            dst_colorspace=_BT601_MATRIX,
            dst_color_range=_LIMITED,
            interpolation="AREA",
        )
        if self._sound is not None:
            with _system_errors():
                self._sound.copy_until(time)
        self._encode(frame, time)
        self._end = time + 1 / self._rate

    def _inputs(self) -> list[Path]:
        return [] if self._sound_from is None else [Path(self._sound_from)]

    def _prepare(self, stack: ExitStack) -> None:
        from av.video.reformatter import VideoReformatter

        # One for all frames, as what it sets up for a size takes longer than a small frame.
        self._reformatter = VideoReformatter()
        below, right = self._padding
        self._add_stream(self.height + below, self.width + right, "yuv420p", _LIMITED)
        self._stream.codec_context.colorspace = _BT601
        if self._sound_from is not None:
            from vps_d2.io.video_sound import Sound

            self._sound = Sound(self._sound_from, self._container, self._origin)
            stack.callback(self._sound.close)

    def _finish(self) -> None:
        if self._sound is not None:
            self._sound.copy_until(self._end)
            self._sound.finish()
            self.notes += self._sound.notes


class MaskWriter(_Writer):
    """Writes masks or pictures as FFV1 in a Matroska file, which keeps every value.

    :func:`vps_d2.io.video.open_video` reads them back; the values of a mask are then in each of the
    three channels. Matroska keeps times to the millisecond.

    Args:
        path: of the file; its folder is made. Its name usually ends in .mkv.
        height: of the frames in pixels.
        width: likewise.
        rate: frames per second, for the length of the last frame.
        origin: time of the frames that becomes 0 in the file.

    Raises:
        UserError: if a side is less than 2, the file cannot be written, or no frame is.
    """

    _format, _codec = "matroska", "ffv1"
    _options = {"level": "3", "slices": "4", "slicecrc": "1"}  # noqa: RUF012

    def __init__(
        self,
        path: str | Path,
        height: int,
        width: int,
        rate: Fraction,
        origin: Fraction = Fraction(0),
    ) -> None:
        if min(height, width) < 2:
            raise UserError(
                f"{path} cannot have {width} x {height} pixels; FFV1 needs two in each direction."
            )
        super().__init__(path, height, width, rate, Fraction(1, 1000), origin)
        self._shape: tuple[int, ...] = ()

    def write(self, mask: np.ndarray, time: Fraction) -> None:
        """Write a frame.

        Args:
            mask: uint8 ``(H, W)`` or, as a picture, ``(H, W, 3)`` RGB; of one kind in a file.
            time: in seconds, later than that of the frame before.

        Raises:
            UserError: if the file cannot be written.
        """
        from av import VideoFrame

        channels = mask.shape[2:]
        if self._stream is None:
            self._shape = (self.height, self.width, *((3,) if channels else ()))
            self._add_stream(self.height, self.width, "bgr0" if channels else "gray", _FULL)
        _check(mask, self._shape)
        frame: Any
        if channels:
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="rgb24")
            frame = frame.reformat(format="bgr0")
        else:
            frame = VideoFrame.from_ndarray(np.ascontiguousarray(mask), format="gray")
            frame.color_range = _FULL
        self._encode(frame, time)


def _import_av() -> Any:
    try:
        import av
    except ImportError as error:
        raise UserError("PyAV writes videos, and is missing; install it (pip install av).") from (
            error
        )
    return av


def _default_time_base(rate: Fraction) -> Fraction:
    units = math.lcm(rate.numerator, 90_000)
    if units > _MAX_UNITS:
        units = rate.numerator if 1000 < rate.numerator <= _MAX_UNITS else 90_000
    return Fraction(1, units)


def _check(picture: np.ndarray, shape: tuple[int, ...]) -> None:
    if picture.shape != shape or picture.dtype != np.uint8:
        raise ValueError(f"a frame is {picture.dtype} {picture.shape}, not uint8 {shape}")


class _system_errors(AbstractContextManager):  # noqa: N801 -- used like a function
    """Turns errors of FFmpeg into those of the system, which :func:`write_whole` explains."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        from av import FFmpegError

        if isinstance(error, FFmpegError):
            code = error.errno or 0
            if code in errno.errorcode:
                raise OSError(code, os.strerror(code)) from error
            raise OSError(errno.EIO, f"FFmpeg: {error.strerror}") from error
