"""Data sets for video object segmentation, made or real.

A record of made clips is ``{"video_id", "video_name", "clip_source"}``: the source is a tuple of two
folders, of pictures and of cut-outs, where None stands for none; each time it is read, another clip
is made of it.
"""

from functools import partial
from pathlib import Path

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import Record
from vps_d2.data.vos.library import open_library

_CLIPS = 1000


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
    folders = [None if each is None else str(each) for each in (pictures, cutouts)]
    _register(name, partial(_made_records, name, *folders, count))


def _register(name: str, source: partial[list[Record]]) -> None:
    DatasetCatalog.register(name, source)
    MetadataCatalog.get(name).set(evaluator_type="vos")


def _made_records(name: str, pictures: str | None, cutouts: str | None, count: int) -> list[Record]:
    open_library(pictures, cutouts)  # so that an empty folder is found before training begins
    return [
        {"video_id": number, "video_name": f"{name}_{number}", "clip_source": (pictures, cutouts)}
        for number in range(count)
    ]


register_vos_procedural("vos_procedural")
