"""Generated motion without pictures for models of objects; twenty times faster than with them.

A data set of tracks is a folder of files ``tracks_<n>.npy``, structured arrays of TRACKS with a
video in each record.
"""

from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from vps_d2.data.synthetic.dataset import check_count, run_jobs, video_seed
from vps_d2.data.synthetic.physics import engine_version, simulate
from vps_d2.data.synthetic.render import render_masks
from vps_d2.data.synthetic.scene import Scene, SyntheticOptions
from vps_d2.data.tracks import COVERED, NUM_POINTS, TRACKS, measure_tracks, open_tracks
from vps_d2.data.vps import NUM_CLASSES, NUM_FRAMES, NUM_INPUT_FRAMES
from vps_d2.io.arrays import write_array
from vps_d2.io.folders import claim_folder
from vps_d2.io.settings import check_settings
from vps_d2.io.shards import WHOLE, Shard, shard_name, take_shard
from vps_d2.io.workers import count_cpus

__all__ = ["count_tracks", "make_tracks", "simulate_tracks"]

_FILE_SIZE = 500
_FILE, _FILES = "tracks_{:05d}.npy", "tracks_*.npy"
_SETTINGS_FILE = "tracks.json"
_MAX_ROUGHNESS = 0.5
_WINDOW = 0.75
"""Half the side of the square that points are drawn from, meters where the object is."""


def simulate_tracks(seed: int, options: SyntheticOptions) -> np.ndarray:
    """Return one record of TRACKS.

    Args:
        seed: of the video.
        options: of its motion and its masks.
    """
    rng = np.random.default_rng([seed, 3])
    scene = simulate(seed, options)
    frame = int(rng.integers(NUM_FRAMES))
    masks = render_masks(scene, options, [*range(NUM_INPUT_FRAMES), frame])
    record = np.zeros((), TRACKS)
    class_ids, measures = measure_tracks(masks[:NUM_INPUT_FRAMES])
    of_class = dict(zip(class_ids.tolist(), measures, strict=True))
    w, x, y, z = np.moveaxis(scene.quaternions, -1, 0)
    yaws = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    for number, body in enumerate(scene.bodies):
        record["class_ids"][number] = body.class_id
        record["measures"][number] = of_class.get(body.class_id, 0)
        record["places"][number] = scene.positions[:, number, :2]
        record["velocities"][number] = scene.velocities[:, number, :2]
        record["orientations"][number, :, 0] = np.cos(4 * yaws[:, number])
        record["orientations"][number, :, 1] = np.sin(4 * yaws[:, number])
        record["spins"][number] = scene.spins[:, number]
        record["masses"][number] = scene.masses[number]
        points, inside = _draw_points(scene, number, frame, masks[-1], rng)
        record["points"][number], record["inside"][number] = points, inside
    record["points_frame"] = frame
    return record


def _draw_points(
    scene: Scene, number: int, frame: int, mask: np.ndarray, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return points around an object, float (NUM_POINTS, 2), and whether they are inside of it."""
    height, width = mask.shape
    column, row, depth = scene.camera.project(scene.positions[frame, number], height, width)
    points = rng.uniform(-1, 1, (NUM_POINTS, 2))
    inside = np.full(NUM_POINTS, COVERED)
    if depth < 1:
        return points, inside
    points = [column, row] + points * _WINDOW * scene.camera.focal_length * width / depth
    columns, rows = np.floor(points).astype(int).T
    # Labels belong to the centers of pixels.
    points = (np.stack([columns, rows], axis=1) + 0.5 - [width / 2, height / 2]) / width
    seen = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    table = np.full(NUM_CLASSES, COVERED)
    table[0], table[scene.bodies[number].class_id] = 0, 1
    inside[seen] = table[mask[rows[seen], columns[seen]]]
    return points, inside


@dataclass(frozen=True)
class _File:
    path: Path
    seeds: range
    options: SyntheticOptions


def make_tracks(
    out: str | Path,
    count: int,
    *,
    seed: int = 0,
    options: SyntheticOptions | None = None,
    workers: int | None = None,
    shard: Shard = WHOLE,
) -> int:
    """Write a data set of tracks; existing files are kept.

    Args:
        out: folder of the data set.
        count: number of videos.
        seed: of the data set; the videos of a seed do not depend on their number.
        options: of every video, except the roughness of the masks, which differs from video to
            video; None for some jitter of the physics.
        workers: processes; None for one on each CPU.
        shard: the files to write.

    Returns:
        how many videos were made.

    Raises:
        UserError: if there are too many videos, the engine is not installed, or ``out`` holds
            tracks of other settings, is being written by another run, or cannot be written.
    """
    out = Path(out)
    options = options or SyntheticOptions(physics_jitter=0.4)
    check_count(count)
    settings = {"seed": seed, "options": asdict(options), "engine": engine_version(options.physics)}
    starts = range(0, count, _FILE_SIZE)
    files = [
        _File(
            out / _FILE.format(number),
            range(video_seed(seed, start), video_seed(seed, min(start + _FILE_SIZE, count))),
            options,
        )
        for number, start in enumerate(starts)
    ]
    with claim_folder(out, shard_name(shard)):
        check_settings(out / _SETTINGS_FILE, settings)
        mine = take_shard(files, shard)
        todo = [file for file in mine if not _is_complete(file)]
        made = 0
        total, rest = (sum(len(file.seeds) for file in each) for each in (mine, todo))
        with tqdm(total=total, initial=total - rest, unit="video") as progress:
            for size in run_jobs(_write_file, todo, workers or count_cpus()):
                progress.update(size)
                made += size
        return made


def count_tracks(folder: str | Path) -> int:
    """Return the number of videos whose tracks a folder holds."""
    return sum(map(_count_records, Path(folder).glob(_FILES)))


def _count_records(path: Path) -> int:
    try:
        return len(open_tracks(path))
    except (OSError, ValueError):  # missing, or cut short
        return 0


def _is_complete(file: _File) -> bool:
    return _count_records(file.path) >= len(file.seeds)


def _write_file(file: _File) -> int:
    records = np.stack([_roughen(seed, file.options) for seed in file.seeds])
    write_array(file.path, records)
    return len(records)


def _roughen(seed: int, options: SyntheticOptions) -> np.ndarray:
    roughness = np.random.default_rng([seed, 4]).uniform(0, _MAX_ROUGHNESS)
    return simulate_tracks(seed, replace(options, mask_roughness=float(roughness)))
