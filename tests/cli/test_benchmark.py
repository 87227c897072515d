"""tools/benchmark.py on tiny models and videos."""

import json
from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT, load_tool
from vps_d2.io.errors import UserError


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
    written = json.loads(report.read_text())
    figures = written["figures"]
    assert len(figures) == 13
    assert isinstance(written["computes_in_bfloat16"], bool)
    assert all(figure["value"] > 0 for figure in figures)
    text = capsys.readouterr().out
    assert "SimVP training, gain" in text
    for name in ("SimVP inference", "GeneralizedRCNN training", "ObjectDynamics inference"):
        assert f"{name}, float32" in text and f"{name}, bfloat16" in text
    assert "pipeline, float32" in text and "pipeline, bfloat16" in text
    capability = torch.backends.cpu.get_cpu_capability()
    assert f"the CPU ({capability})" in text.splitlines()[0] and "1 thread(s)" in text


def test_a_device_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="PyTorch finds no device foo here; give --device cpu"):
        load_tool("benchmark").main(["--device", "foo", "--json", str(tmp_path / "a.json")])


def test_a_folder_as_output_stops_before_the_work(tiny_videos: Path, tmp_path: Path) -> None:
    tool = load_tool("benchmark")
    arguments = ["--only", "loader", "--data", str(tiny_videos / "absent")]
    with pytest.raises(UserError, match="is a folder"):
        tool.main([*arguments, "--json", str(tmp_path)])


@pytest.mark.parametrize(
    "option, config, message",
    [
        ("segmenter", "demo.yaml", r"demo\.yaml: the configuration describes a pipeline"),
        (
            "mask-predictor",
            "unet/unet_frames.yaml",
            "UNet, whose task is segmentation, not future_masks",
        ),
        (
            "predictor",
            "object_dynamics/object_dynamics.yaml",
            "ObjectDynamics, whose task is future_masks, not frames",
        ),
    ],
)
def test_a_config_of_another_kind_stops_before_the_work(
    tiny_videos: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    option: str,
    config: str,
    message: str,
) -> None:
    tool = load_tool("benchmark")
    ran = "vps_d2.evaluation.benchmark.generator_figure"
    monkeypatch.setattr(ran, lambda *_: pytest.fail("it ran"))
    arguments = [
        "--data",
        str(tiny_videos / "train"),
        f"--{option}",
        str(ROOT / "configs" / config),
    ]
    with pytest.raises(UserError, match=message):
        tool.main([*arguments, "--json", str(tmp_path / "benchmark.json")])
