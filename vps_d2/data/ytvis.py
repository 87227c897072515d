"""Data sets of video instance segmentation in the JSON form of YouTube-VIS 2019, 2021 and OVIS.

A record is ``{"file_names", "video_id", "video_name", "height", "width", "num_frames",
"annotations"}``: ``file_names`` are the paths of the frames in order, and ``annotations`` are the
objects of the whole video (:class:`~vps_d2.data.tubes.Tube`), with ``category_id`` from 0 on in the
order of the ids in the file. A file without annotations, as those to be submitted have none, gives
records without that key.
"""

from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from pycocotools import mask as mask_utils

from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.data.datasets import Record
from vps_d2.data.metadata import describe_dataset, describe_when_used
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.tubes import Tube, to_rle
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json

_MAX_BYTES = 4_000_000_000
_LISTS = ("videos", "categories", "annotations")


def register_ytvis_instances(name: str, json_file: str | Path, image_root: str | Path) -> None:
    """Register a data set in the form of YouTube-VIS or OVIS.

    The file is read when the data set is first used. Its classes are then written to the Metadata,
    with ``thing_dataset_id_to_contiguous_id`` from the ids in the file.

    Args:
        name: of the data set, for DATASETS.TRAIN and the like.
        json_file: with ``videos``, ``categories`` and ``annotations``.
        image_root: folder that the ``file_names`` in it are relative to.
    """
    read = partial(_load, name, Path(json_file), Path(image_root))
    DatasetCatalog.register(name, read)
    MetadataCatalog.get(name).set(json_file=str(json_file), image_root=str(image_root))
    describe_when_used(name, lambda: _describe(name, read_ytvis(json_file)))


def read_ytvis(json_file: str | Path) -> dict[str, Any]:
    """Read a file in the form of YouTube-VIS, and check that its parts are there.

    Returns:
        the content; ``annotations`` is None if there are none.

    Raises:
        UserError: if it cannot be read, or is not of this form.
    """
    try:
        content: Any = read_json(json_file, _MAX_BYTES)
    except OSError as error:
        raise UserError(
            f"{json_file} cannot be read ({error.strerror}); name the JSON file of the data set."
        ) from error
    except ValueError as error:
        raise UserError(f"{json_file} is not a JSON file ({error}); replace it.") from error
    if not isinstance(content, dict):
        raise _fault(json_file, "it holds no object with videos and categories")
    content.setdefault("annotations", None)
    for key in _LISTS:
        entries = content.get(key)
        if key == "annotations" and entries is None:
            continue
        if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
            raise _fault(json_file, f"it has no list of {key}")
    return content


def _fault(json_file: str | Path, reason: str) -> UserError:
    return UserError(f"{json_file} is not in the form of YouTube-VIS: {reason}; correct it.")


def category_numbers(json_file: str | Path, content: dict[str, Any]) -> dict[int, int]:
    """Return the number from 0 on of each category id, in ascending order of the ids.

    Raises:
        UserError: if an id is missing or there twice, or there is no category.
    """
    ids = [_get(json_file, "category", each, "id", int) for each in content["categories"]]
    if not ids or len(set(ids)) < len(ids):
        raise _fault(json_file, "it has no categories, or two with the same id")
    return {number: index for index, number in enumerate(sorted(ids))}


def _describe(name: str, content: dict[str, Any]) -> None:
    """Write the classes of a file to the Metadata of a data set."""
    metadata = MetadataCatalog.get(name)
    json_file = metadata.json_file
    numbers = category_numbers(json_file, content)
    names = {
        each["id"]: _get(json_file, f"category {each['id']}", each, "name", str)
        for each in content["categories"]
    }
    try:
        taxonomy = Taxonomy(tuple(names[number] for number in numbers))
    except UserError as error:
        raise UserError(f"{json_file}: {error}") from error
    describe_dataset(name, taxonomy, evaluator_type="ytvis")
    metadata.set(thing_dataset_id_to_contiguous_id=numbers)


def _load(name: str, json_file: Path, image_root: Path) -> list[Record]:
    content = read_ytvis(json_file)
    _describe(name, content)
    return ytvis_records(json_file, content, image_root)


