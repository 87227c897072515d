"""Tracks: where each object of a video is seen, frame by frame, read from masks.

If every object in a video has a different class, each class is an object, and the masks of a video
hold exact tracks. Nothing here imports PyTorch.

Shapes: ``K`` objects, ``T`` frames, ``H`` rows, ``W`` columns. Outlines are float32 ``(K, T, 7)``:
area, center x and y, left, top, right and bottom of an object in a frame, zeros where it is not
seen. Areas are in squared picture widths, the others in picture widths from the middle of the
picture, x to the right and y down.
"""

from pathlib import Path

import numpy as np

from vps_d2.data.silhouettes import MIN_PIXELS, NUM_MEASURES, measure_silhouettes
from vps_d2.data.taxonomy import MAX_CLASSES
from vps_d2.data.vps import NUM_CLASSES, NUM_FRAMES, NUM_INPUT_FRAMES
from vps_d2.io.arrays import open_array

MAX_OBJECTS = 6
"""Of a video."""
NUM_POINTS = 48
COVERED = 2
"""In ``inside``: unknown, because the point is outside the picture or covered."""

TRACKS = np.dtype(
    [
        ("class_ids", "u1", (MAX_OBJECTS,)),
        ("measures", "f4", (MAX_OBJECTS, NUM_INPUT_FRAMES, NUM_MEASURES)),
        ("places", "f4", (MAX_OBJECTS, NUM_FRAMES, 2)),
        ("velocities", "f4", (MAX_OBJECTS, NUM_FRAMES, 2)),
        ("orientations", "f4", (MAX_OBJECTS, NUM_FRAMES, 2)),
        ("spins", "f4", (MAX_OBJECTS, NUM_FRAMES)),
        ("masses", "f4", (MAX_OBJECTS,)),
        ("points", "f4", (MAX_OBJECTS, NUM_POINTS, 2)),
        ("inside", "u1", (MAX_OBJECTS, NUM_POINTS)),
        ("points_frame", "u1"),
    ]
)
"""Tracks of one video: class numbers (0 for none); what was measured in the input frames
(:mod:`vps_d2.data.silhouettes`); true places on the floor in meters, velocities in meters a second,
cosine and sine of four times the angle about the vertical, and how fast that angle grows in radians
a second, in all frames; masses; and in one frame, ``points_frame``, points around each object, x
and y as outlines have them, with 1 inside of it, 0 outside, or COVERED."""


def open_tracks(path: str | Path) -> np.ndarray:
    """Map a file of tracks into memory.

    Returns:
        TRACKS ``(N,)``, read-only.

    Raises:
        OSError: if it cannot be read.
        ValueError: if it is not a track file.
    """
    tracks = open_array(path, mapped=True)
    if tracks.dtype != TRACKS or tracks.ndim != 1:
        raise ValueError(f"it holds {tracks.dtype!s:.80} of shape {tracks.shape}, not tracks")
    return tracks


def check_tracks(tracks: np.ndarray) -> None:
    """Check the values of one record of TRACKS, ``()``.

    Raises:
        ValueError: if a class, frame or kind of point does not exist, or a measure is not finite.
    """
    for name, limit in (
        ("class_ids", NUM_CLASSES),
        ("inside", COVERED + 1),
        ("points_frame", NUM_FRAMES),
    ):
        if (highest := int(np.max(tracks[name]))) >= limit:
            raise ValueError(f"{name} of {highest}, above the highest one, {limit - 1}")
    for name in (
        *("measures", "places", "velocities", "orientations", "spins", "masses", "points"),
    ):
        if not np.isfinite(tracks[name]).all():
            raise ValueError(f"{name} that are infinite or NaN")


_SIDE = (0.8, 2.0)
"""Of an object confused with another: how far it may be from where that other is, and how far both
may reach together, in side lengths of the other."""
_LONGEST_GAP = 3
"""The largest number of frames over which the place of an object is extrapolated."""


def join_confused(masks: np.ndarray) -> np.ndarray:
    """Give each object one class, if a segmenter mistook it for another in some frames.

    A class that is always where another one is or would be, and is seen less often, is that object.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.

    Returns:
        the masks, with such classes replaced.
    """
    class_ids, outlines = read_outlines(masks, MAX_CLASSES)
    areas = outlines[..., 0]
    order = np.lexsort((areas.sum(1), (areas > 0).sum(1)))
    paths = [_path(track) for track in outlines]
    table = np.arange(MAX_CLASSES, dtype=np.uint8)
    for rank, minor in enumerate(order):
        apart = [
            _apart(outlines[minor], outlines[major], *paths[major]) for major in order[rank + 1 :]
        ]
        if apart and min(apart) < np.inf:
            major = order[rank + 1 + int(np.argmin(apart))]
            table[table == class_ids[minor]] = class_ids[major]
    return table[masks]


