import os
import pickle
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import torch
from torch import nn

from tests.helpers import ROOT, file_size_limit
from vps_d2.config.loading import load_config
from vps_d2.d2.modeling import build_model
from vps_d2.io.checkpoints import export_weights, read_checkpoint
from vps_d2.io.errors import UserError
from vps_d2.modeling.checkpoint import SafeCheckpointer


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.folder),)


@pytest.mark.parametrize("new_format", [True, False])
def test_file_that_would_run_code_is_refused(new_format: bool, tmp_path: Path) -> None:
    path, caught = tmp_path / "evil.pth", tmp_path / "caught"
    weights = {**nn.Linear(2, 3).state_dict(), "trap": Trap(caught)}
    torch.save({"model": weights}, path, _use_new_zipfile_serialization=new_format)
    with pytest.raises(UserError, match=r"evil\.pth would run code .*mkdir") as error:
        SafeCheckpointer(nn.Linear(2, 3)).load(str(path))
    assert "\n" not in str(error.value)
    assert not caught.exists()


def test_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    path, caught = tmp_path / "evil.pkl", tmp_path / "caught"
    path.write_bytes(pickle.dumps(Trap(caught)))
    with pytest.raises(UserError, match=r"evil\.pkl"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(path))
    assert not caught.exists()


@pytest.mark.parametrize("prefix", ["", "0."])
def test_the_model_zoo_is_read(prefix: str, tmp_path: Path) -> None:
    net, path = nn.Sequential(nn.Linear(2, 3)), tmp_path / "zoo.pkl"
    arrays = {
        f"{prefix}{name}": np.full(value.shape, 7, np.float32)
        for name, value in net[0].state_dict().items()
    }
    zoo = {"model": arrays, "__author__": "somebody", "matching_heuristics": not prefix}
    path.write_bytes(pickle.dumps(zoo))
    SafeCheckpointer(net, strict=True).load(str(path))
    assert (net[0].weight == 7).all() and (net[0].bias == 7).all()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_truncated_file_is_named(share: float, tmp_path: Path) -> None:
    path = tmp_path / "short.pth"
    torch.save({"model": nn.Linear(40, 50).state_dict()}, path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"short\.pth is damaged") as error:
        SafeCheckpointer(nn.Linear(40, 50)).load(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"hello, I am no checkpoint", b"\x80\x02.", b"PK\x03\x04"])
def test_other_files_are_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"other\.pth is damaged or not a checkpoint"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(path))


def test_missing_file_is_named(tmp_path: Path) -> None:
    checkpointer = SafeCheckpointer(nn.Linear(2, 3), str(tmp_path))
    with pytest.raises(UserError, match=r"nowhere\.pth does not exist"):
        checkpointer.load(str(tmp_path / "nowhere.pth"))
    (tmp_path / "last_checkpoint").write_text("gone.pth")
    with pytest.raises(UserError, match=r"gone\.pth does not exist"):
        checkpointer.resume_or_load("", resume=True)


@pytest.mark.parametrize("weights", [{}, [1, 2], {"model": {}}, {"model": 3}])
def test_file_without_weights_is_named(weights: object, tmp_path: Path) -> None:
    path = tmp_path / "empty.pth"
    torch.save(weights, path)
    with pytest.raises(UserError, match=r"empty\.pth holds no weights"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(path))


