import json

import numpy as np
import pytest

from tests.helpers import load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.errors import UserError
from vps_d2.leaderboard import choose_videos, find_methods, run_methods, table_rows


@pytest.fixture
def configs(tmp_path):
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    path = write_pipeline(stubs)
    folder = stubs / "methods"
    folder.mkdir()
    text = path.read_text().replace('"predictor.yaml"', '"../predictor.yaml"')
    text = text.replace("segmenter.yaml", "../segmenter.yaml")
    (folder / "moving.yaml").write_text(text)
    (folder / "copy.yaml").write_text(text.replace('"../predictor.yaml"', '""'))
    lost = text.replace("../segmenter.yaml", "../segmenter.yaml\n    WEIGHTS: lost.pth")
    (folder / "lost.yaml").write_text(lost)
    return folder


def test_every_method_is_run_and_one_without_weights_is_named(tiny_videos, configs, tmp_path):
    out = tmp_path / "out"
    load_tool("leaderboard").main(
        ["--data", str(tiny_videos), "--out", str(out), "--configs", str(configs)]
    )
    report = json.loads((out / "leaderboard.json").read_text())
    assert set(report) == {"copy", "lost", "moving"}
    assert 0 <= report["copy"]["jaccard"] <= 1 and report["copy"]["milliseconds"] > 0
    assert report["copy"]["parameters"] < report["moving"]["parameters"]
    assert "not run: lost.pth missing" in (out / "leaderboard.md").read_text()
    page = (out / "leaderboard.html").read_text()
    assert page.count("<img") == 2 * (3 + 2) and "http" not in page


def test_a_new_method_needs_a_config_alone(tiny_videos, configs):
    (configs / "another.yaml").write_text((configs / "copy.yaml").read_text())
    methods = find_methods(configs)
    truth = run_methods(methods, tiny_videos / "val")
    assert truth.shape[0] == 2
    names = [method.name for method in methods if method.scores]
    assert names == ["another", "copy", "moving"]
    assert len(table_rows(methods)) == 4


def test_best_and_worst_are_shown(tiny_videos, configs):
    methods = find_methods(configs)
    for method in methods:
        if not method.missing:
            method.scores = {"jaccard": 0.5}
            method.per_video = np.linspace(0, 1, 40)
    methods[0].per_video = np.roll(methods[0].per_video, 7)
    shown = choose_videos(methods, 12)
    assert len(shown) == 12 and {0, 39, 6, 7} <= set(shown)


def test_a_folder_without_methods_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no configuration"):
        find_methods(tmp_path)
