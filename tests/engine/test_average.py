"""The moving average of weights: its numbers, and what is saved, resumed and evaluated."""

from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from tests.engine.test_trainer import make_config, train
from vps_d2.d2.config import CfgNode
from vps_d2.engine.average import AverageHook, WeightAverage, averaged
from vps_d2.io.checkpoints import export_weights, read_checkpoint
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model
from vps_d2.modeling.checkpoint import SafeCheckpointer


def small_model() -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1, bias=False), nn.Linear(1, 1), nn.BatchNorm1d(1))
    model[1].requires_grad_(False)
    nn.init.constant_(model[0].weight, 0.0)
    return model


def test_numbers() -> None:
    model = small_model()
    average = WeightAverage(model, decay=0.75)
    average.start()
    for count in (1, 2):
        nn.init.constant_(model[0].weight, 4.0)
        average.update(count)
    state = average.state_dict()
    assert state["0.weight"].item() == pytest.approx(4 * (1 - 0.75**2))
    # Frozen weights and whole numbers have no average.
    assert set(state) == {"0.weight", "2.weight", "2.bias", "2.running_mean", "2.running_var"}


@pytest.mark.parametrize(("count", "kept"), [(1, 2 / 11), (8, 9 / 18), (1000, 0.9)])
def test_the_first_weights_are_soon_forgotten(count: int, kept: float) -> None:
    model = small_model()
    average = WeightAverage(model, decay=0.9, warm_up=10)
    average.start()
    nn.init.constant_(model[0].weight, 1.0)
    average.update(count)
    assert average.state_dict()["0.weight"].item() == pytest.approx(1 - kept)


def test_a_model_has_its_weights_again_after_all() -> None:
    model = small_model()
    assert not hasattr(model, "ema_state")
    with averaged(model):  # keeps none
        pass
    model.ema_state = average = WeightAverage(model)  # type: ignore[assignment]
    average.start()
    nn.init.constant_(model[0].weight, 5.0)
    with pytest.raises(KeyError), averaged(SimpleNamespace(module=model)):  # type: ignore[arg-type]
        assert model[0].weight.item() == 0.0
        raise KeyError
    assert model[0].weight.item() == 5.0


def test_a_run_that_begins_anew_begins_with_its_weights() -> None:
    model = small_model()
    hook = AverageHook(WeightAverage(model))
    for start, expected in ((0, 1.0), (3, 1.0), (0, 3.0)):
        nn.init.constant_(model[0].weight, expected + start)
        hook.trainer = SimpleNamespace(start_iter=start)
        hook.before_train()
        assert hook.average.state_dict()["0.weight"].item() == expected


def with_average(folder: Path, *evaluators: str) -> CfgNode:
    cfg = make_config(folder, amp=False).clone()
    cfg.defrost()
    cfg.MODEL_EMA.ENABLED, cfg.MODEL_EMA.DECAY = True, 0.9
    cfg.TEST.EVALUATORS, cfg.TEST.PICTURE_PERIOD = evaluators, 0
    cfg.freeze()
    return cfg


def test_a_killed_run_has_the_same_average(tmp_path: Path) -> None:
    train(with_average(tmp_path / "whole"))
    with pytest.raises(KeyboardInterrupt):
        train(with_average(tmp_path / "broken"), die_before=4)
    train(with_average(tmp_path / "broken"), resume=True)
    whole, broken = (
        read_checkpoint(str(tmp_path / name / "model_final.pth")) for name in ("whole", "broken")
    )
    differs = 0
    for name, value in whole["ema_state"].items():
        assert torch.allclose(value, broken["ema_state"][name])
        differs += not torch.allclose(value, whole["model"][name])
    assert differs > 3
    # It is used wherever a model is only used, and in what is exported, but training goes on
    # from the weights.
    path = str(tmp_path / "whole" / "model_final.pth")
    model = build_model(with_average(tmp_path))
    for strict, key in ((True, "ema_state"), (False, "model")):
        SafeCheckpointer(model, strict=strict).load(path)
        loaded = model.state_dict()
        assert all(torch.equal(loaded[name], value) for name, value in whole[key].items())
    export_weights([path], str(tmp_path / "half.pth"))
    half = read_checkpoint(str(tmp_path / "half.pth"))["model"]
    assert all(torch.equal(half[name], each.half()) for name, each in whole["ema_state"].items())
    assert "ema_state" not in read_checkpoint(str(tmp_path / "half.pth"))


def test_the_average_is_evaluated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[float] = []

    def test(cls: type, cfg: CfgNode, model: nn.Module, evaluators: object = None) -> dict:
        seen.append(float(next(model.parameters()).detach().sum()))
        return {}

    monkeypatch.setattr("vps_d2.d2.engine.DefaultTrainer.test", classmethod(test))
    train(with_average(tmp_path / "run", "FramePredictionEvaluator"))
    saved = read_checkpoint(str(tmp_path / "run" / "model_final.pth"))
    name = next(iter(saved["ema_state"]))
    assert seen[-1] == float(saved["ema_state"][name].sum()) != float(saved["model"][name].sum())


def test_an_average_of_another_model_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        train(with_average(tmp_path), die_before=4)
    path = tmp_path / "model_0000002.pth"
    saved = read_checkpoint(str(path))
    saved["ema_state"].popitem()
    torch.save(saved, path)
    with pytest.raises(UserError, match="average of weights is of another model"):
        train(with_average(tmp_path), resume=True)