@pytest.mark.parametrize("other", [nn.Sequential(nn.Linear(2, 3)), nn.Linear(4, 5)])
def test_weights_of_another_model_are_refused(other: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "other.pth"
    torch.save({"model": other.state_dict()}, path)
    checkpointer = SafeCheckpointer(nn.Linear(2, 3))
    with pytest.raises(UserError, match=r"other\.pth has no weight of this model"):
        checkpointer.load(str(path))
    torch.save(nn.Linear(2, 3).state_dict(), path)
    checkpointer.load(str(path))  # the error has left nothing behind


def test_a_strict_checkpointer_wants_every_weight(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "part.pth"
    net = nn.Sequential(nn.Linear(2, 3), nn.Linear(3, 4), nn.BatchNorm1d(4))
    weights = net.state_dict()
    torch.save({"model": {**weights, "1.weight": torch.zeros(5, 3)}}, path)
    with pytest.raises(
        UserError, match=r"part\.pth .* lacks 1\.weight \(of shape \(5, 3\), not \(4"
    ):
        SafeCheckpointer(net, strict=True).load(str(path))
    del weights["0.bias"], weights["2.num_batches_tracked"]
    torch.save({"model": weights}, path)
    with pytest.raises(UserError, match=r"lacks 0\.bias; use the configuration"):
        SafeCheckpointer(net, strict=True).load(str(path))
    caplog.clear()
    SafeCheckpointer(net).load(str(path))  # training starts from a part, and says what it lacks
    assert "0.bias" in caplog.text
    torch.save({"model": {**net.state_dict(), "more": torch.zeros(1)}}, path)
    SafeCheckpointer(net, strict=True).load(str(path))


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_weights_that_are_no_numbers_are_refused(value: float, tmp_path: Path) -> None:
    net, path = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)), tmp_path / "diverged.pth"
    net[1].running_var[1] = value
    torch.save({"model": net.state_dict()}, path)
    with pytest.raises(UserError, match=r"diverged\.pth has values in 1\.running_var that are inf"):
        SafeCheckpointer(net, strict=True).load(str(path))
    SafeCheckpointer(net).load(str(path))  # training says so itself


def test_a_flipped_bit_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "flipped.pth"
    torch.save({"model": {"weight": torch.full((300, 200), 7.0), "bias": torch.zeros(300)}}, path)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    assert (torch.load(path)["model"]["weight"] != 7).any()  # PyTorch does not notice
    with pytest.raises(UserError, match=r"flipped\.pth is damaged"):
        SafeCheckpointer(nn.Linear(200, 300)).load(str(path))


def test_a_file_without_checksums_is_read(tmp_path: Path) -> None:
    """PyTorch writes zeros instead of them if it is told to."""
    if not hasattr(torch.serialization, "set_crc32_options"):
        pytest.skip("this PyTorch always writes checksums")
    path, weights = tmp_path / "a.pth", {"weight": torch.ones(100)}
    try:
        torch.serialization.set_crc32_options(False)
        torch.save(weights, path)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_checkpoint(str(path))["weight"], weights["weight"])
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(UserError, match="is damaged"):
        read_checkpoint(str(path))


def test_a_part_that_is_marked_as_a_folder_is_not_left_out(tmp_path: Path) -> None:
    """PyTorch would return whatever the memory held before."""
    path, marked = tmp_path / "whole.pth", tmp_path / "marked.pth"
    torch.save({"model": nn.Linear(2, 3).state_dict()}, path)
    with ZipFile(path) as whole, ZipFile(marked, "w") as other:
        for info in whole.infolist():
            info.external_attr = 0x10 if info.filename.endswith("data/1") else 0
            other.writestr(info, whole.read(info.filename))
    with pytest.raises(UserError, match=r"marked\.pth is damaged"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(marked))


def test_an_archive_that_grows_is_not_read(tmp_path: Path) -> None:
    path, bomb = tmp_path / "whole.pth", tmp_path / "bomb.pth"
    torch.save({"model": {"weight": torch.zeros(300, 200), "bias": torch.zeros(300)}}, path)
    with ZipFile(path) as whole, ZipFile(bomb, "w", ZIP_DEFLATED) as packed:
        for info in whole.infolist():
            packed.writestr(info.filename, whole.read(info))
    with pytest.raises(UserError, match=r"bomb\.pth is damaged"):
        SafeCheckpointer(nn.Linear(200, 300)).load(str(bomb))


