"""The figures of exported models; sessions are stubs, and the smallest model stands for all."""

from types import SimpleNamespace

import numpy as np
import pytest

from vps_d2.evaluation import export_benchmark
from vps_d2.evaluation.export_benchmark import time_exported
from vps_d2.inference.export.steps import Sizes


def test_each_step_is_timed_in_both(monkeypatch: pytest.MonkeyPatch) -> None:
    config, weights, task, _ = export_benchmark._MODELS["small STCN"]
    models = {"small STCN": (config, weights, task, Sizes(2, 32, 48))}
    fed: list[dict[str, np.ndarray]] = []
    session = SimpleNamespace(run=lambda names, feed: fed.append(feed))
    monkeypatch.setattr(export_benchmark, "_MODELS", models)
    monkeypatch.setattr(export_benchmark, "check_format", lambda form: None)
    monkeypatch.setattr(export_benchmark, "trace", lambda step: None)
    monkeypatch.setattr(export_benchmark, "to_file", lambda *arguments: b"")
    monkeypatch.setattr(export_benchmark, "open_session", lambda content: session)
    figures = {each.name: each for each in time_exported(repeats=1)}
    for step in ("key", "value", "read", "decode"):
        one, other, gain = (
            figures[f"small STCN {step}, {words}"] for words in ("PyTorch", "ONNX Runtime", "gain")
        )
        assert one.unit == other.unit == "ms" and gain.unit == "x"
        assert gain.value == pytest.approx(one.value / other.value)
    assert len(figures) == 12 and len(fed) == 8  # each once to warm up
    assert fed[0]["frames"].shape == (2, 3, 32, 48)
