"""Whole videos of random scenes with their object maps, in the layout of DAVIS and BL30K."""

import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from vps_d2.data.synthetic.dataset import write_missing
from vps_d2.data.vos.clips import visible
from vps_d2.data.vos.layers import Scene
from vps_d2.data.vos.library import Library, open_library
from vps_d2.data.vos.maps import write_object_map
from vps_d2.data.vos.scenes import SceneOptions, draw_scene
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_folder, write_text, write_whole
from vps_d2.io.folders import claim_folder
from vps_d2.io.settings import check_settings
from vps_d2.io.shards import WHOLE, Shard, shard_name

SETTINGS_FILE = "vos_clips.json"
SHEET_FILE = "sheet.jpg"
FRAMES, MAPS, LISTS = "JPEGImages", "Annotations", "ImageSets/2017"
_QUALITY = 92
_TRIES = 20
_SHEET = (6, 5)  # videos and frames
_SHEET_WIDTH = 240  # of a frame, in pixels


@dataclass(frozen=True)
class LongClipOptions:
    """What each video is like; the defaults are those of BL30K (MiVOS, arXiv 2103.07941).

    Args:
        num_frames: of a video.
        height: of a frame, in pixels.
        width: of a frame, in pixels.
        objects: least and largest number of objects.
        pictures: folder of pictures; None for procedural ones.
        cutouts: folder of cut-outs; None for procedural ones.
    """

    num_frames: int = 160
    height: int = 512
    width: int = 768
    objects: tuple[int, int] = (3, 5)
    pictures: str | None = None
    cutouts: str | None = None

    @property
    def scene(self) -> SceneOptions:
        """What a scene holds."""
        return SceneOptions((self.height, self.width), self.objects, scenery=4, occluders=2)


@dataclass(frozen=True)
class _Job:
    """One video to write."""

    number: int
    seed: int
    out: Path
    options: LongClipOptions

    @property
    def name(self) -> str:
        return f"clip_{self.number:05d}"

    @property
    def frames(self) -> Path:
        return self.out / FRAMES / self.name

    @property
    def maps(self) -> Path:
        return self.out / MAPS / self.name


def make_vos_clips(
    out: str | Path,
    count: int,
    *,
    seed: int = 0,
    options: LongClipOptions | None = None,
    workers: int | None = None,
    shard: Shard = WHOLE,
) -> int:
    """Write videos: ``out/JPEGImages/clip_<n>/<frame>.jpg``, and their object maps.

    The maps are palette PNGs in ``Annotations``. A list of the videos is in
    ``ImageSets/2017/train.txt``, so that :func:`~vps_d2.data.vos.datasets.register_davis` reads the
    folder. A few frames of the
    first videos, with their objects, are shown in ``sheet.jpg``. Existing videos are kept, so an
    interrupted run goes on where it stopped, and a larger ``count`` adds videos.

    Args:
        out: folder of the data set.
        count: number of videos.
        seed: of the data set; any number of workers gives the same files.
        options: of every video; None for those of BL30K.
        workers: processes; None for one on each CPU.
        shard: the videos to write; the list and the sheet are only written with all of them.

    Returns:
        how many videos were written.

    Raises:
        UserError: if ``out`` holds a data set of other settings or origin, is being written by
            another run, or cannot be written; or if a picture cannot be read.
    """
    out = Path(out)
    options = options or LongClipOptions()
    library = open_library(options.pictures, options.cutouts)
    settings = {"seed": seed, **asdict(options), "objects": list(options.objects)}
    settings["pictures"] = _digest(library.pictures)
    settings["cutouts"] = _digest(library.cutouts)
    with claim_folder(out, shard_name(shard), (FRAMES, MAPS, LISTS)):
        # In this order: another shard writes its settings before its videos.
        if (out / FRAMES).exists() and not (out / SETTINGS_FILE).exists():
            raise UserError(
                f"{out / FRAMES} already exists, without a {SETTINGS_FILE} that says how it was "
                "made; choose another --out."
            )
        check_settings(out / SETTINGS_FILE, settings)
        written = write_missing(
            _write_one,
            (_Job(number, seed, out, options) for number in range(count)),
            count,
            lambda job: job.maps.exists(),  # they are written last
            shard,
            workers,
        )
        if shard == WHOLE:
            _write_lists(out)
            shown = range(min(count, _SHEET[0]))
            _write_sheet(out / SHEET_FILE, [_Job(number, seed, out, options) for number in shown])
        return written


def _write_lists(out: Path) -> None:
    (out / LISTS).mkdir(parents=True, exist_ok=True)
    names = sorted(path.name for path in (out / MAPS).iterdir() if path.name.startswith("clip_"))
    write_text(out / LISTS / "train.txt", "".join(f"{name}\n" for name in names))


def _digest(paths: Sequence[str]) -> str:
    """Return a short text that changes if the files of a library do; "" for no files."""
    if not paths:
        return ""
    entries = "\n".join(f"{Path(path).name} {os.path.getsize(path)}" for path in paths)
    return hashlib.sha256(entries.encode()).hexdigest()[:16]


def long_scene(rng: np.random.Generator, options: LongClipOptions, library: Library) -> Scene:
    """Draw a scene whose first frame shows the least number of objects, if it can be had.

    Args:
        rng: random numbers.
        options: of the video.
        library: see :func:`~vps_d2.data.vos.scenes.draw_scene`.
    """
    best: tuple[int, Scene] | None = None
    for _ in range(_TRIES):
        scene = draw_scene(rng, options.scene, library)
        seen = len(visible(scene.render(0)[1]))
        if best is None or seen > best[0]:
            best = seen, scene
        if seen >= options.objects[0]:
            break
    assert best is not None  # there is at least one try
    return best[1]


def _write_one(job: _Job) -> None:
    options = job.options
    library = open_library(options.pictures, options.cutouts)
    scene = long_scene(np.random.default_rng([job.seed, job.number]), options, library)
    with write_folder(job.maps) as maps, write_folder(job.frames) as frames:
        for index in range(options.num_frames):
            frame, object_map = scene.render(index)
            _write_jpeg(frames / f"{index:05d}.jpg", frame)
            write_object_map(maps / f"{index:05d}.png", object_map)


def _write_jpeg(path: Path, frame: np.ndarray) -> None:
    data = cv2.imencode(
        ".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY]
    )[1]
    path.write_bytes(data.tobytes())


def _write_sheet(path: Path, jobs: Sequence[_Job]) -> None:
    """Draw frames of some videos, a row for each, with the outlines of their objects."""
    rows = []
    for job in jobs:
        files = sorted(job.frames.iterdir())
        places = np.linspace(0, len(files) - 1, _SHEET[1]).round().astype(int)
        rows.append(np.hstack([_sheet_cell(job, files[place]) for place in places]))
    if not rows:
        return
    data = cv2.imencode(".jpg", np.vstack(rows), [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
    with write_whole(path) as file:
        file.write(data.tobytes())


def _sheet_cell(job: _Job, file: Path) -> np.ndarray:
    frame = cv2.imread(str(file))
    object_map = cv2.imread(str(job.maps / f"{file.stem}.png"))
    if frame is None or object_map is None:
        raise UserError(f"{file} or its map is unreadable; remove the folder and run again.")
    number = object_map.any(-1)
    frame[number] = frame[number] // 2 + object_map[number] // 2
    height = max(1, round(frame.shape[0] * _SHEET_WIDTH / frame.shape[1]))
    return cv2.resize(frame, (_SHEET_WIDTH, height), interpolation=cv2.INTER_AREA)
