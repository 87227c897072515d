import logging
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from tests.d2.engine import engine_module
from vps_d2.d2 import ENGINE
from vps_d2.d2.checkpoint import DetectionCheckpointer
from vps_d2.d2.embedded.checkpoint import align_names
from vps_d2.io.errors import UserError


def make_net(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))


def same(first: nn.Module, second: nn.Module) -> bool:
    states = first.state_dict(), second.state_dict()
    return all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_saved_and_resumed(tmp_path: Path) -> None:
    net = make_net(0)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.5)
    checkpointer = DetectionCheckpointer(net, str(tmp_path), optimizer=optimizer)
    assert not checkpointer.has_checkpoint()
    assert checkpointer.resume_or_load("", resume=True) == {}
    checkpointer.save("model_0000001", iteration=1)
    assert checkpointer.has_checkpoint()
    assert checkpointer.get_checkpoint_file() == str(tmp_path / "model_0000001.pth")

    other = make_net(1)
    other_optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    resumed = DetectionCheckpointer(other, str(tmp_path), optimizer=other_optimizer)
    assert resumed.resume_or_load("no such file", resume=True)["iteration"] == 1
    assert same(net, other)
    assert other_optimizer.param_groups[0]["lr"] == 0.5


def test_weights_alone(tmp_path: Path) -> None:
    net, path = make_net(0), tmp_path / "weights.pth"
    torch.save(net.state_dict(), path)
    other = make_net(1)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    checkpointer = DetectionCheckpointer(other, str(tmp_path), optimizer=optimizer)
    checkpointer.resume_or_load(str(path), resume=False)
    assert same(net, other)
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_what_does_not_fit_is_left_out(tmp_path: Path) -> None:
    net, path = make_net(0), tmp_path / "weights.pth"
    weights = {f"module.{name}": value for name, value in net.state_dict().items()}
    weights["module.0.weight"] = torch.zeros(5, 1, 3, 3)
    torch.save({"model": weights}, path)
    other = make_net(1)
    before = other[0].weight.clone()
    DetectionCheckpointer(other).load(str(path))
    assert torch.equal(other[0].weight, before)
    assert torch.equal(other[0].bias, net[0].bias)


def test_only_the_writing_process_writes(tmp_path: Path) -> None:
    DetectionCheckpointer(make_net(0), str(tmp_path), save_to_disk=False).save("model")
    DetectionCheckpointer(make_net(0)).save("model")
    assert not list(tmp_path.iterdir())


def test_missing_file(tmp_path: Path) -> None:
    error = AssertionError if ENGINE == "detectron2" else UserError
    with pytest.raises(error, match=r"nowhere\.pth"):
        DetectionCheckpointer(make_net(0)).load(str(tmp_path / "nowhere.pth"))


class Backbone(nn.Module):
    """Named as the detectors of the model zoo are, with a suffix that fits twice."""

    def __init__(self) -> None:
        super().__init__()
        self.bottom_up = nn.Module()
        self.bottom_up.stem = nn.ModuleDict({"conv1": nn.Conv2d(3, 2, 1)})
        self.bottom_up.res2 = nn.Sequential(nn.ModuleDict({"conv1": nn.Conv2d(2, 2, 1)}))
        self.bottom_up.res3 = nn.Sequential(nn.ModuleDict({"conv1": nn.Conv2d(2, 2, 1)}))
        self.fpn = nn.Conv2d(2, 4, 1)


