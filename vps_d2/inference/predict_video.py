"""Predict what a video file, or a folder of pictures, will show next.

Frames are taken at a rate, in windows as long as the pipeline's input. From each window the
pipeline predicts later frames and a mask; they become a film beside the input, at the times that
the frames would have. Memory does not grow with the length of the video.
"""

import os
import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from vps_d2.data.video import MIN_SIZE
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output
from vps_d2.io.pictures import write_palette_png
from vps_d2.io.tars import is_tar
from vps_d2.io.video import VideoSource, is_picture, open_video
from vps_d2.io.video_writing import VideoWriter
from vps_d2.visualization.drawing import caption, enlarge, overlay_mask, strip

ENDING = ".prediction.mp4"
"""What the name of a film ends in by default."""


@dataclass(frozen=True)
class PredictedFrame:
    """A predicted frame.

    Attributes:
        time: at which it would be in the video, in seconds.
        picture: uint8 ``(H, W, 3)``, of the size of the video.
        mask: uint8 class map ``(H, W)``.
        caption: how far ahead it is.
    """

    time: Fraction
    picture: np.ndarray
    mask: np.ndarray
    caption: str


def is_video(path: Path) -> bool:
    """Return whether a path is one video, rather than a folder of ``video_<n>`` folders."""
    if not path.is_dir():
        return os.path.lexists(path) and not is_tar(path)
    names = os.listdir(path)
    return any(map(is_picture, names)) and not any(re.fullmatch(r"video_\d+", n) for n in names)


def default_output(path: Path) -> Path:
    """Return the path of the film for a video: beside it, with its name and :data:`ENDING`."""
    path = path.absolute()
    return path.with_name((path.name if path.is_dir() else path.stem) + ENDING)


def sample_frames(
    source: VideoSource, rate: Fraction | None
) -> Iterator[tuple[Fraction, np.ndarray]]:
    """Yield frames of a video at a constant rate: at each time the last frame until then.

    Args:
        source: the video.
        rate: frames per second; None for the frames that there are, at their own times.

    Yields:
        times in seconds, and frames uint8 ``(H, W, 3)``.
    """
    due, last = Fraction(0), None
    for frame in source.frames():
        if rate is None:
            yield frame.time, frame.picture
            continue
        if last is None:
            due = frame.time
        while last is not None and due < frame.time:
            yield due, last
            due += 1 / rate
        last, end = frame.picture, frame.time
    while rate is not None and last is not None and due <= end:
        yield due, last
        due += 1 / rate


