"""Pictures: colors, sizes, and files that other programs read."""

from pathlib import Path

import cv2
import imageio.v3 as iio
import numpy as np
import pytest

from vps_d2.data.vps import CLASS_COLORS, TAXONOMY
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import write_gif, write_mp4, write_png
from vps_d2.visualization.drawing import (
    caption,
    colorize_mask,
    contact_sheet,
    enlarge,
    label_objects,
    overlay_mask,
    strip,
)


@pytest.fixture
def frame() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (20, 31, 3), dtype=np.uint8)


def test_every_class_has_its_color() -> None:
    mask = np.arange(49, dtype=np.uint8).reshape(7, 7)
    assert (colorize_mask(mask, TAXONOMY).reshape(49, 3) == CLASS_COLORS).all()


def test_overlay_leaves_the_background_and_draws_outlines(frame: np.ndarray) -> None:
    mask = np.zeros((20, 31), np.uint8)
    assert (overlay_mask(frame, mask, TAXONOMY.palette) == frame).all()
    mask[5:15, 5:15] = 9
    picture = overlay_mask(frame, mask, TAXONOMY.palette)
    assert (picture[mask == 0] == frame[mask == 0]).all()
    assert (picture[5, 5:15] == CLASS_COLORS[9]).all()
    assert (picture[8, 8] != CLASS_COLORS[9]).any()


def test_small_pictures_grow_by_whole_numbers(frame: np.ndarray) -> None:
    assert enlarge(frame, 50).shape == (60, 93, 3)
    assert enlarge(frame, 20) is frame


def test_captions_strips_and_sheets_hold_their_pictures(frame: np.ndarray) -> None:
    captioned = caption(frame, "a text that is far too long for this width")
    assert (captioned[-20:] == frame).all() and (captioned[:-20] < 128).any()
    row = strip([frame, captioned])
    assert row.shape == (captioned.shape[0], 66, 3)
    sheet = contact_sheet([("one", [("a", frame), ("b", frame)]), ("two", [("a", frame)])])
    assert sheet.dtype == np.uint8 and sheet.shape[1] == 2 * 31 * 8 + 4


def test_files_read_back(tmp_path: Path, frame: np.ndarray) -> None:
    frames = np.stack([frame, 255 - frame, frame])
    write_png(tmp_path / "new" / "a.png", frame)
    assert (iio.imread(tmp_path / "new" / "a.png") == frame).all()
    write_gif(tmp_path / "a.gif", frames)
    assert iio.imread(tmp_path / "a.gif").shape == frames.shape
    write_mp4(tmp_path / "a.mp4", frames)
    video = cv2.VideoCapture(str(tmp_path / "a.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 3
    assert video.get(cv2.CAP_PROP_FRAME_WIDTH) == 32  # 31 made even
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.gif", "a.mp4", "new"]


def test_a_folder_in_the_way_is_a_sentence(tmp_path: Path, frame: np.ndarray) -> None:
    (tmp_path / "a.png").mkdir()
    with pytest.raises(UserError, match=r"a\.png is a folder; give the path of a file"):
        write_png(tmp_path / "a.png", frame)


def test_a_file_in_the_place_of_the_folder_is_a_sentence(tmp_path: Path, frame: np.ndarray) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"a\.png cannot be written"):
        write_png(tmp_path / "file" / "a.png", frame)


def test_labels_stay_inside_and_have_the_color_of_their_object():
    picture = np.zeros((40, 60, 3), np.uint8)
    label_objects(picture, [("1", (-5, -5), (255, 0, 0)), ("2", (58, 39), (0, 0, 255))])
    assert (picture[:, :20] == (255, 0, 0)).all(2).any()
    assert (picture[:, 40:] == (0, 0, 255)).all(2).any()


def test_an_overlay_reaches_to_the_edges():
    frame, mask = np.full((10, 12, 3), 100, np.uint8), np.zeros((10, 12), np.uint8)
    mask[7:, 9:] = 2
    palette = np.zeros((256, 3), np.uint8)
    palette[2] = (200, 0, 0)
    picture = overlay_mask(frame, mask, palette, opacity=0.5)
    assert (picture[mask == 0] == 100).all()
    assert picture[7, 9].tolist() == [200, 0, 0]  # outlined
    assert picture[8, 10].tolist() == [150, 50, 50]
