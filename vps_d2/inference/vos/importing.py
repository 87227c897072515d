"""Object maps of other programs, to be given in a session."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from vps_d2.data.object_maps import numbered_pngs, read_object_map
from vps_d2.data.tubes import decode_mask, to_rle
from vps_d2.data.ytvis import category_numbers, read_ytvis, ytvis_records
from vps_d2.inference.vos.state import DEFAULT_NAME
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json
from vps_d2.io.video import VideoSource

__all__ = ["read_masks"]

Maps = Iterator[tuple[int, np.ndarray]]
"""Index of a frame, and its object map."""

_MAX_BYTES = 4_000_000_000
_TRACK_KEYS = ("track_id", "instance_id", "object_id")


def read_masks(path: Path, source: VideoSource) -> tuple[dict[int, str], Maps]:
    """Read the object maps of a video.

    Args:
        path: a folder of PNGs of object numbers, named by the frames' indices; one with a folder of
            black and white PNGs for each object; a folder that ``vps-d2 propagate`` wrote; or a
            JSON file in the form of COCO or YouTube-VIS.
        source: the video, of which a file with several videos may name one.

    Returns:
        the class names of objects, as far as they have some, by number; and the maps.

    Raises:
        UserError: if it is none of these, or does not fit the video. What is wrong with a mask is
            only found when the maps are read.
    """
    if path.is_dir():
        for folder in (path / "masks", path):
            if numbered_pngs(folder):
                return {}, _read_palette(folder)
        objects = {int(each.name): each for each in path.iterdir() if each.name.isdecimal()}
        objects = {number: each for number, each in objects.items() if 1 <= number <= 255}
        if not any(numbered_pngs(each) for each in objects.values()):
            raise UserError(f"{path} holds no masks; give a folder of PNGs, or a JSON file.")
        return {}, _read_binary(objects)
    try:
        content = read_json(path, _MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); check the path.") from error
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file ({error}); give one of COCO's form.") from error
    if isinstance(content, dict) and "videos" in content:
        return _read_ytvis(path, source)
    if isinstance(content, dict) and "images" in content:
        return _read_coco(path, content, source)
    raise UserError(f"{path} has neither images, as COCO has, nor videos, as YouTube-VIS has.")


def _read_palette(folder: Path) -> Maps:
    for index, path in numbered_pngs(folder).items():
        yield index, read_object_map(path)


def _read_binary(objects: dict[int, Path]) -> Maps:
    frames: dict[int, dict[int, Path]] = defaultdict(dict)
    for number, folder in sorted(objects.items()):
        for index, path in numbered_pngs(folder).items():
            frames[index][number] = path
    for index, paths in sorted(frames.items()):
        masks = {number: read_object_map(path) > 0 for number, path in paths.items()}
        yield index, _combine(masks, next(iter(masks.values())).shape, str(folder))


def _combine(masks: dict[int, np.ndarray], size: tuple[int, ...], what: str) -> np.ndarray:
    """Return the object map of masks bool ``(H, W)``; the later ones lie on top."""
    object_map = np.zeros(size, np.uint8)
    for number, mask in masks.items():
        if mask.shape != object_map.shape:
            raise UserError(f"{what} has masks of different sizes in a frame; correct it.")
        object_map[mask] = number
    return object_map


def _read_ytvis(path: Path, source: VideoSource) -> tuple[dict[int, str], Maps]:
    content = read_ytvis(path)
    records = ytvis_records(path, content)
    numbers = category_numbers(path, content)
    names = {numbers[each["id"]]: _name(each) for each in content["categories"]}
    fitting = [each for each in records if each["video_name"] == source.name]
    if len(records) > 1 and len(fitting) != 1:
        raise UserError(
            f"{path} has {len(records)} videos, but none of them alone is called {source.name}; "
            "leave only this one in the file."
        )
    record = (fitting or records)[0]
    video = next(each for each in content["videos"] if each["id"] == record["video_id"])
    indices = video.get("frame_indices", list(range(record["num_frames"])))
    fit = isinstance(indices, list) and all(isinstance(k, int) and k >= 0 for k in indices)
    if not fit or len(indices) != record["num_frames"]:
        raise UserError(f"{path} has frame_indices that do not fit its file_names; correct it.")
    tubes = record.get("annotations", [])
    if len(tubes) > 255:
        raise UserError(f"{path} has {len(tubes)} objects; give a file of at most 255.")
    # The ids of the file are kept where they are numbers of objects.
    own = all(1 <= tube["id"] <= 255 for tube in tubes)
    ids = [tube["id"] if own else place for place, tube in enumerate(tubes, 1)]
    size = (record["height"], record["width"])
    _check_size(path, size, source)

    def read() -> Maps:
        for place, index in enumerate(indices):
            masks = {
                number: decode_mask(rle)
                for number, tube in zip(ids, tubes, strict=True)
                if (rle := tube["segmentations"][place]) is not None
            }
            yield index, _combine(masks, size, str(path))

    classes = {n: names[tube["category_id"]] for n, tube in zip(ids, tubes, strict=True)}
    return classes, read()


def _read_coco(
    path: Path, content: dict[str, Any], source: VideoSource
) -> tuple[dict[int, str], Maps]:
    try:
        names = {each["id"]: _name(each) for each in content.get("categories", [])}
        images = {each["id"]: each for each in content["images"]}
        grouped: dict[int, list[dict[str, Any]]] = defaultdict(list)
        for each in content["annotations"]:
            grouped[images[each["image_id"]]["id"]].append(each)
        numbers = _number_tracks(path, grouped)
        classes = {
            numbers[_track(each)]: names.get(each["category_id"], DEFAULT_NAME)
            for each in content["annotations"]
        }
        places = {number: _find_frame(path, images[number], source) for number in grouped}
        for number in grouped:
            _check_size(path, (images[number]["height"], images[number]["width"]), source)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{path} is not in the form of COCO ({error!r}); correct it.") from error

    def read() -> Maps:
        for image_id, index in sorted(places.items(), key=lambda item: item[1]):
            size = (source.height, source.width)
            masks = {}
            for each in grouped[image_id]:
                try:
                    rle = to_rle(each.get("segmentation"), *size)
                except (ValueError, TypeError, OverflowError) as error:
                    raise UserError(
                        f"{path} has {error} in annotation {each.get('id')}; correct it."
                    ) from error
                if rle is not None:
                    masks[numbers[_track(each)]] = decode_mask(rle)
            yield index, _combine(masks, size, str(path))

    return classes, read()


def _check_size(path: Path, size: tuple[Any, Any], source: VideoSource) -> None:
    if size != (source.height, source.width):
        raise UserError(
            f"{path} has masks of {size[1]} x {size[0]} pixels, but the video has {source.width} x "
            f"{source.height}; give masks of this video."
        )


def _name(category: dict[str, Any]) -> str:
    return str(category.get("name", "")).strip() or DEFAULT_NAME


def _track(annotation: dict[str, Any]) -> Any:
    """Return what says which object an annotation is of; its own id if nothing does."""
    for key in _TRACK_KEYS:
        if key in annotation:
            return annotation[key]
    return ("annotation", annotation["id"])


def _number_tracks(path: Path, grouped: dict[int, list[dict[str, Any]]]) -> dict[Any, int]:
    """Return the number of the object of each track."""
    tracks = list(dict.fromkeys(_track(each) for entries in grouped.values() for each in entries))
    unnamed = any(isinstance(track, tuple) for track in tracks)
    if unnamed and len(grouped) > 1:
        raise UserError(
            f"{path} does not say which objects of different frames are the same; give each "
            "annotation a track_id, or a file with one frame."
        )
    if len(tracks) > 255:
        raise UserError(f"{path} has {len(tracks)} objects; give a file of at most 255.")
    if all(isinstance(track, int) and 1 <= track <= 255 for track in tracks):
        return {track: track for track in tracks}
    return {track: number for number, track in enumerate(tracks, 1)}


def _find_frame(path: Path, image: dict[str, Any], source: VideoSource) -> int:
    """Return the index of the frame that an image of a file is."""
    if isinstance(image.get("frame_index"), int):
        return int(image["frame_index"])
    name = Path(image["file_name"]).name
    for index in range(source.num_frames or 0):
        if source.picture_name(index) == name:
            return index
    digits = Path(name).stem[len(Path(name).stem.rstrip("0123456789")) :]
    if not digits:
        raise UserError(
            f"{path} does not say which frame {name} is; give the image a frame_index, counted "
            "from 0."
        )
    return int(digits)