@pytest.mark.parametrize(
    "other",
    [
        {1: torch.zeros(3)},
        {"bias": [0.0, 0.0, 0.0]},
        {"bias": 3},
        {"bias": torch.zeros(3, device="meta")},
        {"bias": torch.zeros(3).to_sparse()},
        {"bias": torch.zeros(1).expand(10**12)},
        {"bias": {"weight": torch.zeros(3)}},
    ],
)
@pytest.mark.parametrize("bare", [True, False])
def test_what_is_no_weight_is_named(other: dict, bare: bool, tmp_path: Path) -> None:
    path, net = tmp_path / "other.pth", nn.Linear(2, 3)
    weights = {**net.state_dict(), **other}
    torch.save(weights if bare else {"model": weights}, path)
    words = rf"other\.pth does not only hold weights \({next(iter(other))} is not a tensor"
    with pytest.raises(UserError, match=words):
        SafeCheckpointer(net).load(str(path))
    with pytest.raises(UserError, match=words):
        export_weights([str(path)], str(tmp_path / "out.pth"))


@pytest.mark.parametrize(
    "content",
    [3, [1], {}, {"model": 3, "__author__": "x"}, {"blobs": [1]}, {1: np.zeros(2)}, {"a": "text"}],
)
def test_a_model_zoo_of_other_types_is_a_sentence(content: object, tmp_path: Path) -> None:
    path = tmp_path / "zoo.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=r"zoo\.pkl (holds no|does not only hold) weights"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(path))


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes of this kind")
@pytest.mark.parametrize("name", ["pipe.pth", "pipe.pkl"])
def test_a_pipe_is_not_waited_for(name: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises(UserError, match=rf"{name} (does not exist|cannot be read)"):
        SafeCheckpointer(nn.Linear(2, 3)).load(str(tmp_path / name))


def test_half_precision_loads_into_single(tmp_path: Path) -> None:
    net, path = nn.Linear(2, 3), tmp_path / "half.pth"
    torch.save({"model": {k: v.half() for k, v in net.state_dict().items()}}, path)
    other = nn.Linear(2, 3)
    SafeCheckpointer(other).load(str(path))
    assert other.weight.dtype == torch.float32
    assert torch.equal(other.weight, net.weight.half().float())


def test_shipped_weights_have_a_short_name() -> None:
    model = build_model(load_config(ROOT / "configs" / "object_dynamics" / "object_dynamics.yaml"))
    before = [each.clone() for each in model.parameters()]
    SafeCheckpointer(model).load("package://object_dynamics.pth")
    assert not any(map(torch.equal, before, model.parameters()))
    with pytest.raises(UserError, match=r"weights/nothing\.pth does not exist"):
        SafeCheckpointer(model).load("package://nothing.pth")


def test_a_full_disk_is_a_sentence_and_the_earlier_checkpoint_stays(tmp_path: Path) -> None:
    net = nn.Linear(200, 300)
    checkpointer = SafeCheckpointer(net, str(tmp_path))
    checkpointer.save("model_1", iteration=1)
    old = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1
    for name in ("model_1", "model_2"):
        with (
            file_size_limit(100_000),
            pytest.raises(UserError, match=rf"{name}\.pth cannot be written \(file too large\)"),
        ):
            checkpointer.save(name, iteration=2)
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 1
    assert torch.equal(net.weight, old)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["last_checkpoint", "model_1.pth"]


def test_interrupted_save_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = nn.Linear(2, 3)
    checkpointer = SafeCheckpointer(net, str(tmp_path / "new" / "folder"))
    checkpointer.save("model", iteration=1)
    old = net.weight.detach().clone()
    with torch.no_grad():
        net.weight += 1

    def fail(data: object, file: object) -> None:
        file.write(b"half a check")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", fail)
        for name in ("model", "model_final"):
            with pytest.raises(KeyboardInterrupt):
                checkpointer.save(name, iteration=2)
    assert checkpointer.resume_or_load("", resume=True)["iteration"] == 1
    assert torch.equal(net.weight, old)
    checkpointer.save("model", iteration=3)
    left = sorted(path.name for path in (tmp_path / "new" / "folder").iterdir())
    assert left == ["last_checkpoint", "model.pth"]
