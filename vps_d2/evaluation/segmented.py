"""The results of ``vps-d2 segment`` on the videos of a data set, in the form that is scored."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vps_d2.data.datasets import Record
from vps_d2.inference.segmentation_results import RESULT_FILE
from vps_d2.inference.video_segmentation import read_manifest
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json

_MAX_BYTES = 10**9


def collect_results(
    folder: Path, records: Sequence[Record], numbers: Mapping[int, int], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Collect the tubes of all videos of a data set.

    Args:
        folder: that holds the folder of results of each video, under its name.
        records: of the data set, with ``video_id``, ``video_name`` and ``num_frames``.
        numbers: from the data set's category ids to class numbers minus one.
        names: of the classes.

    Returns:
        results in YouTube-VIS's form, with the ids of the data set.

    Raises:
        UserError: if a video is missing or was not segmented as a whole, or a class is unknown.
    """
    ids = {names[number]: category for category, number in numbers.items()}
    results = []
    for record in records:
        name = record["video_name"]
        manifest = read_manifest(folder / name)
        if manifest is None or not manifest.get("complete"):
            raise UserError(
                f"{folder} holds no complete result for video {name}; run vps-d2 segment on all "
                "videos of the data set, with this folder as its --output."
            )
        if manifest.get("num_frames") != record["num_frames"]:
            raise UserError(
                f"{folder / name} has {manifest.get('num_frames')} frames, but video {name} has "
                f"{record['num_frames']}; segment it without --start, --end and --stride."
            )
        for entry in _read_result(folder / name / RESULT_FILE):
            if entry["category"] not in ids:
                raise UserError(
                    f"{folder / name} has an object of the class {entry['category']}, which the "
                    "data set does not know; use a model with its classes."
                )
            category_id = ids[entry["category"]]
            results.append({**entry, "video_id": record["video_id"], "category_id": category_id})
    return results


def _read_result(path: Path) -> list[dict[str, Any]]:
    try:
        content = read_json(path, _MAX_BYTES)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); segment it again.") from error
    except ValueError:
        content = None
    if not isinstance(content, list) or not all(
        isinstance(entry, dict) and isinstance(entry.get("category"), str) for entry in content
    ):
        raise UserError(f"{path} is damaged; segment the video again.")
    return content
