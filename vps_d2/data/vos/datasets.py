"""Data sets for video object segmentation, made or real.

A record of made clips is ``{"video_id", "video_name", "clip_source"}``: the source is a pair of
folders, of pictures and of cut-outs, where None stands for none; each time that the record is
read, another clip is made.

A record of a video is ``{"video_id", "video_name", "file_names", "object_map_file_names",
"num_frames", "frame_step"}``: the paths of the frames and of their object maps, where a frame
without a map has None; ``frame_step`` is the usual distance between two frames with a map, which
is 5 in YouTube-VOS. A record of a picture is ``{"video_id", "video_name", "file_name",
"object_map_file_name"}``.
"""

import os
from functools import partial
from pathlib import Path

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import Record
from vps_d2.data.video import FaultError
from vps_d2.data.vos.library import PICTURE_SUFFIXES, open_library
from vps_d2.io.files import open_regular

_CLIPS = 1000
_FOLDER_ADVICE = "give the folder of the data set"


def register_vos_procedural(name: str, count: int = _CLIPS) -> None:
    """Register clips of random scenes, which need no files.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        count: number of its records; beside other data sets, that decides how often it is drawn.
    """
    _register(name, partial(_made_records, name, None, None, count))


def register_vos_cutouts(
    name: str, pictures: str | Path | None, cutouts: str | Path | None, count: int = _CLIPS
) -> None:
    """Register clips of random scenes of pictures and of objects that were cut out.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        pictures: folder of pictures (JPEG, PNG, WebP or BMP), for backgrounds and surfaces; None
            for procedural ones.
        cutouts: folder of PNGs with transparency, each of an object; None for procedural ones.
        count: see :func:`register_vos_procedural`.
    """
    first, second = (None if each is None else str(each) for each in (pictures, cutouts))
    _register(name, partial(_made_records, name, first, second, count))


def register_vos_stills(name: str, pictures: str | Path, masks: str | Path | None = None) -> None:
    """Register pictures with masks, which are moved and bent into clips.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        pictures: folder of pictures, searched with those in it.
        masks: folder of PNGs with the names and subfolders of the pictures, which are palette
            pictures of object numbers or white where the object is; None if each lies beside its
            picture, as in DUTS or FSS-1000.
    """
    mask_root = Path(pictures if masks is None else masks)
    _register(name, partial(_still_records, Path(pictures), mask_root))


def register_davis(name: str, root: str | Path, imageset: str = "2017/train.txt") -> None:
    """Register a data set in the layout of DAVIS, such as one of ``vps-d2 make-vos-clips``.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder of ``JPEGImages``, ``Annotations`` and ``ImageSets``. The videos are in
            ``480p`` in the first two, if there is such a folder.
        imageset: file in ``ImageSets`` with the name of a video in each line, or with paths of
            frames as in DAVIS 2016.
    """
    _register(name, partial(_davis_records, Path(root), imageset))


def register_youtube_vos(name: str, root: str | Path, frame_step: int = 5) -> None:
    """Register a split of YouTube-VOS.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder of ``JPEGImages`` and ``Annotations`` of the split, such as ``train``.
        frame_step: distance between two frames that have a map.
    """
    _register(name, partial(_folder_records, Path(root), frame_step))


def register_bl30k(name: str, root: str | Path) -> None:
    """Register BL30K: ``JPEGImages`` and ``Annotations`` with a folder for each video.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        root: folder of these two.
    """
    _register(name, partial(_folder_records, Path(root), 1))


def _register(name: str, source: partial[list[Record]]) -> None:
    DatasetCatalog.register(name, source)
    MetadataCatalog.get(name).set(evaluator_type="vos")


def _made_records(name: str, pictures: str | None, cutouts: str | None, count: int) -> list[Record]:
    open_library(pictures, cutouts)  # so that an empty folder is found before training begins
    return [
        {"video_id": number, "video_name": f"{name}_{number}", "clip_source": (pictures, cutouts)}
        for number in range(count)
    ]


def _still_records(pictures: Path, masks: Path) -> list[Record]:
    same = pictures == masks
    paths = [Path(path) for path in open_library(str(pictures), None).pictures]
    if same:  # PNGs are the masks
        paths = [path for path in paths if path.suffix.lower() != ".png"]
    records: list[Record] = []
    for number, path in enumerate(paths):
        mask = (masks / path.relative_to(pictures)).with_suffix(".png")
        if not mask.is_file():
            raise FaultError(mask, f"missing mask of {path}", "add it, or remove the picture")
        records.append(
            {
                "video_id": number,
                "video_name": path.stem,
                "file_name": str(path),
                "object_map_file_name": str(mask),
            }
        )
    if not records:
        raise FaultError(pictures, "no picture with a mask in it", _FOLDER_ADVICE)
    return records


def _davis_records(root: Path, imageset: str) -> list[Record]:
    frames, maps = (_resolution(root / part) for part in ("JPEGImages", "Annotations"))
    names = _read_imageset(root / "ImageSets" / imageset)
    return [
        _video_record(number, name, frames / name, maps / name, 1)
        for number, name in enumerate(names)
    ]


def _resolution(folder: Path) -> Path:
    return folder / "480p" if (folder / "480p").is_dir() else folder


def _read_imageset(path: Path) -> list[str]:
    """Return the names of videos in a file, each once, in order."""
    try:
        with open_regular(path) as file:
            lines = file.read().decode().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise FaultError(path, "unreadable list of videos", _FOLDER_ADVICE) from error
    # DAVIS 2016 lists frames: "/JPEGImages/480p/bear/00000.jpg /Annotations/480p/bear/00000.png".
    entries = [line.split()[0] for line in lines if line.strip()]
    names = [entry.split("/")[-2] if entry.count("/") > 1 else entry for entry in entries]
    if not names:
        raise FaultError(path, "no video in it", "replace it")
    return list(dict.fromkeys(names))


def _folder_records(root: Path, frame_step: int) -> list[Record]:
    frames, maps = root / "JPEGImages", root / "Annotations"
    names = sorted(entry.name for entry in _entries(frames) if entry.is_dir())
    if not names:
        raise FaultError(frames, "no folder of a video in it", _FOLDER_ADVICE)
    return [
        _video_record(number, name, frames / name, maps / name, frame_step)
        for number, name in enumerate(names)
    ]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise FaultError(folder, "not a folder that can be read", _FOLDER_ADVICE) from error


def _video_record(number: int, name: str, frames: Path, maps: Path, frame_step: int) -> Record:
    """Return the record of a video; its frames and maps are those files with the same stem."""
    found = {Path(entry.name).stem: entry.path for entry in _entries(maps)}
    files = sorted(
        entry.path
        for entry in _entries(frames)
        if Path(entry.name).suffix.lower() in PICTURE_SUFFIXES
    )
    if not files:
        raise FaultError(frames, "no frame in it", "add the frames, or remove the video")
    paths = [found.get(Path(file).stem) for file in files]
    if not any(paths):
        raise FaultError(maps, f"no map of a frame in {frames}", "add the maps")
    return {
        "video_id": number,
        "video_name": name,
        "file_names": files,
        "object_map_file_names": paths,
        "num_frames": len(files),
        "frame_step": frame_step,
    }


register_vos_procedural("vos_procedural")
