from pathlib import Path

import pytest
import torch
from torch import nn

from vps_d2.d2 import ENGINE
from vps_d2.d2.checkpoint import DetectionCheckpointer
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
