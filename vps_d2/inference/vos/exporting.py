"""The object maps of a session in the forms of other programs; memory does not grow with the video.

=========  ================================================================================
palette    a folder of PNGs with DAVIS's palette, ``000000.png`` for frame 0
binary     a folder for each object, ``1/000000.png``, of black and white pictures
coco       a JSON file of COCO's form, an image for each frame
ytvis      a JSON file of YouTube-VIS's form, a tube for each object
overlay    an MP4 of the video with its sound, in which the objects are tinted
dataset    a folder to train on, to which the video is added; see
           :mod:`vps_d2.inference.vos.dataset`
=========  ================================================================================

Frames of which nothing is known are left out, except of ``overlay``.
"""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
from tqdm import tqdm

from vps_d2.data.object_maps import OBJECT_PALETTE, object_numbers
from vps_d2.data.tubes import encode_mask
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, write_folder, write_whole
from vps_d2.io.pictures import encode_palette_png
from vps_d2.io.video import numbered_png
from vps_d2.io.video_writing import VideoWriter
from vps_d2.visualization.drawing import format_label, label_objects, overlay_mask

if TYPE_CHECKING:
    from vps_d2.inference.vos.session import VOSSession

__all__ = ["FORMS", "export_session", "known_maps", "object_entry"]


def export_session(
    session: "VOSSession", path: Path, form: str, *, progress: bool = False
) -> list[str]:
    """Write what is known of a session's frames.

    Args:
        session: to write.
        path: of the file or folder, which is replaced; a data set is added to.
        form: one of :data:`FORMS`.
        progress: show a progress bar.

    Returns:
        sentences about what the files have that the frames have not, such as a row of pixels.

    Raises:
        UserError: if nothing is known yet, or the files cannot be written.
    """
    if form not in FORMS:
        raise UserError(f"there is no form {form}; choose one of {', '.join(FORMS)}.")
    if not session.known_frames:
        raise UserError(f"nothing is known in {session.folder} yet; give a mask first.")
    return FORMS[form](session, path, progress) or []


def known_maps(session: "VOSSession", progress: bool = False) -> Iterator[tuple[int, np.ndarray]]:
    """Yield the index and the object map of each frame of which anything is known, in order."""
    for index in tqdm(session.known_frames, desc="exporting", unit="frame", disable=not progress):
        object_map = session.object_map(index)
        assert object_map is not None
        yield index, object_map


def object_entry(mask: np.ndarray) -> dict[str, Any]:
    """Return ``segmentation``, ``bbox`` (XYWH) and ``area`` of a mask bool ``(H, W)``, as COCO."""
    rle = encode_mask(mask)
    return {
        "segmentation": {"size": rle["size"], "counts": rle["counts"].decode()},
        "bbox": list(cv2.boundingRect(mask.view(np.uint8))),
        "area": int(np.count_nonzero(mask)),
    }


def _categories(session: "VOSSession") -> tuple[list[dict[str, Any]], dict[str, int]]:
    """Return COCO's list of categories, and the id of each by its name."""
    ids = {name: k for k, name in enumerate(dict.fromkeys(session.objects.values()), 1)}
    return [{"id": number, "name": name} for name, number in ids.items()], ids


def _check_folder(path: Path, pattern: str) -> None:
    """Check that a folder holds nothing but an earlier export, which may be replaced.

    Raises:
        UserError: if something in it does not have a name of this pattern.
    """
    for entry in path.iterdir() if path.is_dir() else ():
        if not re.fullmatch(pattern, entry.name):
            raise UserError(f"{path} also holds {entry.name}; choose another folder.")


def _export_palette(session: "VOSSession", path: Path, progress: bool) -> None:
    _check_folder(path, r"\d+\.png")
    with write_folder(path) as folder:
        for index, object_map in known_maps(session, progress):
            data = encode_palette_png(object_map, OBJECT_PALETTE)
            (folder / numbered_png(index)).write_bytes(data)


def _export_binary(session: "VOSSession", path: Path, progress: bool) -> None:
    _check_folder(path, r"\d+")
    with write_folder(path) as folder:
        for number in session.objects:
            (folder / str(number)).mkdir()
        for index, object_map in known_maps(session, progress):
            for number in session.objects:
                mask = np.where(object_map == number, 255, 0).astype(np.uint8)
                data = cv2.imencode(".png", mask)[1]
                (folder / str(number) / numbered_png(index)).write_bytes(data.tobytes())


def _export_coco(session: "VOSSession", path: Path, progress: bool) -> None:
    categories, ids = _categories(session)
    names, size = session.objects, {"height": session.size[0], "width": session.size[1]}
    images, count = [], 0
    check_output(path, [session.source.path])
    with write_whole(path, [session.source.path]) as file:
        file.write(b'{"annotations": [')
        for index, object_map in known_maps(session, progress):
            picture = session.source.picture_name(index)
            image = {"id": index + 1, "file_name": picture, "frame_index": index, **size}
            images.append(image)
            for number in object_numbers(object_map):
                count += 1
                entry = {
                    "id": count,
                    "image_id": index + 1,
                    "category_id": ids[names[number]],
                    "track_id": number,
                    "iscrowd": 0,
                    **object_entry(object_map == number),
                }
                file.write(f"{', ' if count > 1 else ''}{json.dumps(entry)}".encode())
        rest = {"images": images, "categories": categories}
        file.write(b"], " + json.dumps(rest)[1:].encode() + b"\n")


