"""Mean and standard deviation of the pixels of a data set, for the normalization of a model."""

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vps_d2.config.files import parse_yaml
from vps_d2.data.video import find_videos, frame_indices, frame_path, read_frame
from vps_d2.io.errors import UserError
from vps_d2.io.escape import escape_controls
from vps_d2.io.files import check_output, open_regular, write_text

_MEASURED = {"MODEL.PIXEL_MEAN", "MODEL.PIXEL_STD"}
_MAX_BYTES = 10_000  # of a file of measurements, which has a few lines


def compute_mean_std(
    roots: Sequence[str | Path], progress: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Measure every pixel of every frame of some folders of videos.

    Args:
        roots: folders that hold ``video_<n>`` folders.
        progress: show a progress bar.

    Returns:
        mean and standard deviation, float64 ``(3,)`` each: R, G, B in 0-255.

    Raises:
        UserError: if a folder holds no video, no video holds a frame, or a frame cannot be read.
    """
    total, squares, pixels = np.zeros(3), np.zeros(3), 0
    folders = [folder for root in roots for folder in find_videos(root)]
    for folder in tqdm(folders, unit="video", disable=None if progress else True):
        for index in frame_indices(folder):
            frame = read_frame(frame_path(folder, index))
            mean, deviation = (values.ravel() for values in cv2.meanStdDev(frame))
            size = frame.shape[0] * frame.shape[1]
            total += size * mean
            squares += size * (deviation**2 + mean**2)
            pixels += size
    if not pixels:
        names = " and ".join(map(str, roots))
        raise UserError(f"the videos in {names} have no image_<n>.png; give other folders.")
    mean = total / pixels
    return mean, np.sqrt(np.maximum(squares / pixels - mean**2, 0))


def check_mean_std_file(path: str | Path) -> None:
    """Check that :func:`write_mean_std` may write a file, and make its folder.

    Raises:
        UserError: if the file holds other keys, or cannot be written.
    """
    check_output(path)
    if Path(path).exists() and not _is_mean_std_file(Path(path)):
        raise UserError(
            f"{path} holds more than MODEL.PIXEL_MEAN and MODEL.PIXEL_STD, which would be lost; "
            "choose another."
        )


def _is_mean_std_file(path: Path) -> bool:
    try:
        with open_regular(path) as file:
            sections = parse_yaml(file.read(_MAX_BYTES), path)
        keys = {f"{section}.{key}" for section, values in sections.items() for key in values}
    except (UserError, AttributeError, TypeError):  # not YAML, or no sections of keys
        return False
    return _MEASURED <= keys <= _MEASURED | {"INPUT.FORMAT"}


def write_mean_std(path: str | Path, mean: np.ndarray, std: np.ndarray, source: str) -> None:
    """Write MODEL.PIXEL_MEAN and MODEL.PIXEL_STD as a YAML that a config can use as ``_BASE_``.

    Args:
        path: the YAML file.
        mean: R, G, B in 0-255.
        std: R, G, B in 0-255.
        source: what was measured, for a comment.

    Raises:
        UserError: if it cannot be written.
    """
    check_output(path)
    rows = {"PIXEL_MEAN": mean, "PIXEL_STD": std}
    lines = [f"# Pixels of {escape_controls(source)}: R, G, B in 0-255 (vps-d2 compute-mean-std)."]
    lines += ["INPUT:", '  FORMAT: "RGB"', "MODEL:"]
    lines += [f"  {key}: [{', '.join(f'{v:.3f}' for v in row)}]" for key, row in rows.items()]
    write_text(path, "\n".join(lines) + "\n")
