"""Exported files: what they compute, what is in them, and what is refused."""

import io
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, load_tool
from vps_d2.config.loading import load_config
from vps_d2.data.synthetic import generate_video
from vps_d2.inference.export import exporting, formats
from vps_d2.inference.export.exporting import export_config, format_shape
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import write_mp4
from vps_d2.modeling.build import build_model

UNET = "configs/instant_test/unet_instant_test.yaml"
NO_ONNX = "the extra [export] (onnx, onnxscript, onnxruntime) is not installed"


def checkpoint(folder: Path, config: str, *opts: str) -> str:
    """Write random weights for a configuration, and return their path."""
    torch.manual_seed(1)
    cfg = load_config(ROOT / config, ["MODEL.DEVICE", "cpu", *opts])
    path = folder / f"{Path(config).stem}.pth"
    torch.save({"model": build_model(cfg).state_dict()}, path)
    return str(path)


def export(folder: Path, config: str, *opts: str, form: str = "torch-export") -> list:
    weights = checkpoint(folder, config, *opts)
    options = [*opts, "MODEL.WEIGHTS", weights]
    return list(export_config(ROOT / config, options, folder / "out", form=form))


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_a_model_of_pictures(form: str, tmp_path: Path) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason=NO_ONNX)
        pytest.importorskip("onnxscript", reason=NO_ONNX)
    (made,) = export(tmp_path, UNET, form=form)
    assert made.path.name == {"onnx": "model.onnx", "torch-export": "model.pt2"}[form]
    assert made.agreement.num_inputs == 3 and made.agreement.difference < 1e-5
    content = made.path.read_bytes()
    assert len(content) == made.num_bytes
    run = formats.runner(content, form)
    (logits,) = run([np.zeros((5, 3, 31, 70), np.uint8)])  # sizes that were not checked
    assert logits.shape == (5, 49, 31, 70)
    if form == "onnx":
        session = formats.open_session(content)
        table = session.get_modelmeta().custom_metadata_map
        assert session.get_inputs()[0].shape == ["N", 3, "H", "W"]
        assert session.get_outputs()[0].name == "sem_seg"
    else:
        extra = {formats.METADATA: ""}
        torch.export.load(io.BytesIO(content), extra_files=extra)
        table = json.loads(extra[formats.METADATA])
    assert len(json.loads(table["classes"])) == 48
    assert table["input_format"] == "RGB" and len(json.loads(table["pixel_std"])) == 3
    assert "license" in table["license"] and json.loads(table["inputs"])["frames"][1] == 3


@pytest.mark.parametrize(
    ("config", "opts", "names"),
    [
        ("configs/instant_test/simvp_instant_test.yaml", (), ["model"]),
        ("configs/instant_test/mask_simvp_instant_test.yaml", (), ["model"]),
        (
            "configs/instant_test/small_vos_instant_test.yaml",
            (),
            ["key", "value", "read", "decode"],
        ),
    ],
)
def test_other_models(config: str, opts: Sequence[str], names: list[str], tmp_path: Path) -> None:
    made = export(tmp_path, config, *opts)
    assert [each.path.stem for each in made] == names
    assert all(each.agreement.difference < 1e-4 for each in made)


def test_what_differs_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(content: bytes, form: str) -> Callable:
        run = formats.runner(content, form)
        return lambda inputs: [each + 0.1 for each in run(inputs)]

    monkeypatch.setattr(exporting, "runner", wrong)
    with pytest.raises(UserError, match=r"on an input of 1x3x64x96, its sem_seg differ by"):
        export(tmp_path, UNET)
    assert not list((tmp_path / "out").iterdir())


def test_a_missing_library_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_NEEDED", ("onnx_that_is_not_there",))
    with pytest.raises(UserError, match=r'pip install "vps_d2\[export\]"'):
        export(tmp_path, UNET, form="onnx")


def test_what_cannot_be_exported_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"VisTR cannot be exported, only ConvLSTM"):
        export(tmp_path, "configs/instant_test/vistr_instant_test.yaml")


def test_the_command_compares_on_a_given_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mp4(tmp_path / "clip.mp4", np.zeros((3, 40, 56, 3), np.uint8), fps=5)
    weights = checkpoint(tmp_path, UNET)
    options = ["--config-file", str(ROOT / UNET), "--output", str(tmp_path / "out")]
    options += ["--format", "torch-export", "--input", str(tmp_path / "clip.mp4")]
    load_tool("export_model").main([*options, "MODEL.WEIGHTS", weights])
    printed = capsys.readouterr().out
    assert "in  frames (N, 3, H, W)" in printed and "equal to PyTorch on 4 inputs" in printed


def test_a_given_file_of_masks_is_checked(tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.zeros((2, 3), np.uint8))
    with pytest.raises(UserError, match=r"give masks, uint8 \(T, H, W\)"):
        list(
            export_config(
                ROOT / UNET, [], tmp_path, form="torch-export", given=tmp_path / "masks.npy"
            )
        )


def test_shapes_are_written_as_in_documents() -> None:
    assert format_shape(("N", 3)) == "(N, 3)" and format_shape(("R",)) == "(R,)"


PIPELINE = """
PIPELINE:
  SEGMENTER: {{CONFIG_FILE: {unet}, WEIGHTS: {unet_weights}}}
  MASK_PREDICTOR: {{CONFIG_FILE: {motion}, WEIGHTS: {motion_weights}}}
VERSION: 2
"""
SCRIPT = """
import sys
from pathlib import Path
sys.modules["torch"] = None  # an import of it fails
import runpy
sys.argv = ["future_mask_onnx.py", *sys.argv[1:]]
runpy.run_path(sys.argv.pop(0), run_name="__main__")
"""


def test_the_example_gives_the_mask_of_the_pipeline(tmp_path: Path) -> None:
    """Without PyTorch, and with objects that the random networks do draw."""
    pytest.importorskip("onnxruntime", reason=NO_ONNX)
    pytest.importorskip("onnxscript", reason=NO_ONNX)
    motion = tmp_path / "motion.yaml"
    motion.write_text(
        f"_BASE_: {ROOT}/configs/instant_test/object_dynamics_instant_test.yaml\n"
        "MODEL: {OBJECT_DYNAMICS: {SUBSTEPS: 1, MIN_PROBABILITY: 0.0}}\n"
    )
    names = {
        "unet": str(ROOT / UNET),
        "motion": str(motion),
        "unet_weights": checkpoint(tmp_path, UNET),
        "motion_weights": checkpoint(tmp_path, str(motion)),
    }
    config = tmp_path / "pipeline.yaml"
    config.write_text(PIPELINE.format(**names))
    made = list(export_config(config, [], tmp_path / "models"))
    assert [each.path.name for each in made] == [
        "segmenter.onnx",
        "mask_predictor.future.onnx",
        "mask_predictor.draw.onnx",
    ]
    frames = generate_video(3).frames[:11]
    from vps_d2.data.video import write_video

    write_video(tmp_path / "video_00000", frames)
    command = [sys.executable, "-c", SCRIPT, str(ROOT / "docs/examples/future_mask_onnx.py")]
    folders = [str(tmp_path / name) for name in ("models", "video_00000", "mask.npy")]
    subprocess.run([*command, *folders], check=True, cwd=ROOT)
    options = ["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "False"]
    pipeline = FutureMaskPredictor.from_config_file(config, options)
    expected = pipeline(frames[None], want_frames=False)[0].mask
    assert np.unique(expected).size > 1
    np.testing.assert_array_equal(np.load(tmp_path / "mask.npy"), expected)
