"""Data sets: folders of videos as Detectron2's dataset dicts.

A data set is read when it is first used, not when it is registered. The built-in ones are in
``$DETECTRON2_DATASETS/vps`` (default ``datasets/vps``); the variable is read at that time, too.

A video record is ``{"video_id", "video_name", "folder", "height", "width", "num_frames"}``, with
``"mask_file_name"`` where there are masks. A frame record is ``{"file_name", "image_id",
"video_id", "frame_index", "height", "width", "mask_file_name", "mask_index",
"sem_seg_file_name"}``; its annotations are made on demand by
:func:`vps_d2.data.annotations.annotate`. A record of tracks is ``{"tracks_file_name", "row"}``. A
record of generated masks is that of a video with ``"synthetic_seed"`` and ``"synthetic_options"``
instead of its folder and files. A record of a video with instances is that of a labeled video with
``"file_names"``, the paths of its frames; :func:`vps_d2.data.tubes.record_tubes` makes its objects
on demand.
"""

import logging
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from vps_d2.d2.data import DatasetCatalog
from vps_d2.data.faults import Fault, scan_split, stop_or_log
from vps_d2.data.layout import VPS_LAYOUT, VideoLayout, read_layout
from vps_d2.data.metadata import describe_dataset
from vps_d2.data.synthetic import SyntheticOptions, video_seed
from vps_d2.data.tracks import open_tracks
from vps_d2.data.video import (
    MASK_FILE,
    FaultError,
    frame_path,
    open_masks,
    read_frame_size,
    video_number,
)
from vps_d2.data.vps import NUM_FRAMES, TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.io.resources import REAL_VIDEOS_VARIABLE

Record = dict[str, Any]
"""A dataset dict; this module's docstring lists its keys."""

Root = Callable[[], Path]
"""Returns the folder of a data set when the data set is used."""

_GENERATED = re.compile(r"video_([0-9]+)_frame_([0-9]+)\.png")
# Functions from SKIP_FAULTY to the records, for the data sets registered here.
_SOURCES: dict[str, partial[list[Record]]] = {}


def register_videos(
    name: str, root: str | Path, kind: str | None = None, *, layout: VideoLayout | None = None
) -> None:
    """Register a folder of videos as a data set of videos.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder that holds ``video_<n>`` folders.
        kind: "labeled", "unlabeled" or "hidden"; None to infer it from the folder.
        layout: classes and number of frames; None for those in the folder's ``dataset.json`` or,
            without one, those of the vps data set.
    """
    layout = layout or read_layout(root)
    _register(name, partial(_video_records, name, partial(Path, root), layout, kind), layout)


def register_frames(name: str, root: str | Path, *, layout: VideoLayout | None = None) -> None:
    """Register a folder of labeled videos as a data set of single frames.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder that holds ``video_<n>`` folders with masks.
        layout: see :func:`register_videos`.
    """
    layout = layout or read_layout(root)
    _register(name, partial(_frame_records, name, partial(Path, root), layout), layout)


def register_video_instances(
    name: str, root: str | Path, *, layout: VideoLayout | None = None
) -> None:
    """Register a folder of labeled videos as a data set of videos with instances.

    An object is a class of a video's masks. Where the masks of some frames give an object another
    class, that stays as it is: there it is part of another object.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder that holds ``video_<n>`` folders with masks.
        layout: see :func:`register_videos`.

    Raises:
        UserError: if two objects of a video can have the same class, so that its masks do not say
            which is which.
    """
    layout = layout or read_layout(root)
    if not layout.taxonomy.one_object_per_class:
        raise UserError(
            f"data set {name} cannot have instances of videos: two objects of one class are not "
            "told apart by the masks; set one_object_per_class in dataset.json if there never are "
            "two, or use register_ytvis_instances."
        )
    source = partial(_instance_records, name, partial(Path, root), layout)
    _register(name, source, layout, evaluator_type="ytvis")


def register_generated_frames(
    name: str, root: str | Path, *, layout: VideoLayout | None = None
) -> None:
    """Register the frames that ``vps-d2 generate`` wrote, with their true masks.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder of ``video_<v>_frame_<f>.png`` and ``mask_video_<v>_frame_<f>.npy``, where
            ``f`` is the index of the frame, counted from 0.
        layout: see :func:`register_videos`.
    """
    layout = layout or read_layout(root)
    _register(name, partial(_generated_records, name, partial(Path, root)), layout)


