"""Making what a fusion network learns from: masks before and after a correction.

As in MiVOS (arXiv 2103.07941), a trained propagation network follows the objects of labeled videos;
it is not trained further. Its results have the form of :mod:`vps_d2.data.vos.fusion`.

Shapes: ``T`` frames, ``K`` objects, ``H`` rows, ``W`` columns at the working size.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from vps_d2.data.datasets import Record, load_records
from vps_d2.data.pictures import read_picture
from vps_d2.data.vos.fusion import LEAST_PIXELS, differing_pixels
from vps_d2.data.vos.maps import read_dataset_map
from vps_d2.inference.vos.engine import VOSEngine
from vps_d2.inference.vos.maps import shrink_object_map, working_size
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_folder
from vps_d2.io.folders import claim_folder
from vps_d2.io.pictures import write_png
from vps_d2.io.settings import check_settings

__all__ = ["FusionOptions", "generate_fusion"]

SETTINGS_FILE = "fusion.json"
_LEAST_GAP = 3  # frames from the first given one to the corrected one
_CANDIDATES = 4  # frames of which the worst one is corrected


@dataclass(frozen=True)
class FusionOptions:
    """How many results are made, and how.

    Args:
        seed: of the random choices.
        pairs: of given frames, of each video.
        targets: most frames of a pair whose masks are kept.
        reach: most frames from the first given one to the corrected one.
        max_objects: most objects that are followed.
        short_side: pixels of the shorter side at which the engine works and masks are written;
            None for the size of the video.
    """

    seed: int = 0
    pairs: int = 4
    targets: int = 6
    reach: int = 50
    max_objects: int = 5
    short_side: int | None = None


@dataclass(frozen=True)
class _Clip:
    """A part of a video at the working size; by the indices of frames.

    Attributes:
        frames: uint8 RGB ``(H, W, 3)``.
        maps: true object maps uint8 ``(H, W)``, of labeled frames.
        objects: the numbers of those to follow.
    """

    frames: dict[int, np.ndarray]
    maps: dict[int, np.ndarray]
    objects: list[int]


def generate_fusion(
    engine: VOSEngine, videos: str, out: str | Path, options: FusionOptions | None = None
) -> int:
    """Write masks before and after a correction for the videos of a data set.

    Videos that are there already are kept, so an interrupted run goes on where it stopped.

    Args:
        engine: follows the objects.
        videos: name of a registered data set whose records have ``object_map_file_names``.
        out: folder to write to.
        options: see there.

    Returns:
        how many videos were added.

    Raises:
        UserError: if the data set has no videos with object maps or a file of it cannot be read, or
            ``out`` holds results of other settings or cannot be written.
    """
    out, options = Path(out), options or FusionOptions()
    records = load_records(videos)
    if not all("object_map_file_names" in record for record in records):
        raise UserError(
            f"data set {videos} has no videos with object maps; name one of register_davis, "
            "register_bl30k or register_youtube_vos."
        )
    engine.fuser = None  # masks are to be those that a fuser gets
    settings = {"videos": videos, "engine": engine.fingerprint(), **asdict(options)}
    with claim_folder(out):
        check_settings(out / SETTINGS_FILE, settings)
        todo = [record for record in records if not (out / record["video_name"]).exists()]
        done = len(records) - len(todo)
        for record in tqdm(todo, total=len(records), initial=done, unit="video"):
            with write_folder(out / record["video_name"]) as folder:
                for number in range(options.pairs):
                    name = zlib.crc32(record["video_name"].encode())
                    rng = np.random.default_rng([options.seed, name, number])
                    _write_pair(rng, engine, record, folder, options)
    return len(todo)


def _write_pair(
    rng: np.random.Generator,
    engine: VOSEngine,
    record: Record,
    folder: Path,
    options: FusionOptions,
) -> None:
    """Write the results of one pair of given frames, if there is something to learn from them."""
    labeled = [k for k, path in enumerate(record["object_map_file_names"]) if path is not None]
    first = int(rng.choice(labeled))
    clip = _read(record, first, options)
    ends = [k for k in clip.maps if abs(k - first) >= _LEAST_GAP]
    if not clip.objects or not ends:
        return
    before = _follow(engine, clip, [first], range(first + 1, max(clip.frames) + 1))
    before |= _follow(engine, clip, [first], range(first - 1, min(clip.frames) - 1, -1))
    chosen = rng.permutation(ends)[:_CANDIDATES].tolist()
    second = min(chosen, key=lambda index: _overlap(before[index], clip.maps[index], clip.objects))
    step = 1 if first > second else -1
    after = _follow(engine, clip, [first, second], range(second + step, first, step))
    useful = [
        index
        for index in after
        if index in clip.maps and any(map(_differ, before[index][1:], after[index][1:]))
    ]
    pair = folder / f"{first:05d}_{second:05d}"
    for index in sorted(rng.permutation(useful)[: options.targets].tolist()):
        for place, number in enumerate(clip.objects, 1):
            layers = [before[index][place], after[index][place], before[second][place]]
            write_png(pair / f"{index:05d}_{number:03d}.png", np.stack(layers, -1))


def _read(record: Record, first: int, options: FusionOptions) -> _Clip:
    """Read the frames near one at the working size, and their maps."""
    low = max(first - options.reach, 0)
    high = min(first + options.reach, record["num_frames"] - 1)
    frames, maps = {}, {}
    for index in range(low, high + 1):
        frame = read_picture(record["file_names"][index])
        working = working_size(frame.shape[:2], options.short_side)
        if path := record["object_map_file_names"][index]:
            maps[index] = shrink_object_map(read_dataset_map(path, frame.shape[:2]), working)
        if frame.shape[:2] != working:
            frame = cv2.resize(frame, working[::-1], interpolation=cv2.INTER_AREA)
        frames[index] = frame
    areas = np.bincount(maps[first].ravel(), minlength=256)
    seen = [number for number in range(1, 256) if areas[number] >= LEAST_PIXELS]
    objects = seen[: options.max_objects]
    return _Clip(
        frames,
        {index: np.where(np.isin(each, objects), each, 0) for index, each in maps.items()},
        objects,
    )


def _follow(
    engine: VOSEngine, clip: _Clip, given: Sequence[int], order: Iterable[int]
) -> dict[int, np.ndarray]:
    """Follow objects from the last of the given frames on.

    Returns:
        probabilities as 0-255, uint8 ``(K + 1, H, W)``, the background first, by frame.
    """
    engine.reset()
    for index in given:
        engine.remember(clip.frames[index], clip.maps[index], permanent=True)
    return {
        index: (255 * engine.segment(clip.frames[index], clip.objects)).round().astype(np.uint8)
        for index in order
    }


def _overlap(probabilities: np.ndarray, truth: np.ndarray, objects: Sequence[int]) -> float:
    """Return the mean over objects of intersection over union; 1 where both are empty."""
    found = np.array([0, *objects], np.uint8)[probabilities.argmax(0)]
    scores = []
    for number in objects:
        one, other = found == number, truth == number
        union = np.count_nonzero(one | other)
        scores.append(np.count_nonzero(one & other) / union if union else 1.0)
    return float(np.mean(scores))


def _differ(first: np.ndarray, second: np.ndarray) -> bool:
    return differing_pixels(first, second) >= LEAST_PIXELS