def _path(track: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return where an object is or would be, ``(T, 2)``, and frames from the nearest sight."""
    frames = np.arange(len(track))
    seen = np.flatnonzero(track[:, 0])
    places = np.stack([np.interp(frames, seen, track[seen, axis]) for axis in (1, 2)], axis=1)
    for ends, beyond in ((seen[:2], frames < seen[0]), (seen[-2:], frames > seen[-1])):
        speed = np.diff(track[ends, 1:3], axis=0).sum(0) / max(1, ends[-1] - ends[0])
        nearest = seen[0] if beyond[0] else seen[-1]
        places[beyond] += speed * (frames[beyond] - nearest)[:, None]
    return places, np.abs(frames[:, None] - seen).min(1)


def _apart(minor: np.ndarray, major: np.ndarray, path: np.ndarray, gap: np.ndarray) -> float:
    """Return how far a track is from another object's path; infinity from its own."""
    frames = minor[:, 0] > 0
    both = frames & (major[:, 0] > 0)
    side = np.sqrt(np.median(major[major[:, 0] > 0, 0]))
    near, together = _SIDE
    apart = np.linalg.norm(minor[frames, 1:3] - path[frames], axis=1) / side
    low = np.minimum(minor[both, 3:5], major[both, 3:5])
    high = np.maximum(minor[both, 5:7], major[both, 5:7])
    if (
        apart.max() > near
        or gap[frames].max() > _LONGEST_GAP
        or (high - low > together * side).any()
    ):
        return np.inf
    return float(apart.mean())


def measure_tracks(masks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Measure the objects of a video of the vps data set.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object; those with the most
            pixels are kept if there are more than MAX_OBJECTS.

    Returns:
        their class numbers, uint8 ``(K,)``, and float32 ``(K, T, 10)``; see
        :func:`vps_d2.data.silhouettes.measure_silhouettes`.
    """
    class_ids, _ = read_outlines(masks)
    return class_ids, measure_silhouettes(masks, class_ids)


def read_outlines(
    masks: np.ndarray, max_objects: int = MAX_OBJECTS
) -> tuple[np.ndarray, np.ndarray]:
    """Measure the objects of a video.

    Args:
        masks: class maps uint8 ``(T, H, W)``, in which a class is an object.
        max_objects: if there are more, those with the most pixels are kept.

    Returns:
        their class numbers, uint8 ``(K,)``, those with the most pixels first, and outlines.
    """
    num_frames, height, width = masks.shape
    num_classes = int(masks.max(initial=0)) + 1
    cells = num_frames * num_classes
    index = np.flatnonzero(masks)
    frames, rest = np.divmod(index, height * width)
    rows, columns = np.divmod(rest, width)
    cell = frames * num_classes + masks.reshape(-1)[index]
    area = np.bincount(cell, minlength=cells).astype(np.float64)
    lows = np.full((2, cells), max(height, width))
    highs = np.zeros((2, cells), np.int64)
    for low, high, places in zip(lows, highs, (columns, rows), strict=True):
        np.minimum.at(low, cell, places)
        np.maximum.at(high, cell, places)
    count = np.maximum(area, 1)
    x, y = (np.bincount(cell, places, cells) / count for places in (columns, rows))
    middle = np.array([width, height]) / 2
    measures = np.stack(
        [
            area / width,
            x + 0.5 - middle[0],
            y + 0.5 - middle[1],
            lows[0] - middle[0],
            lows[1] - middle[1],
            highs[0] + 1 - middle[0],
            highs[1] + 1 - middle[1],
        ],
        axis=-1,
    )
    seen = area >= MIN_PIXELS * (width / 240) ** 2
    outlines = (measures / width * seen[:, None]).astype(np.float32)
    outlines = outlines.reshape(num_frames, num_classes, -1).swapaxes(0, 1)
    total = outlines[:, :, 0].sum(1)
    total[0] = 0
    largest = np.argsort(-total, kind="stable")[:max_objects]
    class_ids = largest[total[largest] > 0]
    return class_ids.astype(np.uint8), outlines[class_ids]
