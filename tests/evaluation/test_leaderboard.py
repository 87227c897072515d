import json
import re
import shutil

import numpy as np
import pytest

from tests.helpers import load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.data.vps import TAXONOMY
from vps_d2.evaluation.leaderboard import Target, find_methods, run_methods
from vps_d2.evaluation.leaderboard_report import (
    choose_videos,
    format_markdown,
    table_header,
    table_rows,
)
from vps_d2.io.errors import UserError


@pytest.fixture
def configs(tmp_path):
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    path = write_pipeline(stubs)
    folder = stubs / "methods"
    folder.mkdir()
    text = path.read_text().replace('"predictor.yaml"', '"../predictor.yaml"')
    text = text.replace("segmenter.yaml", "../segmenter.yaml")
    text = text.replace(
        "PIPELINE:", "INPUT:\n  NUM_KNOWN_FRAMES: 11\nPIPELINE:\n  TARGET_FRAME: 22"
    )
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
    report = json.loads((out / "leaderboard.json").read_text(), parse_constant=pytest.fail)
    assert set(report) == {"copy", "lost", "moving"}
    assert report["lost"]["segmentation"] is report["lost"]["milliseconds"] is None
    assert 0 <= report["copy"]["jaccard"] <= 1 and report["copy"]["milliseconds"] > 0
    assert report["copy"]["parameters"] < report["moving"]["parameters"]
    assert "not run: lost.pth missing" in (out / "leaderboard.md").read_text()
    page = (out / "leaderboard.html").read_text()
    data = json.loads(re.search(r'id="data">(.*?)</script>', page)[1])
    scores = [report[name]["jaccard"] for name in ("moving", "copy")]
    order = ["moving", "copy"] if scores[0] > scores[1] else ["copy", "moving"]
    assert data["rows"] == [report[name]["title"] for name in order]  # as in the table
    assert [len(video["rows"]) for video in data["videos"]] == [2, 2] and "http" not in page


def test_titles_make_no_cells_links_or_lines(configs):
    methods = find_methods(configs)
    methods[0].cfg.PIPELINE.TITLE = "a | b\n| `c` <b>[d](http://e) \x1b[2J"
    target = Target(np.zeros((1, 2, 2), np.uint8), TAXONOMY, 11, 22)
    lines = format_markdown(methods, target, "on\n# videos").splitlines()
    assert lines[0] == r"# on\\n# videos" and len(lines) == 4 + len(methods)
    row = next(line for line in lines if line.startswith("| a"))
    assert re.sub(r"\\.", "", row).count("|") == len(table_header(target)) + 1
    assert r"a \| b\\n\| \`c\` \<b\>\[d\](http://e) \\x1b\[2J" in row


def test_a_new_method_needs_a_config_alone(tiny_videos, configs):
    (configs / "another.yaml").write_text((configs / "copy.yaml").read_text())
    methods = find_methods(configs)
    target = run_methods(methods, tiny_videos / "val")
    assert len(target.masks) == 2 and (target.num_known, target.mask_number) == (11, 22)
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


@pytest.mark.parametrize(
    "weights, missing",
    [
        ("", ["weights of segmenter.yaml"]),
        ("lost.pth", ["lost.pth"]),
        ("package://lost.pth", ["lost.pth"]),
        ("package://unet.pth", []),
        ("https://example.org/unnamed.pth", ["https://example.org/unnamed.pth"]),
    ],
)
def test_weights_of_the_model_configuration_count(configs, weights, missing):
    segmenter = configs.parent / "segmenter.yaml"
    stub = str(configs.parent / "stub.pth")
    segmenter.write_text(segmenter.read_text().replace(stub, f'"{weights}"'))
    methods = {method.name: method for method in find_methods(configs)}
    assert methods["copy"].missing == methods["moving"].missing == missing
    for named in (stub, "https://example.org/segmenter.pth"):  # by the pipeline, which comes first
        given = find_methods(configs, ["PIPELINE.SEGMENTER.WEIGHTS", named])
        assert not any(method.missing for method in given)


def test_a_method_without_weights_is_not_run(tiny_videos, configs):
    segmenter = configs.parent / "segmenter.yaml"
    segmenter.write_text(segmenter.read_text().replace(str(configs.parent / "stub.pth"), '""'))
    methods = find_methods(configs)
    assert "not run: weights of segmenter.yaml missing" in table_rows(methods)[0]
    with pytest.raises(UserError, match="none of the 3 methods has weights"):
        run_methods(methods, tiny_videos / "val")


def test_methods_that_predict_other_frames_are_refused(tiny_videos, configs):
    methods = find_methods(configs)
    methods[0].cfg.PIPELINE.TARGET_FRAME = 20
    with pytest.raises(UserError, match="compare methods with the same task"):
        run_methods(methods, tiny_videos / "val")


def test_a_folder_without_methods_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="holds no configuration"):
        find_methods(tmp_path)


def test_a_file_as_output_stops_before_the_work(tiny_videos, configs, tmp_path, monkeypatch):
    tool = load_tool("leaderboard")
    ran = "vps_d2.evaluation.leaderboard.run_methods"
    monkeypatch.setattr(ran, lambda *_: pytest.fail("it ran"))
    (tmp_path / "file").touch()
    arguments = ["--data", str(tiny_videos), "--configs", str(configs)]
    with pytest.raises(UserError, match="file cannot be made"):
        tool.main([*arguments, "--out", str(tmp_path / "file")])


def test_methods_of_other_classes_than_the_videos_are_refused(tiny_videos, configs, tmp_path):
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "dataset.json").write_text('{"thing_classes": ["cat", "dog"]}')
    shutil.copytree(tiny_videos / "val", tmp_path / "own" / "copied")
    with pytest.raises(UserError, match=r"copy knows 48 object .*copied have 2 .*\(cat, dog\)"):
        run_methods(find_methods(configs), tmp_path / "own" / "copied")
