"""The layout of a folder of videos: classes, and number of frames.

A ``dataset.json`` in a folder of videos, or in the folder above it, describes them::

    {"thing_classes": ["cat", "dog"], "num_frames": 40, "num_known_frames": 10}

Further keys are ``thing_colors``, ``thing_groups`` and ``one_object_per_class`` (see
:class:`~vps_d2.data.taxonomy.Taxonomy`). A folder without such a file holds videos of the vps data
set. Nothing here imports PyTorch.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.vps import NUM_FRAMES, NUM_INPUT_FRAMES, TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.io.files import read_json, write_json

LAYOUT_FILE = "dataset.json"


@dataclass(frozen=True)
class VideoLayout:
    """The classes and numbers of frames of a data set of videos.

    Args:
        taxonomy: their classes.
        num_frames: frames of a whole video; None if that varies.
        num_known: frames that every video has at least, including hidden ones.

    Raises:
        UserError: if a number is not positive, or a whole video has fewer than ``num_known``
            frames.
    """

    taxonomy: Taxonomy
    num_frames: int | None = None
    num_known: int = 1

    def __post_init__(self) -> None:
        if self.num_known < 1 or (self.num_frames is not None and self.num_frames < self.num_known):
            raise UserError(
                f"videos cannot have {self.num_frames} frames of which {self.num_known} are "
                "known; give num_known 1 or more, and num_frames no less than that."
            )


VPS_LAYOUT = VideoLayout(TAXONOMY, NUM_FRAMES, NUM_INPUT_FRAMES)
"""Of the vps data set."""


def read_layout(root: str | Path) -> VideoLayout:
    """Read the layout of a folder of videos from its ``dataset.json``.

    Args:
        root: folder of videos; the file lies in it or in the folder above.

    Returns:
        the layout; that of the vps data set if there is no such file.

    Raises:
        UserError: if the file does not have this form.
    """
    for folder in (Path(root), Path(root).resolve().parent):
        path = folder / LAYOUT_FILE
        if path.is_file():
            return _parse(path)
    return VPS_LAYOUT


def write_layout(root: str | Path, layout: VideoLayout) -> None:
    """Write the ``dataset.json`` of a folder of videos; the vps data set needs none.

    Raises:
        UserError: if the file cannot be written.
    """
    if layout == VPS_LAYOUT:
        return
    taxonomy = layout.taxonomy
    content: dict[str, Any] = {
        "thing_classes": taxonomy.thing_classes,
        "thing_colors": taxonomy.colors,
        "thing_groups": taxonomy.groups,
        "one_object_per_class": taxonomy.one_object_per_class,
        "num_known_frames": layout.num_known,
    }
    if layout.num_frames is not None:
        content["num_frames"] = layout.num_frames
    write_json(Path(root, LAYOUT_FILE), content)


def _parse(path: Path) -> VideoLayout:
    try:
        content: Any = read_json(path)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); check its permissions."
        ) from error
    except ValueError as error:  # also if the bytes are not text
        raise UserError(f"{path} is not a JSON file ({error}); correct it.") from error
    try:
        return _to_layout(content)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def _to_layout(content: Any) -> VideoLayout:
    if not isinstance(content, dict):
        raise UserError('it must hold one object, such as {"thing_classes": ["cat", "dog"]}.')
    unknown = sorted(set(content) - set(_FORMS))
    if unknown:
        raise UserError(f'the key "{unknown[0]}" is unknown; use some of {", ".join(_FORMS)}.')
    if "thing_classes" not in content:
        raise UserError("it has no thing_classes; add the names of the object classes.")
    for key, value in content.items():
        form, fits = _FORMS[key]
        if not fits(value):
            raise UserError(f"{key} is {json.dumps(value)}; give {form}.")
    taxonomy = Taxonomy(
        tuple(content["thing_classes"]),
        tuple((red, green, blue) for red, green, blue in content.get("thing_colors", ())),
        tuple(content.get("thing_groups", ())),
        content.get("one_object_per_class", False),
    )
    return VideoLayout(taxonomy, content.get("num_frames"), content.get("num_known_frames", 1))


def _is_number(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_color(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 3 and all(map(_is_number, value))


def _is_list(value: Any, fits: Callable[[Any], bool]) -> bool:
    return isinstance(value, list) and all(map(fits, value))


_FORMS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "thing_classes": (
        "a list of names",
        lambda value: _is_list(value, lambda name: isinstance(name, str)),
    ),
    "thing_colors": ("a list of [red, green, blue]", lambda value: _is_list(value, _is_color)),
    "thing_groups": ("a list of whole numbers", lambda value: _is_list(value, _is_number)),
    "one_object_per_class": ("true or false", lambda value: isinstance(value, bool)),
    "num_frames": ("a whole number", _is_number),
    "num_known_frames": ("a whole number", _is_number),
}
"""What the value of each key must be, in words and as a test."""
