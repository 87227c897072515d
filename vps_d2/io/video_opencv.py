"""Video files by OpenCV, where PyAV cannot be imported."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import cv2

from vps_d2.io.errors import UserError
from vps_d2.io.video import VideoFrame, VideoSource, check_size

_MICROSECOND = Fraction(1, 1_000_000)


class OpenCVSource(VideoSource):
    """A video file as OpenCV reads it: times in microseconds, and no count of its frames.

    Args:
        path: of the file.

    Raises:
        UserError: if OpenCV finds no frame in it.
    """

    def __init__(self, path: Path) -> None:
        with _capture(path) as video:
            height = int(video.get(cv2.CAP_PROP_FRAME_HEIGHT))
            width = int(video.get(cv2.CAP_PROP_FRAME_WIDTH))
            fps = video.get(cv2.CAP_PROP_FPS)
            if video.isOpened() and height > 0 and width > 0:
                check_size(path, height, width)
            # It opens videos of a codec that it lacks, such as AV1, as if they had no frames.
            was_read, picture = video.read() if video.isOpened() else (False, None)
        if not was_read or picture is None:
            raise UserError(
                f"{path} is not a video, or has a codec that OpenCV lacks; install PyAV (pip "
                f"install av), which reads more of them, or convert the file."
            )
        rate = Fraction(fps).limit_denominator(1001) if 0 < fps < 10_000 else Fraction(25)
        super().__init__(path, picture.shape[0], picture.shape[1], rate, _MICROSECOND)

    @property
    def num_frames(self) -> None:
        """None: OpenCV estimates the number from the length of the file."""

    def read(self, index: int) -> VideoFrame:
        """Read one frame, by decoding all before it; see the base class."""
        if index >= 0:
            for frame in self._frames(index, index + 1, 1):
                return frame
        raise self._no_frame(index)

    def _frames(self, start: int, end: int | None, stride: int) -> Iterator[VideoFrame]:
        with _capture(self.path) as video:
            index = 0
            while (end is None or index < end) and video.grab():
                time = round(video.get(cv2.CAP_PROP_POS_MSEC) * 1000) * _MICROSECOND
                if index >= start and not (index - start) % stride:
                    was_read, picture = video.retrieve()
                    if was_read and picture.shape[:2] == (self.height, self.width):
                        yield VideoFrame(index, time, cv2.cvtColor(picture, cv2.COLOR_BGR2RGB))
                    else:
                        self._lost.add(index)
                index += 1


@contextmanager
def _capture(path: Path) -> Iterator[cv2.VideoCapture]:
    video = cv2.VideoCapture(str(path.absolute()), cv2.CAP_FFMPEG)
    try:
        yield video
    finally:
        video.release()
