"""Exported files: what they compute, what is in them, and what is refused."""

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, load_tool
from vps_d2.config.loading import load_config
from vps_d2.inference.export import exporting, formats
from vps_d2.inference.export.checks import compare
from vps_d2.inference.export.exporting import export_config, format_shape
from vps_d2.inference.export.mask_rcnn import check_parts
from vps_d2.inference.export.steps import Sizes, Step
from vps_d2.io.errors import UserError
from vps_d2.io.pictures import write_mp4
from vps_d2.modeling.build import build_model
from vps_d2.modeling.object_dynamics.iterating import iterate

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
    made, maps = export(tmp_path, UNET, form=form)
    assert made.path.name == {"onnx": "model.onnx", "torch-export": "model.pt2"}[form]
    assert maps.path.stem == "masks" and maps.agreement.difference < 1e-4
    assert made.agreement.num_inputs == 3 and made.agreement.difference < 1e-5
    content = made.path.read_bytes()
    assert len(content) == made.num_bytes
    run = formats.runner(content, form)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 3, 31, 70), np.uint8)
    (logits,) = run([pictures])  # sizes that were not checked
    assert logits.shape == (5, 49, 31, 70)
    (classes,) = formats.runner(maps.path.read_bytes(), form)([pictures])
    assert classes.dtype == np.uint8 and (classes == logits.argmax(1)).mean() > 0.9999
    if form == "onnx":
        session = formats.open_session(content)
        table = session.get_modelmeta().custom_metadata_map
        assert session.get_inputs()[0].shape == ["N", 3, "H", "W"]
        assert session.get_outputs()[0].name == "sem_seg"
        assert b"site-packages" not in content and str(ROOT).encode() not in content
    else:
        extra = {formats.METADATA: ""}
        torch.export.load(io.BytesIO(content), extra_files=extra)
        table = json.loads(extra[formats.METADATA])
    assert len(json.loads(table["classes"])) == 48
    assert table["input_format"] == "RGB" and len(json.loads(table["pixel_std"])) == 3
    assert "license" in table["license"] and json.loads(table["inputs"])["frames"][1] == 3


