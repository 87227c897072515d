"""tools/benchmark.py on tiny models and videos."""

import json
from pathlib import Path

import pytest

from tests.helpers import ROOT, load_tool


def test_a_table_and_json(
    tiny_videos: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    configs = ROOT / "configs" / "instant_test"
    report = tmp_path / "new" / "benchmark.json"
    arguments = ["--quick", "--only", "loader", "predictor", "segmenter", "pipeline"]
    arguments += ["mask_predictor"]
    arguments += ["--data", str(tiny_videos / "train"), "--threads", "1", "--batch-size", "2"]
    arguments += ["--predictor", str(configs / "simvp_instant_test.yaml"), "--device", "cpu"]
    load_tool("benchmark").main([*arguments, "--json", str(report)])
    figures = json.loads(report.read_text())["figures"]
    assert len(figures) == 11
    assert all(figure["value"] > 0 for figure in figures)
    text = capsys.readouterr().out
    assert "SimVP training, gain" in text and "pipeline" in text