def register_tracks(name: str, root: str | Path) -> None:
    """Register tracks that ``vps-d2 make-tracks`` wrote as a data set.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder of ``tracks_<n>.npy``.
    """
    _register(name, partial(_track_records, name, partial(Path, root)), VPS_LAYOUT)


def register_synthetic_masks(
    name: str, count: int, *, seed: int = 0, options: SyntheticOptions | None = None
) -> None:
    """Register the masks of generated videos as a data set; each is drawn when it is read.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        count: number of videos.
        seed: of the data set; the videos are those of ``tools/make_synthetic.py`` with this seed.
        options: size and variation of every video; None for videos like the real ones.
    """
    options = options or SyntheticOptions()
    DatasetCatalog.register(name, partial(_synthetic_mask_records, count, seed, options))
    describe_dataset(name, TAXONOMY)


def load_records(name: str, skip_faulty: bool = False) -> list[Record]:
    """Return the records of a registered data set.

    Args:
        name: of the data set, which another project may have registered.
        skip_faulty: leave faulty videos out, and log them, instead of stopping.

    Raises:
        UserError: if the data has faults and ``skip_faulty`` is False, or nothing is left.
        KeyError: if no data set has the name.
    """
    if name in _SOURCES:
        return _SOURCES[name](skip_faulty)
    return list(DatasetCatalog.get(name))


def dataset_root(name: str) -> Path | None:
    """Return the folder of a data set registered here, resolved; None for any other data set."""
    if name not in _SOURCES:
        return None
    root: Root = _SOURCES[name].args[1]
    return root().resolve()


def _register(
    name: str,
    source: partial[list[Record]],
    layout: VideoLayout = VPS_LAYOUT,
    evaluator_type: str = "vps",
) -> None:
    DatasetCatalog.register(name, lambda: source(False))
    _SOURCES[name] = source
    describe_dataset(name, layout.taxonomy, evaluator_type)


def _log(message: str) -> None:
    logging.getLogger(__name__).warning(message)


def _video_records(
    name: str, root: Root, layout: VideoLayout, kind: str | None, skip_faulty: bool
) -> list[Record]:
    scans, faults = scan_split(root(), layout, kind, progress=True)
    stop_or_log(name, faults, len(scans), skip_faulty, _log)
    records = []
    for scan in scans:
        assert scan.size is not None  # a video without a readable frame is faulty
        record: Record = {
            "video_id": video_number(scan.folder),
            "video_name": scan.folder.name,
            "folder": str(scan.folder),
            "height": scan.size[0],
            "width": scan.size[1],
            "num_frames": scan.num_frames,
        }
        if scan.has_masks:
            record["mask_file_name"] = str(scan.folder / MASK_FILE)
        records.append(record)
    return records


def _frame_records(name: str, root: Root, layout: VideoLayout, skip_faulty: bool) -> list[Record]:
    videos = _video_records(name, root, layout, "labeled", skip_faulty)
    longest = max(video["num_frames"] for video in videos)
    return [
        {
            "file_name": str(frame_path(video["folder"], index)),
            "image_id": video["video_id"] * longest + index,
            "video_id": video["video_id"],
            "frame_index": index,
            "height": video["height"],
            "width": video["width"],
            "mask_file_name": video["mask_file_name"],
            "mask_index": index,
            "sem_seg_file_name": f"{video['mask_file_name']}#{index}",
        }
        for video in videos
        for index in range(video["num_frames"])
    ]


def _instance_records(
    name: str, root: Root, layout: VideoLayout, skip_faulty: bool
) -> list[Record]:
    return [
        {
            **video,
            "file_names": [
                str(frame_path(video["folder"], index)) for index in range(video["num_frames"])
            ],
        }
        for video in _video_records(name, root, layout, "labeled", skip_faulty)
    ]