class VideoPredictor:
    """Predicts a video's next frames and their masks.

    Args:
        pipeline: what predicts.
        rate: frames per second that the pipeline sees and predicts; None for those of the video.
        every: predict after each so many frames, as soon as there are enough; None to predict once,
            from the last ones.
        short_side: pixels of the shorter side of the frames that the models see; predictions are
            scaled back. None for frames as they are.
    """

    def __init__(
        self,
        pipeline: FutureMaskPredictor,
        *,
        rate: Fraction | None = None,
        every: int | None = None,
        short_side: int | None = None,
    ) -> None:
        self.pipeline = pipeline
        self.rate, self.every, self.short_side = rate, every, short_side

    def __call__(self, source: VideoSource) -> Iterator[PredictedFrame]:
        """Predict a video.

        Args:
            source: the video.

        Yields:
            predicted frames, in the order of their times. Where windows overlap, a time is
            predicted from the last window before it.

        Raises:
            UserError: if the video has too few frames, or too small ones.
        """
        height, width = self.model_size(source)
        step = 1 / (self.rate or source.rate)
        pending: Iterator[PredictedFrame] = iter(())
        for time, window in self._windows(source):
            yield from (frame for frame in pending if frame.time <= time)
            frames = np.stack([_scale(f, height, width, cv2.INTER_AREA) for f in window])
            pending = iter(self._predict(frames, time, step, source))
        yield from pending

    def model_size(self, source: VideoSource) -> tuple[int, int]:
        """Return the height and width of the frames that the models see.

        Raises:
            UserError: if that is too small.
        """
        height, width = source.height, source.width
        if self.short_side is not None:
            scale = Fraction(self.short_side, min(height, width))
            height, width = round(height * scale), round(width * scale)
        if min(height, width) < MIN_SIZE:
            raise UserError(
                f"the models would see frames of {source.path} with {width} x {height} pixels, but "
                f"need {MIN_SIZE} in each direction; give a larger video or --short-side."
            )
        return height, width

    def _windows(self, source: VideoSource) -> Iterator[tuple[Fraction, list[np.ndarray]]]:
        """Yield the time of the last frame of each window, and the frames in it."""
        needed = self.pipeline.num_known
        window: deque[np.ndarray] = deque(maxlen=needed)
        count, time = 0, Fraction(0)
        for time, picture in sample_frames(source, self.rate):
            window.append(picture)
            count += 1
            if self.every and count >= needed and (count - needed) % self.every == 0:
                yield time, list(window)
        if count < needed:
            at = f" at {float(self.rate):g} frames per second" if self.rate else ""
            raise UserError(
                f"{source.path} has {count} frames{at}, but the pipeline predicts from {needed}; "
                f"give a longer video{' or a higher --rate' if self.rate else ''}."
            )
        if not self.every:
            yield time, list(window)

    def _predict(
        self, frames: np.ndarray, time: Fraction, step: Fraction, source: VideoSource
    ) -> list[PredictedFrame]:
        prediction = self.pipeline(frames[None])[0]
        masks = dict(
            zip(prediction.frame_numbers, self.pipeline.segment(prediction.frames), strict=True)
        )
        pictures = dict(zip(prediction.frame_numbers, prediction.frames, strict=True))
        # The pipeline's own mask may come from masks, and be of a frame that nothing predicts.
        masks[prediction.mask_number] = prediction.mask
        pictures.setdefault(prediction.mask_number, prediction.frames[-1])
        size = source.height, source.width
        return [
            PredictedFrame(
                time + (number - prediction.num_known) * step,
                _scale(pictures[number], *size, cv2.INTER_LINEAR),
                _scale(mask, *size, cv2.INTER_NEAREST),
                f"{number - prediction.num_known} ahead",
            )
            for number, mask in sorted(masks.items())
        ]


def _scale(picture: np.ndarray, height: int, width: int, interpolation: int) -> np.ndarray:
    if picture.shape[:2] == (height, width):
        return picture
    return cv2.resize(picture, (width, height), interpolation=interpolation)


def predict_video(predictor: VideoPredictor, path: Path, output: Path | None = None) -> list[str]:
    """Predict a video, and write the film and the last mask.

    Args:
        predictor: what predicts.
        path: of a video file, or of a folder of pictures.
        output: path of the film, which shows each predicted frame beside its mask; by default
            :func:`default_output`. The mask of the last frame is written with the ending ``.png``
            instead, as class numbers with a palette.

    Returns:
        lines about what was written, and what was lost or changed.

    Raises:
        UserError: if the video cannot be read, is too short, or an output cannot be written.
    """
    source = open_video(path)
    output = output or default_output(path)
    mask_path = output.with_suffix(".png")
    for each in (output, mask_path):
        check_output(each, [path])
    frames = predictor(source)
    first = next(frames)
    panel = _draw(first, predictor)
    rate = predictor.rate or source.rate
    height, width = panel.shape[:2]
    with VideoWriter(output, height, width, rate, origin=first.time) as writer:
        writer.write(panel, first.time)
        count, last = 1, first
        for frame in frames:
            if frame.time > last.time:
                writer.write(_draw(frame, predictor), frame.time)
                count, last = count + 1, frame
    write_palette_png(mask_path, last.mask, predictor.pipeline.taxonomy.palette)
    lines = [
        f"{output}: {count} predicted frames and their masks, for {float(first.time):.2f} to "
        f"{float(last.time):.2f} s"
    ]
    return [*lines, f"{mask_path}: the mask of the last one", *_remarks(predictor, source)]


def _draw(frame: PredictedFrame, predictor: VideoPredictor) -> np.ndarray:
    overlay = overlay_mask(frame.picture, frame.mask, predictor.pipeline.taxonomy.palette)
    parts = [(frame.caption, frame.picture), ("its mask", overlay)]
    return strip([caption(enlarge(picture), text) for text, picture in parts])


def _remarks(predictor: VideoPredictor, source: VideoSource) -> list[str]:
    remarks = [source.losses] if source.losses else []
    height, width = predictor.model_size(source)
    if (height, width) != (source.height, source.width):
        remarks.append(
            f"The models saw frames of {width} x {height} pixels; predictions are scaled back to "
            f"{source.width} x {source.height}."
        )
    return remarks
