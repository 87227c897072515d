"""The sound of a video, copied into another while that is written."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av

_KEPT = {"aac", "mp3", "ac3", "eac3", "opus", "flac", "alac"}
"""Codecs that MP4 has a place for; others become AAC."""

_SAMPLES = 1024  # of a piece of AAC


class Sound:
    """Copies the sound of a file for a range of time, bit by bit as the video is written.

    Args:
        path: of the file with the sound; one without sound, or that is no video, has none to copy.
        target: PyAV's container that is being written, to which a stream is added.
        origin: time of the file that becomes 0 in the target.

    Attributes:
        notes: a sentence about sound that could not be copied.
    """

    def __init__(self, path: str | Path, target: Any, origin: Fraction) -> None:
        self.notes: list[str] = []
        self._path, self._target, self._origin = path, target, origin
        self._source: Any = None
        self._is_kept = True
        self._begin: Fraction | None = None
        self._pieces: Iterator[Any] = iter(())
        self._next: Any = None
        if Path(path).is_dir():
            return
        try:
            self._source = av.open(f"file:{path}", options={"protocol_whitelist": "file"})
            stream = self._source.streams.best("audio")
        except (av.FFmpegError, OSError, ValueError):
            return
        if stream is None or stream.codec_context is None:
            return
        self._is_kept = stream.codec_context.codec.canonical_name in _KEPT
        if self._is_kept:
            self._stream = target.add_stream_from_template(stream)
        else:
            layout = "mono" if stream.channels == 1 else "stereo"
            self._stream = target.add_stream("aac", rate=stream.rate, layout=layout)
            self._resampler = av.AudioResampler("fltp", layout, stream.rate, _SAMPLES)
        self._pieces = self._read(stream)

    def copy_until(self, time: Fraction) -> None:
        """Copy what begins before a time in seconds; the first call says where the range begins."""
        if self._begin is None:
            self._begin = time
        while True:
            if self._next is None:
                self._next = next(self._pieces, None)
            if self._next is None or self._next.pts * self._next.time_base >= time:
                return
            self._write(self._next)
            self._next = None

    def finish(self) -> None:
        """Write the sound that an encoder still holds back."""
        if self._source is not None and self._begin is not None and not self._is_kept:
            self._target.mux(self._stream.encode(None))

    def close(self) -> None:
        """Close the file."""
        if self._source is not None:
            self._source.close()

    def _read(self, stream: Any) -> Iterator[Any]:
        """Yield packets, or short decoded pieces where another codec is needed."""
        try:
            for packet in self._source.demux(stream):
                if self._is_kept and packet.size and packet.pts is not None:
                    yield packet
                elif not self._is_kept:
                    for frame in packet.decode():
                        yield from self._resampler.resample(frame)
        except av.FFmpegError:
            self.notes.append(f"{self._path} is damaged: a part of its sound cannot be read.")

    def _write(self, piece: Any) -> None:
        unit = piece.time_base
        length = piece.duration * unit if self._is_kept else Fraction(piece.samples, piece.rate)
        if piece.pts * unit + length < self._begin:  # one packet earlier, from which AAC starts
            return
        shift = round(self._origin / unit)
        piece.pts -= shift
        if self._is_kept:
            piece.dts = piece.pts
            piece.stream = self._stream
            self._target.mux(piece)
        else:
            self._target.mux(self._stream.encode(piece))
