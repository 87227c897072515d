"""A folder of labeled videos to train on, to which a session adds its own.

It has the form that ``docs/own_data.md`` describes, so ``register_frames`` and ``register_videos``
take it as it is: ``dataset.json`` has the classes, and ``video_<n>/`` the frames ``image_<k>.png``
and the class maps ``mask.npy``. Beside these, ``ytvis.json`` has the objects with their identities,
for ``register_ytvis_instances(name, folder / "ytvis.json", folder)``.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from vps_d2.data.layout import LAYOUT_FILE, VideoLayout, read_layout, write_layout
from vps_d2.data.object_maps import object_numbers
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import MASK_FILE, encode_frame, frame_path, group_videos, video_number
from vps_d2.data.ytvis import read_ytvis
from vps_d2.inference.vos.exporting import object_entry
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_folder, write_json
from vps_d2.io.folders import claim_folder
from vps_d2.io.video import fingerprint_video

if TYPE_CHECKING:
    from vps_d2.inference.vos.session import VOSSession

__all__ = ["TUBES_FILE", "add_to_dataset"]

TUBES_FILE = "ytvis.json"

_PARTS = {"segmentation": "segmentations", "bbox": "bboxes", "area": "areas"}


def add_to_dataset(session: "VOSSession", folder: Path, progress: bool = False) -> Path:
    """Add the frames and masks of a session to a data set, or replace those of the same video.

    Args:
        session: whose frames are added, as far as anything is known of them.
        folder: of the data set; made if it is missing.
        progress: show a progress bar.

    Returns:
        the folder of the video.

    Raises:
        UserError: if the folder holds something else, or cannot be written.
    """
    with claim_folder(folder):
        content = _read_content(folder)
        layout = _extend_layout(folder, session, bool(content["videos"]))
        # Its classes are there before a mask has them.
        write_layout(folder, layout)
        numbers = {name: k for k, name in enumerate(layout.taxonomy.thing_classes, 1)}
        content["categories"] = [{"id": k, "name": name} for name, k in numbers.items()]
        number, video_id = _take_out(content, folder, fingerprint_video(session.source.path))
        video = folder / f"video_{number}"
        with write_folder(video) as fresh:
            count, entries = _write_video(session, fresh, numbers, progress)
        content["videos"].append(
            {
                "id": video_id,
                "file_names": [frame_path(video.name, k).as_posix() for k in range(count)],
                "length": count,
                "height": session.size[0],
                "width": session.size[1],
                "fingerprint": fingerprint_video(session.source.path),
            }
        )
        content["videos"].sort(key=lambda each: each["id"])
        last = max((each["id"] for each in content["annotations"]), default=0)
        for place, (number, parts) in enumerate(entries.items(), 1):
            category = numbers[session.objects[number]]
            ids = {"id": last + place, "video_id": video_id, "category_id": category}
            content["annotations"].append({**ids, "iscrowd": 0, **parts})
        write_json(folder / TUBES_FILE, content, indent=None)
    return video


def _read_content(folder: Path) -> dict[str, Any]:
    """Return the content of the JSON file of a data set; an empty one for an empty folder."""
    if not any(path for path in folder.iterdir() if not path.name.startswith(".vps_d2")):
        return {"videos": [], "categories": [], "annotations": []}
    if not (folder / LAYOUT_FILE).is_file():
        raise UserError(f"{folder} holds something that is no data set; choose another folder.")
    if not (folder / TUBES_FILE).is_file() and group_videos(folder):
        raise UserError(
            f"{folder} holds a data set without {TUBES_FILE}, so no video is added to it; choose "
            "another folder."
        )
    if not (folder / TUBES_FILE).is_file():
        return {"videos": [], "categories": [], "annotations": []}
    content = read_ytvis(folder / TUBES_FILE)
    content["annotations"] = content["annotations"] or []
    return content


def _take_out(content: dict[str, Any], folder: Path, fingerprint: str) -> tuple[int, int]:
    """Take an earlier version of a video out of the content of a file.

    Returns:
        the number and the id of the video, or those that are free.
    """
    for video in content["videos"]:
        if video.get("fingerprint") == fingerprint:
            content["videos"].remove(video)
            content["annotations"] = [
                each for each in content["annotations"] if each["video_id"] != video["id"]
            ]
            return video_number(Path(video["file_names"][0]).parent.name), video["id"]
    last = max((video["id"] for video in content["videos"]), default=0)
    return max(group_videos(folder), default=-1) + 1, last + 1


def _extend_layout(folder: Path, session: "VOSSession", has_videos: bool) -> VideoLayout:
    """Return the layout of a data set with the classes of a session."""
    classes = list(session.objects.values())
    is_object = len(set(classes)) == len(classes)
    if not (folder / LAYOUT_FILE).is_file():
        return VideoLayout(Taxonomy(tuple(sorted(set(classes))), one_object_per_class=is_object))
    known = read_layout(folder).taxonomy
    new = tuple(sorted(set(classes) - set(known.thing_classes)))
    is_object = is_object and (known.one_object_per_class or not has_videos)
    # The colors and groups of a longer list are not known.
    colors, groups = ((), ()) if new else (known.thing_colors, known.thing_groups)
    return VideoLayout(Taxonomy((*known.thing_classes, *new), colors, groups, is_object))


def _write_video(
    session: "VOSSession", folder: Path, numbers: dict[str, int], progress: bool
) -> tuple[int, dict[int, dict[str, list[Any]]]]:
    """Write frames and class maps.

    Returns:
        the number of frames, and the lists of YouTube-VIS's form for each object.
    """
    known = session.known_frames
    classes = np.zeros(256, np.uint8)
    for number, name in session.objects.items():
        classes[number] = numbers[name]
    lists: dict[int, dict[str, list[Any]]] = {
        number: {key: [] for key in _PARTS.values()} for number in session.objects
    }
    maps = np.lib.format.open_memmap(
        folder / MASK_FILE, "w+", np.uint8, (len(known), *session.size)
    )
    wanted, count = set(known), 0
    bar = tqdm(total=len(known), desc="exporting", unit="frame", disable=not progress)
    with bar:
        for frame in session.source.frames(known[0], known[-1] + 1):
            object_map = session.object_map(frame.index) if frame.index in wanted else None
            if object_map is None:
                continue
            frame_path(folder, count).write_bytes(encode_frame(frame.picture).tobytes())
            maps[count] = classes[object_map]
            present = object_numbers(object_map)
            for number, parts in lists.items():
                entry = object_entry(object_map == number) if number in present else {}
                for part, key in _PARTS.items():
                    parts[key].append(entry.get(part))
            count += 1
            bar.update()
    if count < len(known):  # the others cannot be read
        np.save(folder / MASK_FILE, np.array(maps[:count]))
    seen = {number: parts for number, parts in lists.items() if any(parts["areas"])}
    return count, seen