def _generated_records(name: str, root: Root, skip_faulty: bool) -> list[Record]:
    folder = root()
    records: list[Record] = []
    faults: list[Fault] = []
    if not folder.is_dir():
        faults.append(Fault(folder, "not a folder"))
    else:
        for file in sorted(os.listdir(folder)):
            if (match := _GENERATED.fullmatch(file)) is None:
                continue
            try:
                records.append(_generated_record(folder / file, int(match[1]), int(match[2])))
            except FaultError as error:
                faults.append(Fault(error.path, error.reason))
        if not records and not faults:
            faults.append(Fault(folder, "no frame in it"))
    stop_or_log(name, faults, len(records), skip_faulty, _log)
    records.sort(key=lambda record: (record["video_id"], record["frame_index"]))
    return [{**record, "image_id": number} for number, record in enumerate(records)]


def _generated_record(path: Path, video_id: int, frame_index: int) -> Record:
    height, width = read_frame_size(path)
    mask_path = path.with_name(f"mask_{path.stem}.npy")
    shape = open_masks(mask_path).shape
    if shape != (height, width):
        raise FaultError(mask_path, f"mask of the wrong shape {shape}, frame {width}x{height}")
    return {
        "file_name": str(path),
        "video_id": video_id,
        "frame_index": frame_index,
        "height": height,
        "width": width,
        "mask_file_name": str(mask_path),
        "mask_index": None,
        "sem_seg_file_name": str(mask_path),
    }


def _track_records(name: str, root: Root, skip_faulty: bool) -> list[Record]:
    folder = root()
    records: list[Record] = []
    faults: list[Fault] = []
    for path in sorted(folder.glob("tracks_*.npy")):
        try:
            count = len(open_tracks(path))
        except (OSError, ValueError) as error:
            faults.append(Fault(path, f"not a track file ({error})"))
            continue
        records += [{"tracks_file_name": str(path), "row": row} for row in range(count)]
    if not records and not faults:
        faults.append(Fault(folder, "no tracks_<n>.npy in it; make them with vps-d2 make-tracks"))
    stop_or_log(name, faults, len(records), skip_faulty, _log)
    return records


def _synthetic_mask_records(count: int, seed: int, options: SyntheticOptions) -> list[Record]:
    return [
        {
            "video_id": number,
            "video_name": f"synthetic_{seed}_{number}",
            "height": options.height,
            "width": options.width,
            "num_frames": NUM_FRAMES,
            "synthetic_seed": video_seed(seed, number),
            "synthetic_options": options,
        }
        for number in range(count)
    ]


def _builtin_root(folder: str) -> Path:
    return Path(os.environ.get("DETECTRON2_DATASETS", "datasets"), "vps", folder)


def _real_root(folder: str) -> Path:
    return Path(os.environ.get(REAL_VIDEOS_VARIABLE) or _builtin_root("real"), folder)


def _register_builtin() -> None:
    for split in ("train", "val", "unlabeled", "labeled", "hidden"):
        name = f"vps_{split}"
        _register(
            name, partial(_video_records, name, partial(_builtin_root, split), VPS_LAYOUT, None)
        )
    for split in ("train", "val", "labeled"):
        name = f"vps_frames_{split}"
        _register(name, partial(_frame_records, name, partial(_builtin_root, split), VPS_LAYOUT))
    for split in ("train", "unlabeled"):
        name = f"vps_real_{split}"
        root = partial(_real_root, split)
        _register(name, partial(_video_records, name, root, VPS_LAYOUT, None))
    name = "vps_frames_real_train"
    _register(name, partial(_frame_records, name, partial(_real_root, "train"), VPS_LAYOUT))
    for split in ("train", "val"):
        name = f"vps_vis_{split}"
        source = partial(_instance_records, name, partial(_builtin_root, split), VPS_LAYOUT)
        _register(name, source, VPS_LAYOUT, evaluator_type="ytvis")
    _register(
        "vps_tracks_train",
        partial(_track_records, "vps_tracks_train", partial(_builtin_root, "tracks_train")),
    )
    name = "vps_generated_train"
    _register(name, partial(_generated_records, name, partial(_builtin_root, "generated_train")))
    # The data that the shipped MaskSimVP learned from.
    register_synthetic_masks(
        "vps_synthetic_masks", 14_000, seed=300, options=SyntheticOptions(physics_jitter=0.3)
    )


_register_builtin()
