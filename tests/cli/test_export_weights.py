import pytest
import torch

from tests.helpers import load_tool
from vps_d2.io.errors import UserError


def export(*arguments):
    load_tool("export_weights").main([str(argument) for argument in arguments])


def test_weights_alone_in_half_precision(tmp_path, capsys):
    model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2))
    optimizer = torch.optim.AdamW(model.parameters())
    checkpoint = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "iteration": 3}
    torch.save(checkpoint, tmp_path / "model_final.pth")
    export("--checkpoint", tmp_path / "model_final.pth", "--output", tmp_path / "new" / "w.pth")
    weights = torch.load(tmp_path / "new" / "w.pth", weights_only=True)
    assert list(weights) == ["model"]
    assert weights["model"]["0.weight"].dtype == torch.float16
    assert weights["model"]["1.num_batches_tracked"].dtype == torch.int64
    model.load_state_dict(weights["model"])
    assert "MB" in capsys.readouterr().out


def test_a_missing_checkpoint_is_a_sentence(tmp_path):
    with pytest.raises(UserError, match="does not exist"):
        export("--checkpoint", tmp_path / "absent.pth", "--output", tmp_path / "w.pth")


@pytest.mark.parametrize("content", [{"model": 3}, {}, {"model": {}}])
def test_a_file_without_weights_is_a_sentence(content, tmp_path):
    torch.save(content, tmp_path / "odd.pth")
    with pytest.raises(UserError, match="holds no weights"):
        export("--checkpoint", tmp_path / "odd.pth", "--output", tmp_path / "w.pth")
    assert not (tmp_path / "w.pth").exists()


def test_of_several_checkpoints_the_mean_is_written(tmp_path):
    states = [torch.nn.Linear(2, 3).state_dict() for _ in range(3)]
    paths = [tmp_path / f"model_{number}.pth" for number in range(3)]
    for state, path in zip(states, paths, strict=True):
        torch.save({"model": {**state, "steps": torch.tensor(7)}}, path)
    export("--checkpoint", *paths, "--output", tmp_path / "w.pth")
    weights = torch.load(tmp_path / "w.pth", weights_only=True)["model"]
    mean = torch.stack([state["weight"] for state in states]).mean(0)
    assert torch.allclose(weights["weight"].float(), mean, atol=1e-3)
    assert weights["steps"] == 7


def test_checkpoints_of_different_models_are_a_sentence(tmp_path):
    for size in (2, 3):
        torch.save(torch.nn.Linear(size, size).state_dict(), tmp_path / f"{size}.pth")
    with pytest.raises(UserError, match="of different models"):
        export("--checkpoint", tmp_path / "2.pth", tmp_path / "3.pth", "--output", tmp_path / "w")


def test_the_checkpoint_itself_is_not_written_over(tmp_path):
    path = tmp_path / "model.pth"
    torch.save({"model": {"weight": torch.zeros(1)}, "iteration": 3}, path)
    (tmp_path / "link.pth").symlink_to(path)
    for other in (path, tmp_path / "link.pth"):
        with pytest.raises(UserError, match="is an input"):
            export("--checkpoint", path, "--output", other)
    assert torch.load(path)["iteration"] == 3


@pytest.mark.parametrize("value", [float("nan"), 1e5])
def test_values_that_half_precision_does_not_hold_are_a_sentence(value, tmp_path):
    torch.save({"bias": torch.zeros(1), "weight": torch.tensor([value])}, tmp_path / "model.pth")
    with pytest.raises(UserError, match=r"model\.pth has values in weight"):
        export("--checkpoint", tmp_path / "model.pth", "--output", tmp_path / "w.pth")
    assert not (tmp_path / "w.pth").exists()


def test_shipped_weights_have_a_short_name(tmp_path):
    export("--checkpoint", "package://object_dynamics.pth", "--output", tmp_path / "w.pth")
    assert (tmp_path / "w.pth").is_file()