EXPORTED = {
    "simvp": ["model"],
    "mask_simvp": ["model"],
    "convlstm": ["model"],
    "mask_rcnn_R50w32_FPN": ["model"],
    "object_dynamics": ["future", "draw"],
    "small_vos": ["key", "value", "read", "decode"],
}


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> dict[str, Step]:
    """Write empty files, which run what they are of: that takes no time."""
    steps: dict[str, Step] = {}

    def to_file(program: None, step: Step, metadata: dict[str, str], form: str) -> bytes:
        steps[metadata["step"]] = step
        return metadata["step"].encode()

    def runner(content: bytes, form: str) -> Callable:
        step = steps[content.decode()]

        def run(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
            with torch.no_grad():
                outputs = step.network(*map(torch.from_numpy, inputs))
            outputs = outputs if isinstance(outputs, tuple) else (outputs,)
            return [each.numpy() for each in outputs]

        return run

    monkeypatch.setattr(exporting, "trace", lambda step: None)
    monkeypatch.setattr(exporting, "to_file", to_file)
    monkeypatch.setattr(exporting, "runner", runner)
    return steps


@pytest.mark.parametrize("name", EXPORTED)
def test_what_is_exported_computes_what_the_model_does(
    name: str, written: dict[str, Step], tmp_path: Path
) -> None:
    opts = ("MODEL.ROI_HEADS.SCORE_THRESH_TEST", "0.0") if "rcnn" in name else ()
    made = export(tmp_path, f"configs/instant_test/{name}_instant_test.yaml", *opts)
    assert [each.path.name for each in made] == [f"{step}.pt2" for step in EXPORTED[name]]
    assert all(each.agreement.difference < 1e-6 for each in made)
    for step in written.values():
        outputs = step.network(*step.make(Sizes(2, 80, 120)))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        for shape, output in zip(step.outputs.values(), outputs, strict=True):
            assert len(shape) == output.ndim
            fixed = [length if isinstance(length, int) else None for length in shape]
            assert all(a in (None, b) for a, b in zip(fixed, output.shape, strict=True))


class _Falling(torch.nn.Module):
    """Ten steps of what falls, and is slowed by a network."""

    def __init__(self) -> None:
        super().__init__()
        self.drag = torch.nn.Linear(2, 2)

    def forward(self, places: torch.Tensor, velocities: torch.Tensor) -> torch.Tensor:
        def step(now: Sequence[torch.Tensor]) -> tuple[torch.Tensor, ...]:
            place, velocity = now
            return place + 0.1 * velocity, velocity - 0.1 * self.drag(velocity)

        with torch.autocast("cpu", enabled=False):
            return iterate(step, (places, velocities), 10)[0]


@pytest.mark.parametrize("form", ["onnx", "torch-export"])
def test_a_loop_stays_one(form: str) -> None:
    if form == "onnx":
        pytest.importorskip("onnxruntime", reason=NO_ONNX)
        pytest.importorskip("onnxscript", reason=NO_ONNX)
    torch.manual_seed(0)
    network = _Falling()
    step = Step(
        name="",
        network=network,
        inputs={"places": ("N", 2), "velocities": ("N", 2)},
        outputs={"later": (11, "N", 2)},
        make=lambda sizes: (torch.rand(sizes.number, 2), torch.rand(sizes.number, 2)),
        reference=lambda *given: (network(*given),),
    )
    program = formats.trace(step)
    assert len(program.graph.nodes) < 25  # 30 operations, if the steps were written out
    run = formats.runner(formats.to_file(program, step, {}, form), form)
    assert compare(step, run).difference < 1e-6


def test_masks_are_traced_for_any_number_of_objects(
    written: dict[str, Step], tmp_path: Path
) -> None:
    export(tmp_path, "configs/instant_test/mask_simvp_instant_test.yaml")
    step = written[""]
    program = formats.trace(step).module()
    for masks in (step.make(Sizes(1, 34, 47))[0], torch.zeros(2, 11, 32, 32, dtype=torch.uint8)):
        torch.testing.assert_close(program(masks), step.reference(masks)[0])


def test_what_differs_is_not_written(
    written: dict[str, Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = exporting.runner

    def wrong(content: bytes, form: str) -> Callable:
        run = right(content, form)
        return lambda inputs: [each + 0.1 for each in run(inputs)]

    monkeypatch.setattr(exporting, "runner", wrong)
    with pytest.raises(UserError, match=r"on an input of 1x3x64x96, its sem_seg differ by"):
        export(tmp_path, UNET)
    assert not list((tmp_path / "out").iterdir())


def test_what_does_not_run_is_not_written(
    written: dict[str, Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
        raise AssertionError("Guard failed: 64 rows.")

    monkeypatch.setattr(exporting, "runner", lambda content, form: fail)
    with pytest.raises(UserError, match=r"1x3x64x96 \(Guard failed: 64 rows\); nothing was"):
        export(tmp_path, UNET)
    assert not list((tmp_path / "out").iterdir())


def test_nothing_found_is_nothing_compared(written: dict[str, Step], tmp_path: Path) -> None:
    config = "configs/instant_test/mask_rcnn_R50w32_FPN_instant_test.yaml"
    with pytest.raises(UserError, match="give a video with objects that it knows with --input"):
        export(tmp_path, config, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", "1.0")


def test_parts_that_are_not_known_are_a_sentence(tmp_path: Path) -> None:
    cfg = load_config("package://configs/mask_rcnn/mask_rcnn_R50w32_FPN_frames.yaml")
    cfg.MODEL.RPN.CONV_DIMS = [-1, -1]
    with pytest.raises(UserError, match=r"MODEL.RPN.CONV_DIMS is \[-1, -1\], but only"):
        check_parts(cfg)


def test_a_missing_library_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(formats, "_NEEDED", ("onnx_that_is_not_there",))
    with pytest.raises(UserError, match=r'pip install "vps_d2\[export\]"'):
        export(tmp_path, UNET, form="onnx")


def test_what_cannot_be_exported_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"VisTR cannot be exported, only ConvLSTM"):
        export(tmp_path, "configs/instant_test/vistr_instant_test.yaml")


def test_the_command_compares_on_a_given_video(
    written: dict[str, Step], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_mp4(tmp_path / "clip.mp4", np.zeros((3, 40, 56, 3), np.uint8), fps=5)
    options = ["--config-file", str(ROOT / UNET), "--output", str(tmp_path / "out")]
    options += ["--format", "torch-export", "--input", str(tmp_path / "clip.mp4")]
    options += ["MODEL.WEIGHTS", checkpoint(tmp_path, UNET)]
    load_tool("export_model").main(options)
    printed = capsys.readouterr().out
    assert "in  frames (N, 3, H, W)" in printed and "equal to PyTorch on 4 inputs" in printed


def test_given_frames_are_checked(written: dict[str, Step], tmp_path: Path) -> None:
    np.save(tmp_path / "masks.npy", np.zeros((2, 3), np.uint8))
    given = {"form": "torch-export", "given": tmp_path / "masks.npy"}
    with pytest.raises(UserError, match=r"give masks, uint8 \(T, H, W\)"):
        list(export_config(ROOT / UNET, [], tmp_path, **given))
    np.save(tmp_path / "masks.npy", np.zeros((5, 32, 48), np.uint8))
    config = "configs/instant_test/mask_simvp_instant_test.yaml"
    options = ["MODEL.WEIGHTS", checkpoint(tmp_path, config)]
    with pytest.raises(UserError, match="--input has 5 frames, but the model takes 11"):
        list(export_config(ROOT / config, options, tmp_path, **given))


def test_shapes_are_written_as_in_documents() -> None:
    assert format_shape(("N", 3)) == "(N, 3)" and format_shape(("R",)) == "(R,)"