def _export_ytvis(session: "VOSSession", path: Path, progress: bool) -> None:
    check_output(path, [session.source.path])
    with write_whole(path, [session.source.path]) as file:
        write_ytvis(session, file.write, path.parent, known_maps(session, progress))


def write_ytvis(
    session: "VOSSession",
    write: Callable[[bytes], Any],
    scratch: Path,
    maps: Iterator[tuple[int, np.ndarray]],
) -> None:
    """Write JSON of YouTube-VIS's form.

    Args:
        session: of the objects.
        write: takes the next bytes.
        scratch: folder for files while the JSON is written, which is then as it was.
        maps: index and object map of each frame.
    """
    categories, ids = _categories(session)
    parts = ("segmentation", "bbox", "area")
    indices: list[int] = []
    with ExitStack() as stack:
        # The parts of each object have files of their own until all frames are known.
        folder = Path(stack.enter_context(TemporaryDirectory(dir=scratch, prefix=".vps_d2-")))
        files = {
            (number, part): stack.enter_context((folder / f"{number}_{part}").open("w+b"))
            for number in session.objects
            for part in parts
        }
        for index, object_map in maps:
            for number in session.objects:
                mask = object_map == number
                entry = object_entry(mask) if mask.any() else dict.fromkeys(parts)
                for part in parts:
                    comma = ", " if indices else ""
                    files[number, part].write(f"{comma}{json.dumps(entry[part])}".encode())
            indices.append(index)
        names = [f"{session.source.name}/{session.source.picture_name(k)}" for k in indices]
        height, width = session.size
        video = {"id": 1, "file_names": names, "frame_indices": indices, "length": len(names)}
        head = {"videos": [{**video, "height": height, "width": width}], "categories": categories}
        write(json.dumps(head)[:-1].encode() + b', "annotations": [')
        for place, (number, name) in enumerate(session.objects.items()):
            entry = {"id": number, "video_id": 1, "category_id": ids[name], "iscrowd": 0}
            write(b", " * bool(place) + json.dumps(entry)[:-1].encode())
            for part, key in zip(parts, ("segmentations", "bboxes", "areas"), strict=True):
                write(f', "{key}": ['.encode())
                file = files[number, part]
                file.seek(0)
                while data := file.read(1 << 20):
                    write(data)
                write(b"]")
            write(b"}")
        write(b"]}\n")


def _export_overlay(session: "VOSSession", path: Path, progress: bool) -> list[str]:
    source, known = session.source, set(session.known_frames)
    check_output(path, [source.path])
    sound = source.path if source.path.is_file() else None
    frames = source.frames()
    first = next(frames)
    shape = (source.height, source.width, source.rate)
    with VideoWriter(
        path, *shape, sound_from=sound, time_base=source.time_base, origin=first.time
    ) as writer:
        bar = tqdm(total=source.num_frames, desc="drawing", unit="frame", disable=not progress)
        with bar:
            for frame in chain([first], frames):
                picture = frame.picture
                if frame.index in known:
                    object_map = session.object_map(frame.index)
                    assert object_map is not None
                    picture = draw_objects(picture, object_map, session.objects)
                writer.write(picture, frame.time)
                bar.update()
    return list(writer.notes)


def draw_objects(picture: np.ndarray, object_map: np.ndarray, names: dict[int, str]) -> np.ndarray:
    """Return a frame with its objects tinted and labeled.

    Args:
        picture: uint8 RGB ``(H, W, 3)``.
        object_map: uint8 ``(H, W)``.
        names: class names of the objects, by number.
    """
    drawn = overlay_mask(picture, object_map, OBJECT_PALETTE)
    labels = []
    for number in object_numbers(object_map):
        x, y, _, _ = cv2.boundingRect((object_map == number).astype(np.uint8))
        text = format_label(number, names[number], len(picture))
        red, green, blue = OBJECT_PALETTE[number].tolist()
        labels.append((text, (x, y), (red, green, blue)))
    label_objects(drawn, labels)
    return drawn


def _export_dataset(session: "VOSSession", path: Path, progress: bool) -> None:
    from vps_d2.inference.vos.dataset import add_to_dataset

    add_to_dataset(session, path, progress)


FORMS: dict[str, Callable[["VOSSession", Path, bool], list[str] | None]] = {
    "palette": _export_palette,
    "binary": _export_binary,
    "coco": _export_coco,
    "ytvis": _export_ytvis,
    "overlay": _export_overlay,
    "dataset": _export_dataset,
}
"""Writers of the forms; the docstring of this module says what they are."""
