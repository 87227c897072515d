"""An exported Mask R-CNN that segments videos; the session is a stub that finds the same always."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from vps_d2.inference import onnx_models
from vps_d2.inference.instance_models import find_instance_model
from vps_d2.io.errors import UserError

TABLE = {
    "architecture": "GeneralizedRCNN",
    "classes": json.dumps(["cat", "dog"]),
    "colors": json.dumps([[255, 0, 0], [0, 255, 0]]),
    "one_object_per_class": "false",
    "input_format": "BGR",
    "license": "Free for all.",
    "weights": "pets.pth",
}


class Session:
    def __init__(self, table: dict[str, str]) -> None:
        self.table, self.images = table, []

    def get_modelmeta(self) -> Any:
        return SimpleNamespace(custom_metadata_map=self.table)

    def run(self, _: None, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.images.append(feed["image"])
        masks = np.zeros((3, *feed["image"].shape[1:]), np.float32)
        masks[:, 1] = np.array([0.9, 0.5, 0.4], np.float32)[:, None]
        scores = np.array([0.6, 0.8, 0.9], np.float32)
        return [np.zeros((3, 4), np.float32), scores, np.array([0, 1, 1]), masks]


def test_instances_of_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session(TABLE)
    monkeypatch.setattr(onnx_models, "open_session", lambda content: session)
    model = onnx_models.OnnxModel(b"file", threshold=0.7, source="pets.onnx")
    frames = np.zeros((2, 4, 6, 3), np.uint8)
    frames[..., 0] = 200
    first, _ = model(frames)
    assert first.pred_classes.tolist() == [1] and first.scores.tolist() == [pytest.approx(0.8)]
    assert first.pred_masks.sum() == 6  # the third mask is empty
    assert session.images[0][2].min() == 200  # blue, green, red
    assert model.taxonomy.thing_classes == ("cat", "dog") and "pets.pth" in model.source
    other = onnx_models.OnnxModel(b"file", threshold=0.5, source="pets.onnx")
    assert other.fingerprint() != model.fingerprint()


def test_other_files_are_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    pytest.importorskip("onnxruntime", reason="the extra [export] is not installed")
    pytest.importorskip("onnxscript", reason="the extra [export] is not installed")
    (tmp_path / "odd.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"cannot read the model; give a Mask R-CNN .* odd\.onnx"):
        find_instance_model(f"onnx:{tmp_path}/odd.onnx", device="cpu")
    with pytest.raises(UserError, match="leave --short-side out"):
        find_instance_model("onnx:odd.onnx", device="cpu", short_side=100)
    for change, words in (
        ({"architecture": "UNet"}, "the model is UNet, which finds no instances"),
        ({"classes": "3"}, "does not say what its classes are"),
        ({"colors": "no JSON"}, "does not say what its classes are"),
    ):
        session = Session({**TABLE, **change})
        monkeypatch.setattr(onnx_models, "open_session", lambda content, made=session: made)
        with pytest.raises(UserError, match=words):
            find_instance_model(f"onnx:{tmp_path}/odd.onnx", device="cpu")
