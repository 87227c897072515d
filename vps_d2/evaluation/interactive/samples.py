"""Videos for interactive segmentation: frames, true masks, and scribbles that people drew first.

The scribbles are files of DAVIS, ``Scribbles/NAME/001.json`` beside ``JPEGImages`` and
``Annotations``: one list for each frame, with the lines of all objects in it.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from vps_d2.data.object_maps import find_sequences, numbered_pngs, object_numbers, read_object_map
from vps_d2.evaluation.interactive.robot import Scribble, draw_scribbles
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json
from vps_d2.io.video import VideoSource, fingerprint_video, open_video

__all__ = ["InteractiveVideo", "find_videos", "make_first_scribbles", "read_scribbles"]

ROBOT = "robot"
"""The name of the first scribbles where a data set has none."""

_VOID = 255  # in the truth: pixels that nobody labeled
_SCRIBBLES = "Scribbles"


@dataclass(frozen=True)
class InteractiveVideo:
    """A video with the true masks of all its frames.

    Args:
        name: of the video.
        frames: folder of its pictures.
        masks: the file of the true object map of each frame.
        scribbles: files with first scribbles, one for each time that somebody began.
    """

    name: str
    frames: Path
    masks: tuple[Path, ...]
    scribbles: tuple[Path, ...]

    def open(self) -> VideoSource:
        """Open the video.

        Raises:
            UserError: if it cannot be read, or does not have a frame for each mask.
        """
        source = open_video(self.frames)
        if source.num_frames != len(self.masks):
            raise UserError(
                f"{self.frames} has {source.num_frames} frames, but there are {len(self.masks)} "
                "true masks; every frame needs one."
            )
        return source

    def truth(self, index: int) -> np.ndarray:
        """Return the true object map of a frame; pixels that nobody labeled are of no object.

        Raises:
            UserError: if it cannot be read.
        """
        truth = read_object_map(self.masks[index])
        return np.where(truth == _VOID, 0, truth).astype(np.uint8)

    def fingerprint(self, scribbles: Path | None) -> str:
        """Return a hash by which the video and its first scribbles are recognized."""
        files = [self.frames, self.masks[0].parent, *([scribbles] if scribbles else [])]
        text = " ".join([self.name, *map(fingerprint_video, files)])
        return hashlib.sha256(text.encode()).hexdigest()


def find_videos(root: str | Path, names: Sequence[str] = ()) -> list[InteractiveVideo]:
    """Find the videos of a data set.

    Args:
        root: DAVIS's folder, or one with ``NAME/frames`` and ``NAME/masks`` for each video.
        names: of the videos; () for all.

    Raises:
        UserError: if there is none, one is unknown, or one has no frames.
    """
    root, known = Path(root), find_sequences(root)
    for name in names:
        if name not in known:
            raise UserError(f"{root} has no video {name}; it has {', '.join(list(known)[:5])}.")
    return [_find_video(root, name, known[name]) for name in names or known]


def _find_video(root: Path, name: str, masks: Path) -> InteractiveVideo:
    if masks.name == "masks":
        frames = masks.parent / "frames"
    else:
        parts = masks.relative_to(root).parts
        frames = root.joinpath(*("JPEGImages" if part == "Annotations" else part for part in parts))
    if frames == masks or not frames.is_dir():
        raise UserError(
            f"{root} has no frames of the video {name}; give DAVIS's folder, or one with "
            "NAME/frames and NAME/masks."
        )
    scribbles = tuple(sorted((root / _SCRIBBLES / name).glob("*.json")))
    return InteractiveVideo(name, frames, tuple(numbered_pngs(masks).values()), scribbles)


def read_scribbles(path: Path, num_frames: int) -> tuple[int, list[Scribble]]:
    """Read the scribbles with which somebody began.

    Args:
        path: of the file.
        num_frames: of the video.

    Returns:
        the index of the frame with the most scribbles, and the scribbles in it.

    Raises:
        UserError: if it cannot be read, or is no file of scribbles for such a video.
    """
    try:
        frames = read_json(path)["scribbles"]
        found = [[_read_line(line) for line in lines] for lines in frames]
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise UserError(f"{path} is no file of scribbles; give one of DAVIS.") from error
    if len(found) != num_frames or not any(found):
        raise UserError(
            f"{path} has scribbles for a video of {len(found)} frames, but this one has "
            f"{num_frames}, or it has none; give one of this video."
        )
    index = max(range(num_frames), key=lambda index: len(found[index]))
    return index, found[index]


def _read_line(line: Any) -> Scribble:
    number, path = line["object_id"], np.array(line["path"], np.float64)
    if type(number) is not int or not 0 <= number < _VOID:
        raise ValueError("the number of an object is wrong")
    if path.ndim != 2 or path.shape[1] != 2 or not len(path) or not np.isfinite(path).all():
        raise ValueError("a line is no list of points")
    return Scribble(number, path.clip(0, 1))


def make_first_scribbles(video: InteractiveVideo) -> tuple[int, list[Scribble]]:
    """Let the robot begin, in the first frame that shows as many objects as any.

    Returns:
        the index of the frame, and the scribbles in it.

    Raises:
        UserError: if a mask cannot be read, or the robot finds no object that is large enough.
    """
    counts = [len(object_numbers(video.truth(index))) for index in range(len(video.masks))]
    index = int(np.argmax(counts))
    truth = video.truth(index)
    scribbles = draw_scribbles(np.zeros_like(truth), truth)
    if not scribbles:
        raise UserError(
            f"{video.masks[index]} shows no object that is large enough to scribble on."
        )
    return index, scribbles
