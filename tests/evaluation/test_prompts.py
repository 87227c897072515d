"""Scores of what makes masks from clicks and scribbles."""

import json

import cv2
import numpy as np
import pytest

from tests.helpers import load_tool
from vps_d2.data.strokes import draw_strokes
from vps_d2.evaluation.prompts import (
    MAX_CLICKS,
    click_until,
    evaluate_prompts,
    mask_iou,
    scribble_strokes,
)
from vps_d2.inference.vos.prompts import MaskMaker
from vps_d2.io.errors import UserError

SIZE = (40, 60)


class Brush(MaskMaker):
    """Knows the truth, but only around the points of strokes."""

    source = "brush"

    def __init__(self, reach=8):
        self.reach = reach

    def make_mask(self, picture, mask, strokes):
        made = mask.copy()
        for stroke in strokes[-1:] if mask.any() else strokes:
            for x, y in stroke.points:
                top, left = max(0, int(y) - self.reach), max(0, int(x) - self.reach)
                area = slice(top, int(y) + self.reach), slice(left, int(x) + self.reach)
                made[area] = truth()[area]
        return made


def truth(side=30):
    mask = np.zeros(SIZE, bool)
    mask[5:35, 10 : 10 + side] = True
    return mask


@pytest.fixture
def folders(tmp_path):
    for name in ("pictures", "masks", "one", "two"):
        (tmp_path / name).mkdir()
    scribbles = np.full(SIZE, 255, np.uint8)
    scribbles[12:13, 20:30], scribbles[2, 3:9] = 1, 0
    for name in ("a", "b"):
        cv2.imwrite(str(tmp_path / "pictures" / f"{name}.png"), np.zeros((*SIZE, 3), np.uint8))
        cv2.imwrite(str(tmp_path / "masks" / f"{name}.png"), truth() * np.uint8(255))
        cv2.imwrite(str(tmp_path / "one" / f"{name}.png"), scribbles)
    return tmp_path


def test_a_robot_clicks_in_the_largest_error_until_the_mask_is_good():
    ious = click_until(Brush(), np.zeros((*SIZE, 3), np.uint8), truth(), 0.85)
    assert ious[-1] >= 0.85 > ious[-2] and ious[0] == pytest.approx(256 / 900)
    assert 3 < len(ious) < 10


def test_a_robot_gives_up():
    ious = click_until(Brush(1), np.zeros((*SIZE, 3), np.uint8), truth(), 0.85)
    assert len(ious) == MAX_CLICKS == 20 and ious[-1] < 0.3


def test_a_robot_also_takes_away():
    seen = []

    class Greedy(Brush):
        def make_mask(self, picture, mask, strokes):
            seen.append(strokes[-1])
            return super().make_mask(picture, mask, strokes) if mask.any() else ~mask

    seconds = []
    picture = np.zeros((*SIZE, 3), np.uint8)
    ious = click_until(Greedy(), picture, truth(), 0.7, seconds)
    assert ious[0] == pytest.approx(900 / 2400) and ious[-1] >= 0.7
    assert [each.positive for each in seen[:3]] == [True, False, False]
    assert len(seconds) == len(ious)
    assert seen[0].points[0] == (pytest.approx(25, abs=1.5), pytest.approx(20, abs=1.5))


def test_strokes_of_a_map_of_scribbles_cover_just_its_pixels():
    scribbles = np.full((9, 12), 255, np.uint8)
    scribbles[2, 0:4] = scribbles[3, 3:7] = scribbles[8, 11] = 1
    scribbles[0:2, 5] = 0
    positive, negative = draw_strokes(scribble_strokes(scribbles), (9, 12))
    np.testing.assert_array_equal(positive, scribbles == 1)
    np.testing.assert_array_equal(negative, scribbles == 0)
    assert scribble_strokes(np.full((9, 12), 255, np.uint8)) == []


def test_pictures_are_averaged_and_missing_scribbles_do_not_count(folders):
    cv2.imwrite(str(folders / "masks/b.png"), truth(15) * np.uint8(255))
    (folders / "one/b.png").unlink()
    scribbles = [folders / "one", folders / "two"]
    scores = evaluate_prompts(Brush(), folders / "pictures", folders / "masks", scribbles)
    each = scores["pictures"]
    assert set(each) == {"a", "b"} and each["b"]["scribble_iou"] == [None, None]
    assert scores["clicks"] == np.mean([len(each[name]["clicks"]) for name in "ab"])
    first, last = scores["click_iou"][0], scores["click_iou"][-1]
    assert first == pytest.approx(np.mean([each[name]["clicks"][0] for name in "ab"]))
    assert last >= 0.85 and len(scores["click_iou"]) == len(
        max((each[n]["clicks"] for n in "ab"), key=len)
    )
    assert scores["scribble_iou"] == [each["a"]["scribble_iou"][0], None]
    assert 0.1 < scores["scribble_iou"][0] < 0.9 and scores["seconds"] > 0


def test_masks_that_do_not_fit_are_one_sentence(folders):
    cv2.imwrite(str(folders / "masks/b.png"), np.zeros(SIZE, np.uint8))
    with pytest.raises(UserError, match=r"masks/b\.png: mask without an object"):
        evaluate_prompts(Brush(), folders / "pictures", folders / "masks")
    (folders / "masks/b.png").unlink()
    with pytest.raises(UserError, match=r"masks/b\.png: missing mask"):
        evaluate_prompts(Brush(), folders / "pictures", folders / "masks")


def test_two_empty_masks_are_alike():
    assert mask_iou(~truth() & truth(), np.zeros(SIZE, bool)) == 1
    assert mask_iou(truth(), np.zeros(SIZE, bool)) == 0


def test_the_command_prints_a_row_for_each_picture(folders, monkeypatch, capsys):
    monkeypatch.setattr("vps_d2.inference.vos.prompts.find_mask_maker", lambda *_: Brush())
    names = ("pictures", "masks", "one", "two")
    arguments = [*(str(folders / name) for name in names), "--iou", "0.5", "--device", "cpu"]
    load_tool("evaluate_prompts").main([*arguments, "--json", str(folders / "scores.json")])
    scores = json.loads((folders / "scores.json").read_text())
    assert scores["source"] == "brush" and scores["click_iou"][-1] >= 0.5
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "brush" and lines[1].split() == ["picture", "clicks", "one", "two"]
    clicks, iou = scores["clicks"], scores["scribble_iou"][0]
    assert lines[-2].split() == ["mean", f"{clicks:.1f}", f"{iou:.3f}", "-"]
