"""``dataset.json``: what it says of a folder of videos, and each way of writing it wrong."""

import json
from pathlib import Path
from typing import Any

import pytest

from vps_d2.data.layout import LAYOUT_FILE, VPS_LAYOUT, VideoLayout, read_layout, write_layout
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.io.errors import UserError

LAYOUT = VideoLayout(
    Taxonomy(("cat", "dog"), ((1, 2, 3), (4, 5, 6)), (1, 0), one_object_per_class=True), 40, 10
)


def test_what_is_written_is_read_also_from_the_folder_below(tmp_path: Path) -> None:
    (tmp_path / "val").mkdir()
    write_layout(tmp_path, LAYOUT)
    assert read_layout(tmp_path) == read_layout(tmp_path / "val") == LAYOUT
    plain = VideoLayout(Taxonomy(("cat",)))
    write_layout(tmp_path / "val", plain)
    assert read_layout(tmp_path / "val").num_frames is None
    assert read_layout(tmp_path / "val").taxonomy.thing_classes == ("cat",)
    assert read_layout(tmp_path) == LAYOUT


def test_a_folder_without_the_file_is_of_the_vps_data_set(tmp_path: Path) -> None:
    assert read_layout(tmp_path) == read_layout(tmp_path / "absent") == VPS_LAYOUT
    write_layout(tmp_path, VPS_LAYOUT)
    assert not list(tmp_path.iterdir())


def test_only_the_classes_are_needed(tmp_path: Path) -> None:
    (tmp_path / LAYOUT_FILE).write_text('{"thing_classes": ["cat"]}')
    assert read_layout(tmp_path) == VideoLayout(Taxonomy(("cat",)), None, 1)


GOOD = {"thing_classes": ["cat", "dog"]}


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ([], "must hold one object"),
        (5, "must hold one object"),
        ({}, "has no thing_classes; add"),
        ({"num_frames": 3}, "has no thing_classes; add"),
        ({**GOOD, "classes": 3}, 'the key "classes" is unknown; use some of thing_classes, '),
        ({"thing_classes": "cat"}, 'thing_classes is "cat"; give a list of names'),
        ({"thing_classes": [1, 2]}, r"thing_classes is \[1, 2\]; give a list of names"),
        ({"thing_classes": None}, "thing_classes is null; give a list of names"),
        ({"thing_classes": []}, "has 0 object classes; give 1 to 254"),
        ({"thing_classes": list(map(str, range(255)))}, "has 255 object classes; give 1 to 254"),
        ({"thing_classes": ["a", "a"]}, 'are called "a"; give each'),
        ({**GOOD, "thing_colors": "red"}, r"thing_colors is \"red\"; give a list of \[red, green"),
        ({**GOOD, "thing_colors": [[1, 2], [3, 4]]}, "thing_colors is .*; give a list of"),
        ({**GOOD, "thing_colors": [[1, 2, 0.5], [3, 4, 5]]}, "thing_colors is .*; give a list of"),
        ({**GOOD, "thing_colors": [[1, 2, 3]]}, "has 2 object classes but 1 colors"),
        ({**GOOD, "thing_colors": [[1, 2, 3], [4, 5, 256]]}, r"\(4, 5, 256\) is not a color"),
        ({**GOOD, "thing_groups": 3}, "thing_groups is 3; give a list of whole numbers"),
        ({**GOOD, "thing_groups": ["a", "b"]}, "thing_groups is .*; give a list of whole numbers"),
        ({**GOOD, "thing_groups": [1, 2]}, r"groups of a taxonomy are \(1, 2\); number them"),
        ({**GOOD, "one_object_per_class": "false"}, 'per_class is "false"; give true or false'),
        ({**GOOD, "num_frames": "40"}, 'num_frames is "40"; give a whole number'),
        ({**GOOD, "num_frames": 40.5}, "num_frames is 40.5; give a whole number"),
        ({**GOOD, "num_frames": True}, "num_frames is true; give a whole number"),
        ({**GOOD, "num_frames": None}, "num_frames is null; give a whole number"),
        ({**GOOD, "num_known_frames": 0}, "of which 0 are known; give"),
        (
            {**GOOD, "num_frames": 4, "num_known_frames": 5},
            "cannot have 4 frames of which 5 are known",
        ),
    ],
)
def test_each_wrong_content_is_one_sentence(content: Any, words: str, tmp_path: Path) -> None:
    path = tmp_path / LAYOUT_FILE
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=words) as error:
        read_layout(tmp_path)
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"", b"{", b"thing_classes: [cat]", b"\xff\xfe\x00"])
def test_what_is_no_json_is_one_sentence(content: bytes, tmp_path: Path) -> None:
    (tmp_path / LAYOUT_FILE).write_bytes(content)
    with pytest.raises(
        UserError, match=r"dataset\.json is not a JSON file .*; correct it"
    ) as error:
        read_layout(tmp_path)
    assert "\n" not in str(error.value)
