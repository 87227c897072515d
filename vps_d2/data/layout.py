"""What the videos of a folder hold: their classes, and how many frames.

A folder of videos, or the folder above it, may describe itself in ``dataset.json``::

    {"thing_classes": ["cat", "dog"], "num_frames": 40, "num_known_frames": 10}

Further keys are ``thing_colors``, ``thing_groups`` and ``one_object_per_class`` (see
:class:`~vps_d2.data.taxonomy.Taxonomy`). A folder without such a file holds videos of the vps data
set. Nothing here imports PyTorch.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.vps import NUM_FRAMES, NUM_INPUT_FRAMES, TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.io.files import write_json

LAYOUT_FILE = "dataset.json"
_KEYS = {
    "thing_classes",
    "thing_colors",
    "thing_groups",
    "one_object_per_class",
    "num_frames",
    "num_known_frames",
}


@dataclass(frozen=True)
class VideoLayout:
    """What the videos of a data set hold.

    Args:
        taxonomy: their classes.
        num_frames: frames of a whole video; None where videos have any number.
        num_known: frames that every video has, hidden ones too.

    Raises:
        UserError: if a number is not positive, or a whole video has less than what is known.
    """

    taxonomy: Taxonomy
    num_frames: int | None = None
    num_known: int = 1

    def __post_init__(self) -> None:
        if self.num_known < 1 or (self.num_frames is not None and self.num_frames < self.num_known):
            raise UserError(
                f"videos of {self.num_frames} frames, of which {self.num_known} are known, cannot "
                "be; give num_known 1 or more, and num_frames no less."
            )


VPS_LAYOUT = VideoLayout(TAXONOMY, NUM_FRAMES, NUM_INPUT_FRAMES)
"""Of the vps data set."""


def read_layout(root: str | Path) -> VideoLayout:
    """Return what the videos in a folder hold, as its ``dataset.json`` says.

    Args:
        root: folder of videos; the file lies in it or in the folder above.

    Returns:
        the layout of the vps data set where there is no such file.

    Raises:
        UserError: if the file is not of this form.
    """
    for folder in (Path(root), Path(root).resolve().parent):
        path = folder / LAYOUT_FILE
        if path.is_file():
            return _parse(path)
    return VPS_LAYOUT


def write_layout(root: str | Path, layout: VideoLayout) -> None:
    """Describe a folder of videos in ``dataset.json``; for the vps data set none is needed.

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
        content: Any = json.loads(path.read_text(encoding="utf-8"))
        unknown = sorted(set(content) - _KEYS)
        if unknown:
            raise ValueError(f"unknown key {unknown[0]}")
        taxonomy = Taxonomy(
            tuple(str(name) for name in content["thing_classes"]),
            tuple((int(r), int(g), int(b)) for r, g, b in content.get("thing_colors", ())),
            tuple(int(group) for group in content.get("thing_groups", ())),
            bool(content.get("one_object_per_class", False)),
        )
        num_frames = content.get("num_frames")
        return VideoLayout(
            taxonomy,
            None if num_frames is None else int(num_frames),
            int(content.get("num_known_frames", 1)),
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    except KeyError as error:
        raise UserError(f"{path} has no {error}; add it.") from error
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(
            f"{path} does not describe videos ({error}); see docs/own_data.md for its form."
        ) from error
