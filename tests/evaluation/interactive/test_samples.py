"""Videos and first scribbles in the layouts of data sets."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.interactive.stub import write_scribbles, write_video
from tests.inference.vos.stub import draw, truth
from vps_d2.evaluation.interactive.samples import (
    find_videos,
    make_first_scribbles,
    read_scribbles,
)
from vps_d2.io.errors import UserError


def test_both_layouts(tmp_path: Path) -> None:
    write_video(tmp_path / "own/boxes/frames", tmp_path / "own/boxes/masks", 4)
    write_video(
        tmp_path / "davis/JPEGImages/480p/boxes", tmp_path / "davis/Annotations/480p/boxes", 4
    )
    for name in ("002", "001"):
        write_scribbles(tmp_path / f"davis/Scribbles/boxes/{name}.json", 4)
    (own,), (davis,) = find_videos(tmp_path / "own"), find_videos(tmp_path / "davis", ["boxes"])
    assert own.scribbles == () and [each.stem for each in davis.scribbles] == ["001", "002"]
    for video in (own, davis):
        assert (video.name, video.open().num_frames) == ("boxes", 4)
        np.testing.assert_array_equal(video.truth(3), truth(3))
    prints = {own.fingerprint(None), *map(davis.fingerprint, (None, *davis.scribbles))}
    assert len(prints) == 3  # the same video, wherever it lies, and without scribbles or with


def test_pixels_that_nobody_labeled_are_of_no_object(tmp_path: Path) -> None:
    write_video(tmp_path / "boxes/frames", tmp_path / "boxes/masks", 1)
    labels = truth(0)
    labels[0] = 255
    Image.fromarray(labels).save(tmp_path / "boxes/masks/00000.png")
    np.testing.assert_array_equal(find_videos(tmp_path)[0].truth(0), truth(0))


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write_video(tmp_path / "boxes/frames", tmp_path / "boxes/masks", 3)
    with pytest.raises(UserError, match="no video spheres; it has boxes"):
        find_videos(tmp_path, ["spheres"])
    (tmp_path / "boxes/masks/00001.png").unlink()
    with pytest.raises(UserError, match="has 3 frames, but there are 2 true masks"):
        find_videos(tmp_path)[0].open()
    (tmp_path / "boxes/frames").rename(tmp_path / "boxes/pictures")
    with pytest.raises(UserError, match="no frames of the video boxes"):
        find_videos(tmp_path)


def test_the_frame_with_scribbles(tmp_path: Path) -> None:
    write_scribbles(tmp_path / "001.json", 5, frame=3)
    index, scribbles = read_scribbles(tmp_path / "001.json", 5)
    assert index == 3 and [each.number for each in scribbles] == [1, 2]
    assert scribbles[0].path.shape == (2, 2) and scribbles[0].path.max() <= 1


@pytest.mark.parametrize(
    "content",
    [
        "[]",
        "{",
        "null",
        '{"scribbles": [[], [], []]}',
        '{"scribbles": [[{"path": [[0.1, 0.2]], "object_id": 1}]]}',
        '{"scribbles": [[{"path": [[0.1, 0.2]], "object_id": true}], [], []]}',
        '{"scribbles": [[{"path": [[0.1]], "object_id": 1}], [], []]}',
        '{"scribbles": [[{"path": [], "object_id": 1}], [], []]}',
        '{"scribbles": [[{"path": [[NaN, 1]], "object_id": 1}], [], []]}',
        '{"scribbles": [[{"path": [["a", 1]], "object_id": 1}], [], []]}',
        '{"scribbles": [[{"path": [[0.1, 0.2]]}], [], []]}',
    ],
)
def test_wrong_scribbles(content: str, tmp_path: Path) -> None:
    (tmp_path / "001.json").write_text(content)
    with pytest.raises(UserError, match=r"001\.json (is no file of|has) scribbles"):
        read_scribbles(tmp_path / "001.json", 3)


def test_the_robot_begins_where_most_objects_are(tmp_path: Path) -> None:
    write_video(tmp_path / "boxes/frames", tmp_path / "boxes/masks", 6)
    index, scribbles = make_first_scribbles(find_videos(tmp_path)[0])
    assert index == 3 and [each.number for each in scribbles] == [1, 2]
    write_video(
        tmp_path / "empty/frames", tmp_path / "empty/masks", 2, draw, lambda _: truth(0) * 0
    )
    with pytest.raises(UserError, match="no object that is large enough"):
        make_first_scribbles(find_videos(tmp_path, ["empty"])[0])
    assert json.dumps(index)  # a number of Python, not of NumPy
