"""The benchmark of following objects, on frames of a few cells."""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from vps_d2.evaluation.benchmark import Figure
from vps_d2.evaluation.public_stcn import PublicFollower
from vps_d2.evaluation.vos_benchmark import REMEMBER, Clip, Follower, OurFollower, Steps, time_vos
from vps_d2.inference.vos.stcn import SMALL_CONFIG
from vps_d2.io.errors import UserError

PARTS = {"encode key", "read memory", "decode", REMEMBER, "write", "all"}
# What the public code of STCN calls its parts, around a network that has none.
PUBLIC = {
    "model/mod_resnet.py": """
def load_weights_sequential(*_): raise AssertionError("weights are loaded")
""",
    "model/eval_network.py": """
import torch, types
from torchvision import models
from model import mod_resnet
class STCN(torch.nn.Module):
    def __init__(self):
        super().__init__()
        models.resnet50(pretrained=True)
        mod_resnet.load_weights_sequential(None, mod_resnet.model_zoo.load_url("x"), 2)
        self.key_proj = types.SimpleNamespace(key_proj=torch.nn.Conv2d(3, 2, 1))
    def encode_key(self, frame):
        self.shape = frame.shape
        return [torch.nn.functional.avg_pool2d(frame, 16)] * 5
    def encode_value(self, frame, coarse, masks):
        assert masks.shape[1:] == (1, *frame.shape[2:])
        return coarse.unsqueeze(2)
    def decoder(self, readout, middle, fine):
        return torch.zeros(len(readout), 1, *self.shape[2:])
    def segment_with_query(self, memory, middle, fine, key, thin):
        memory.frames.append("read")
        return self.decoder(memory.match_memory(key), middle, fine).sigmoid()
""",
    "model/aggregate.py": """
import torch
def aggregate(masks, keep_bg): return torch.cat([1 - masks.sum(0, keepdim=True), masks])
""",
    "util/tensor_util.py": """
import torch
def pad_divide_by(x, d):
    return torch.nn.functional.pad(x, (0, -x.shape[-1] % d, 0, -x.shape[-2] % d)), ()
""",
    "inference_memory_bank.py": """
class MemoryBank:
    def __init__(self, k, top_k): self.k, self.frames = k, []
    def match_memory(self, key): return key.expand(self.k, -1, -1, -1)
    def add_memory(self, key, value): self.frames.append("added")
""",
}


@pytest.fixture
def code(tmp_path: Path) -> Path:
    for name, text in PUBLIC.items():
        path = tmp_path / "code" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path / "code"


class Waiting(Follower):
    """Does nothing, and notes what it is asked for."""

    def __init__(self, clip: Clip) -> None:
        self.asked: list[int] = []

    def follow(self, index: int) -> None:
        self.asked.append(index)

    def steps(self) -> Steps:
        assert self.asked == list(range(1, 7))
        return {"wait": lambda: None}


def _by_name(figures: list[Figure]) -> dict[str, Figure]:
    named = {each.name: each for each in figures}
    assert len(named) == len(figures)
    return named


def test_all_parts_of_all_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vps_d2.evaluation.vos_benchmark._NETWORKS", {"small": SMALL_CONFIG})
    found = _by_name(
        time_vos(
            *(), device="cpu", further={"idle": Waiting}, size=(40, 50), num_frames=7, repeats=1
        )
    )
    for words in ("1 object", "3 objects"):
        for part in (*PARTS, "optical flow"):
            assert found[f"vos small, {words}, {part}"].value > 0
        assert found[f"vos small, {words}, all"].unit == "frames/s"
        assert found[f"vos idle, {words}, wait"].unit == "ms"
        assert found[f"vos idle / small, {words}"].value < 0.5


def test_what_is_followed() -> None:
    clip = Clip(3, (40, 50), 3)
    assert clip.frames.shape == (3, 40, 50, 3)
    assert (
        np.bincount(clip.object_map.ravel())[1:].tolist()
        == [clip.object_map[clip.object_map == 1].size] * 3
    )


def test_a_network_of_ours_remembers_every_fifth_frame() -> None:
    follower = OurFollower(SMALL_CONFIG, "cpu", Clip(12, (40, 50), 1))
    cells = follower.video.memory.num_cells
    with torch.inference_mode():
        for index in range(1, 12):
            follower.follow(index)
    assert follower.video.memory.num_cells == 3 * cells


def test_the_public_code_runs_as_it_does_by_itself(code: Path) -> None:
    import torchvision

    resnet50 = torchvision.models.resnet50
    follower: Any = PublicFollower(code, Clip(7, (20, 30), 3))
    for index in range(1, 7):
        follower.follow(index)
    frames = follower._memory.frames
    assert frames == ["added", *["read"] * 5, "added", "read"]
    for step in follower.steps().values():
        step()
    assert torchvision.models.resnet50 is resnet50
    with pytest.raises(ImportError):
        import inference_memory_bank  # type: ignore[import-not-found] # noqa: F401


def test_a_folder_without_the_public_code(tmp_path: Path) -> None:
    make = partial(PublicFollower, tmp_path)
    with pytest.raises(UserError, match=r"does not hold the public code of STCN \(No module"):
        make(Clip(2, (20, 30), 1))