def ytvis_records(
    json_file: str | Path, content: dict[str, Any], image_root: str | Path = ""
) -> list[Record]:
    """Return the records of a file; see the docstring of this module.

    Args:
        json_file: for errors.
        content: what :func:`read_ytvis` returned.
        image_root: folder of the frames.

    Raises:
        UserError: if an entry is not of the right form, or does not fit the others.
    """
    records: dict[int, Record] = {}
    for video in content["videos"]:
        record = _to_record(json_file, video, Path(image_root))
        if record["video_id"] in records:
            raise _fault(json_file, f"two videos have the id {record['video_id']}")
        if content["annotations"] is not None:
            record["annotations"] = []
        records[record["video_id"]] = record
    if not records:
        raise _fault(json_file, "it has no video")
    numbers = category_numbers(json_file, content)
    for annotation in content["annotations"] or ():
        what = f"annotation {annotation.get('id')!r:.50}"
        video_id = _get(json_file, what, annotation, "video_id", int)
        if video_id not in records:
            raise _fault(json_file, f"{what} is of video {video_id}, which it does not have")
        tube = _to_tube(json_file, annotation, records[video_id], numbers)
        records[video_id]["annotations"].append(tube)
    _check_ids(json_file, content["annotations"] or ())
    return list(records.values())


def _to_record(json_file: str | Path, video: dict[str, Any], image_root: Path) -> Record:
    what = f"video {video.get('id')!r:.50}"
    files = _get(json_file, what, video, "file_names", list)
    if not files or not all(isinstance(file, str) and file for file in files):
        raise _fault(json_file, f"{what} has no list of file_names")
    if video.get("length", len(files)) != len(files):
        raise _fault(
            json_file, f"{what} has {len(files)} file_names, but length {video['length']!r:.50}"
        )
    height, width = (_get(json_file, what, video, key, int) for key in ("height", "width"))
    if min(height, width) < 1:
        raise _fault(json_file, f"{what} is of size {width}x{height}")
    return {
        "file_names": [str(image_root / file) for file in files],
        "video_id": _get(json_file, what, video, "id", int),
        "video_name": Path(files[0]).parent.name or str(video["id"]),
        "height": height,
        "width": width,
        "num_frames": len(files),
    }


def _to_tube(
    json_file: str | Path, annotation: dict[str, Any], record: Record, numbers: dict[int, int]
) -> Tube:
    what = f"annotation {annotation.get('id')!r:.50}"
    number = _get(json_file, what, annotation, "id", int)
    category = _get(json_file, what, annotation, "category_id", int)
    if category not in numbers:
        raise _fault(json_file, f"{what} is of category {category}, which it does not have")
    given = _get(json_file, what, annotation, "segmentations", list)
    areas = annotation.get("areas")
    for key, values in (("segmentations", given), ("areas", areas)):
        if values is None and key == "areas":
            continue
        if not isinstance(values, list) or len(values) != record["num_frames"]:
            raise _fault(
                json_file,
                f"the {key} of {what} are not one for each of the {record['num_frames']} frames "
                f"of video {record['video_id']}",
            )
    masks = []
    for index, segmentation in enumerate(given):
        try:
            masks.append(to_rle(segmentation, record["height"], record["width"]))
        except (ValueError, TypeError, OverflowError) as error:
            raise _fault(json_file, f"{what} has {error} in frame {index + 1}") from error
    if areas is None:
        areas = [None if mask is None else float(mask_utils.area(mask)) for mask in masks]
    if not all(area is None or isinstance(area, int | float) for area in areas):
        raise _fault(json_file, f"{what} has areas that are not numbers")
    return {
        "id": number,
        "category_id": numbers[category],
        "iscrowd": int(bool(annotation.get("iscrowd"))),
        "segmentations": masks,
        "areas": areas,
    }


def _check_ids(json_file: str | Path, annotations: Iterable[dict[str, Any]]) -> None:
    ids: set[int] = set()
    for annotation in annotations:
        if annotation["id"] in ids:
            raise _fault(json_file, f"two annotations have the id {annotation['id']}")
        ids.add(annotation["id"])


def _get(json_file: str | Path, what: str, entry: dict[str, Any], key: str, kind: type) -> Any:
    """Return a value of an entry, which must be there and of the right type."""
    value = entry.get(key)
    if not isinstance(value, kind) or isinstance(value, bool):
        words = {int: "whole number", str: "text", list: "list"}[kind]
        raise _fault(json_file, f"{what} has no {words} as {key}")
    return value
