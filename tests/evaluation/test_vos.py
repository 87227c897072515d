"""J and F of video objects, compared with recorded numbers of the public davis2017-evaluation."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2.data import DatasetCatalog
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.video_objects import evaluate_vos
from vps_d2.evaluation.vos_metrics import SequenceScores, boundary_similarity, region_similarity
from vps_d2.io.errors import UserError

CASES = json.loads(Path(__file__).with_name("vos_cases.json").read_text())


def make_maps(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Object maps (T, H, W) of truth and prediction; every case has another size and length."""
    random = np.random.default_rng(seed)
    height, width = random.integers(20, 150, 2)
    rows, columns = np.mgrid[:height, :width]
    maps = np.zeros((2, 5 + seed, height, width), np.uint8)
    for time in range(maps.shape[1]):
        for number in (1, 2, 3):
            for side in (0, 1):
                y, x = random.uniform(0, height), random.uniform(0, width)
                radius = random.uniform(2, 30)
                if number == 1 or random.random() < 0.85:
                    near = (rows - y) ** 2 + (columns - x) ** 2 * random.uniform(0.5, 2)
                    maps[side, time][near < radius**2] = number
        if random.random() < 0.6:  # mostly right
            wrong = random.random((height, width)) < 0.1
            maps[1, time] = np.where(wrong, maps[1, time], maps[0, time])
    maps[0, 0, 0, :3] = 1, 2, 3
    return maps[0], maps[1]


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case["seed"]))
def test_scores_equal_those_of_davis(case: dict) -> None:
    truth, predicted = make_maps(case["seed"])
    scores = SequenceScores()
    for maps in zip(predicted, truth, strict=True):
        scores.add(*maps)
    found = scores.compute()
    assert {str(number) for number in found} == set(case["objects"])
    for number, wanted in case["objects"].items():
        assert found[int(number)] == pytest.approx(wanted, abs=1e-6)


def test_empty_masks() -> None:
    none, some = np.zeros((10, 10), bool), np.eye(10, dtype=bool)
    for measure in (region_similarity, boundary_similarity):
        assert measure(none, none) == 1
        assert measure(none, some) == measure(some, none) == 0
        assert measure(some, some) == 1
    full = np.ones((10, 10), bool)  # it has no boundary
    assert boundary_similarity(full, none) == 1 and region_similarity(full, none) == 0


def test_boundaries_match_up_to_the_tolerance() -> None:
    one, other = np.zeros((2, 60, 60), bool)
    one[20:40, 20:40] = True
    other[20:40, 23:43] = True
    assert boundary_similarity(other, one, tolerance=3) == 1
    assert 0.4 < boundary_similarity(other, one, tolerance=2) < 0.9
    assert boundary_similarity(other, one) == boundary_similarity(other, one, tolerance=1)


def test_frames_that_do_not_count() -> None:
    """An object that comes later counts from the frame after that; void is no object."""
    truth = np.zeros((6, 8, 8), np.uint8)
    truth[:, :4] = 1
    truth[2:, 6:] = 2
    truth[1:, 5, :] = 255
    predicted = truth.copy()
    predicted[0], predicted[5] = 0, 0
    predicted[1, 6:], predicted[2, 6:] = 2, 0
    predicted[predicted == 255] = 0
    scores = SequenceScores()
    for maps in zip(predicted, truth, strict=True):
        scores.add(*maps)
    found = scores.compute()
    assert [found[number]["J&F"] for number in (1, 2)] == [1, 1] and len(found) == 2
    with pytest.raises(ValueError, match="shapes"):
        scores.add(predicted[0], truth[0, 1:])


def write_maps(folder: Path, maps: np.ndarray, digits: int) -> None:
    folder.mkdir(parents=True)
    for index, each in enumerate(maps):
        Image.fromarray(each).save(folder / f"{index:0{digits}d}.png")


def test_folders(tmp_path: Path) -> None:
    truth, predicted = make_maps(1)
    write_maps(tmp_path / "davis/Annotations/480p/a", truth, 5)
    write_maps(tmp_path / "davis/Annotations/480p/b", truth, 5)
    write_maps(tmp_path / "out/a/masks", predicted, 6)
    with pytest.raises(UserError, match="holds no masks of sequence b"):
        evaluate_vos(tmp_path / "davis", tmp_path / "out")
    one = evaluate_vos(tmp_path / "davis", tmp_path / "out", ("a",))
    assert one["objects"]["a"][1] == pytest.approx(CASES[1]["objects"]["1"], abs=1e-6)
    write_maps(tmp_path / "out/b", truth, 6)
    both = evaluate_vos(tmp_path / "davis", tmp_path / "out")
    assert both["sequences"]["b"]["J&F"] == 1
    assert both["J"] == pytest.approx((one["J"] + 1) / 2)

    with pytest.raises(UserError, match="has no sequence c; it has a, b"):
        evaluate_vos(tmp_path / "davis", tmp_path / "out", ("c",))
    Image.new("L", (3, 3)).save(tmp_path / "out/b/000001.png")
    with pytest.raises(UserError, match=r"000001.png does not fit .*00001\.png"):
        evaluate_vos(tmp_path / "davis", tmp_path / "out")
    (tmp_path / "out/b/000001.png").unlink()
    with pytest.raises(UserError, match="has no mask of frame 1"):
        evaluate_vos(tmp_path / "davis", tmp_path / "out")
    with pytest.raises(UserError, match="holds no masks"):
        evaluate_vos(tmp_path / "none", tmp_path / "out")


def test_a_registered_data_set(tmp_path: Path) -> None:
    truth, predicted = make_maps(1)
    write_maps(tmp_path / "truth", truth, 5)
    write_maps(tmp_path / "out/a", predicted, 6)
    # As in YouTube-VOS, not every frame has a map.
    files = [str(tmp_path / f"truth/{index:05d}.png") for index in range(len(truth))]
    record = {
        "video_id": 0,
        "video_name": "a",
        "object_map_file_names": [*files[:2], None, *files[3:]],
    }
    DatasetCatalog.register("registered", lambda: [record])
    scores = evaluate_vos("registered", tmp_path / "out")
    sequence = SequenceScores()
    for index in (0, 1, *range(3, len(truth))):
        sequence.add(predicted[index], truth[index])
    assert scores["objects"]["a"] == sequence.compute()
    del record["object_map_file_names"]
    with pytest.raises(UserError, match="has no object maps"):
        evaluate_vos("registered", tmp_path / "out")


def test_the_evaluator_of_training() -> None:
    evaluator = EVALUATOR_REGISTRY.get("VOSEvaluator")(get_vps_cfg(), "videos")
    truth, predicted = (torch.from_numpy(maps) for maps in make_maps(0))
    evaluator.process([{"object_maps": truth}], [{"object_maps": predicted}])
    wanted = np.mean([each["J&F"] for each in CASES[0]["objects"].values()])
    found = evaluator.evaluate()["video_objects"]
    assert set(found) == {"J&F", "J", "F"} and found["J&F"] == pytest.approx(wanted, abs=1e-6)
    evaluator.reset()
    assert evaluator.evaluate() == {"video_objects": {}}
