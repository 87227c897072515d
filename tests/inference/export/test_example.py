"""The example that predicts a mask with ONNX Runtime and NumPy alone."""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from tests.helpers import ROOT, load_script
from tests.inference.export.test_exporting import NO_ONNX, UNET, checkpoint
from vps_d2.data.synthetic import generate_video
from vps_d2.inference.export.exporting import EXPORTERS, describe
from vps_d2.inference.export.steps import Step
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.inference.models import LoadedModel

EXAMPLE = "docs/examples/future_mask_onnx.py"
PIPELINE = """
PIPELINE:
  SEGMENTER: {{CONFIG_FILE: {unet}, WEIGHTS: {unet_weights}}}
  MASK_PREDICTOR: {{CONFIG_FILE: {motion}, WEIGHTS: {motion_weights}}}
VERSION: 2
"""
MOTION = """
_BASE_: {root}/configs/instant_test/object_dynamics_instant_test.yaml
MODEL: {{OBJECT_DYNAMICS: {{NUM_FUTURES: 4}}}}
"""
WITHOUT_TORCH = """
import runpy, sys, types
import numpy as np

sys.modules["torch"] = None  # an import of it fails


class Session:
    def __init__(self, path):
        self.name = path.name

    def run(self, _, feed):
        if self.name == "segmenter.masks.onnx":
            masks = np.zeros((11, 40, 60), np.uint8)
            masks[:, 10:25, 20:40] = 7
            return [masks]
        if self.name == "mask_predictor.draw.onnx":
            return [np.ones((6, 2400), np.float32)]
        assert feed["class_ids"].tolist() == [[7, 0, 0, 0, 0, 0]]
        assert feed["measures"].shape == (1, 6, 11, 10) and feed["measures"][0, 0, 0, 0] > 0
        places = np.zeros((1, 6, 11, 2), np.float32)
        return [places, places[..., 0], places[..., 0], places[..., None, :]]

    def get_modelmeta(self):
        return types.SimpleNamespace(custom_metadata_map={"least_share": "0.35"})


sys.modules["onnxruntime"] = types.SimpleNamespace(InferenceSession=Session)
predict = runpy.run_path(sys.argv[1])["predict_mask"]
from pathlib import Path

print(predict(Path(), np.zeros((11, 40, 60, 3), np.uint8)).shape)
"""


class Session:
    """A session of ONNX Runtime, with the network that was exported in its place."""

    def __init__(self, step: Step, loaded: LoadedModel) -> None:
        self.step, self.loaded = step, loaded

    def run(self, _: None, feed: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        with torch.no_grad():
            outputs = self.step.network(*(torch.tensor(feed[name]) for name in self.step.inputs))
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        return [each.numpy() for each in outputs]

    def get_modelmeta(self) -> SimpleNamespace:
        return SimpleNamespace(custom_metadata_map=describe(self.step, self.loaded, ""))


def test_it_gives_the_mask_of_the_pipeline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("onnxruntime", reason=NO_ONNX)
    example = load_script(EXAMPLE)
    motion = tmp_path / "motion.yaml"
    motion.write_text(MOTION.format(root=ROOT))
    names = {
        "unet": str(ROOT / UNET),
        "motion": str(motion),
        "unet_weights": checkpoint(tmp_path, UNET),
        "motion_weights": checkpoint(tmp_path, str(motion)),
    }
    config = tmp_path / "pipeline.yaml"
    config.write_text(PIPELINE.format(**names))
    options = ["MODEL.DEVICE", "cpu", "SOLVER.AMP.ENABLED", "False"]
    pipeline = FutureMaskPredictor.from_config_file(config, options)
    assert pipeline.mask_predictor is not None
    sessions: dict[str, Any] = {}
    for role, loaded in (
        ("segmenter", pipeline.segmenter),
        ("mask_predictor", pipeline.mask_predictor),
    ):
        for step in EXPORTERS[loaded.cfg.MODEL.META_ARCHITECTURE](loaded):
            name = ".".join(filter(None, (role, step.name)))
            sessions[f"{name}.onnx"] = Session(step, loaded)
    runtime = SimpleNamespace(InferenceSession=lambda path: sessions[path.name])
    monkeypatch.setattr(example, "onnxruntime", runtime)
    frames = generate_video(3).frames[:11]
    expected = pipeline(frames[None], want_frames=False)[0].mask
    assert np.unique(expected).size > 2  # objects that the random networks draw
    # The pipeline interpolates outlines.
    assert (example.predict_mask(tmp_path, frames) != expected).mean() < 0.002


def test_it_needs_no_pytorch() -> None:
    command = [sys.executable, "-c", WITHOUT_TORCH, str(ROOT / EXAMPLE)]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == "(40, 60)\n", done.stderr