class Detector(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbone = Backbone()
        self.head = nn.Linear(4, 2)


def random_weights(seed: int, **shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {
        name.replace("__", "."): rng.random(shape, dtype=np.float32)
        for name, shape in shapes.items()
    }


def zoo_weights() -> dict[str, np.ndarray]:
    """As of a backbone that was trained alone: some fit, one is misshapen, one of no use."""
    return random_weights(
        0,
        stem__conv1__weight=(2, 3, 1, 1),
        stem__conv1__bias=(2,),
        res2__0__conv1__weight=(2, 2, 1, 1),
        # The longer name must win, though this one fits as well.
        conv1__weight=(2, 2, 1, 1),
        fpn__weight=(9, 2, 1, 1),
        fc1000__weight=(5, 2),
        # In whole parts alone: there is "head.weight", but no "ad.weight".
        ad__weight=(2, 4),
    )


def load_dict(checkpoint: dict[str, Any], model: nn.Module) -> None:
    """Load a checkpoint that has been read already, as that of a ``.pkl`` file."""
    checkpointer = DetectionCheckpointer(model)
    checkpointer._log_incompatible_keys(checkpointer._load_model(checkpoint))


def test_weights_of_the_model_zoo_are_found_by_the_ends_of_their_names() -> None:
    torch.manual_seed(0)
    model, weights = Detector(), zoo_weights()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    load_dict({"model": dict(weights), "__author__": "x", "matching_heuristics": True}, model)
    after = model.state_dict()
    expected = {
        "backbone.bottom_up.stem.conv1.weight": "stem.conv1.weight",
        "backbone.bottom_up.stem.conv1.bias": "stem.conv1.bias",
        "backbone.bottom_up.res2.0.conv1.weight": "res2.0.conv1.weight",
        "backbone.bottom_up.res3.0.conv1.weight": "conv1.weight",
    }
    for name, value in after.items():
        if name in expected:
            assert torch.equal(value, torch.from_numpy(weights[expected[name]])), name
        else:
            assert torch.equal(value, before[name]), name


def test_names_are_left_alone_without_heuristics() -> None:
    model = Detector()
    before = model.backbone.bottom_up.stem["conv1"].bias.clone()
    load_dict({"model": zoo_weights()}, model)
    assert torch.equal(model.backbone.bottom_up.stem["conv1"].bias, before)


def test_a_weight_that_fits_twice_is_refused() -> None:
    weights = random_weights(0, conv1__weight=(2, 2, 1, 1))
    with pytest.raises(ValueError, match=r"conv1\.weight.* twice|multiple keys"):
        load_dict({"model": weights, "matching_heuristics": True}, Detector())


def test_no_weight_fits(caplog: pytest.LogCaptureFixture) -> None:
    weights = {"other.weight": torch.zeros(1)}
    with caplog.at_level(logging.WARNING):
        assert align_names(Detector().state_dict(), weights) == weights
    assert "No weight of the checkpoint fits" in caplog.text


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 knows Caffe2's layout")
@pytest.mark.parametrize(
    "checkpoint",
    [
        {"model": zoo_weights(), "__author__": "Caffe2", "matching_heuristics": True},
        {"model": {"blobs": {"conv1_w": np.zeros(1)}}},
    ],
    ids=["author", "blobs"],
)
def test_embedded_names_the_layout_of_caffe2(checkpoint: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="Caffe2's layout"):
        load_dict(checkpoint, Detector())


def test_anchors_of_old_checkpoints_are_no_surprise(caplog: pytest.LogCaptureFixture) -> None:
    model = make_net(0)
    anchors = {"proposal_generator.anchor_generator.cell_anchors.0": torch.zeros(3, 4)}
    with caplog.at_level(logging.WARNING):
        load_dict({"model": {**model.state_dict(), **anchors}}, model)
    assert "cell_anchors" not in caplog.text


Twins = Callable[[str], tuple[ModuleType, ModuleType]]


@pytest.mark.parametrize("seed", range(4))
def test_the_engines_align_alike(seed: int) -> None:
    """The same names in a random checkpoint of a whole Mask R-CNN: suffixes, misfits, strangers."""
    theirs = pytest.importorskip("detectron2.checkpoint.c2_model_loading")
    model = engine_module("modeling").build_model(mask_rcnn_config()).state_dict()
    rng = np.random.default_rng(seed)
    weights = {}
    for name, value in model.items():
        parts = name.split(".")
        suffix = ".".join(parts[rng.integers(max(len(parts) - 3, 1)) :])
        shape = value.shape if rng.random() < 0.9 else (*value.shape, 1)
        # A suffix of several names is ambiguous, and both engines refuse it.
        if rng.random() < 0.8 and sum(f".{n}".endswith(f".{suffix}") for n in model) == 1:
            weights[suffix] = torch.rand(shape)
    weights |= {"stranger.weight": torch.rand(2), "ight": torch.rand(2)}
    expected = theirs.align_and_update_state_dicts(model, dict(weights), c2_conversion=False)
    found = align_names(model, dict(weights))
    assert 20 < sum(name in model for name in found) < len(model)
    assert set(found) == set(expected)
    assert all(found[name] is expected[name] for name in found)


def test_the_engines_load_a_checkpoint_of_the_model_zoo_alike(twins: Twins) -> None:
    states = []
    for module in twins("checkpoint"):
        torch.manual_seed(0)
        model = Detector()
        checkpoint = {"model": zoo_weights(), "__author__": "x", "matching_heuristics": True}
        module.DetectionCheckpointer(model)._load_model(checkpoint)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def mask_rcnn_config() -> Any:
    from tests.d2.test_modeling import config
    from vps_d2.config.defaults import get_vps_cfg

    return config(get_vps_cfg)
