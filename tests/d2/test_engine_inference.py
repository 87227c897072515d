"""DefaultPredictor and the evaluation of DefaultTrainer, around architectures of a few lines."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.engine import DefaultPredictor, DefaultTrainer
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.modeling import META_ARCH_REGISTRY, build_model


@META_ARCH_REGISTRY.register()
class ToyEcho(nn.Module):
    """Gives back its input and its one weight."""

    def __init__(self, cfg: CfgNode) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, batch: list[dict]) -> list[dict]:
        assert not self.training and not torch.is_grad_enabled()
        return [{**sample, "weight": self.weight.item()} for sample in batch]


def make_config(tmp_path: Path, *opts: object) -> CfgNode:
    weights = tmp_path / "weights.pth"
    torch.save({"model": {"weight": torch.full((1,), 3.0)}}, weights)
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.META_ARCHITECTURE", "ToyEcho", "MODEL.DEVICE", "cpu"])
    cfg.merge_from_list(["MODEL.WEIGHTS", str(weights), "DATASETS.TEST", ("one", "two"), *opts])
    return cfg


@pytest.mark.parametrize("order", ["RGB", "BGR"])
def test_predictor_takes_bgr(order: str, tmp_path: Path) -> None:
    cfg = make_config(tmp_path, "INPUT.FORMAT", order, "INPUT.MIN_SIZE_TEST", 0)
    image = np.random.default_rng(0).integers(0, 255, (5, 7, 3), dtype=np.uint8)
    predictor = DefaultPredictor(cfg)
    output = predictor(image)
    assert predictor.metadata.name == "one"
    assert (output["height"], output["width"], output["weight"]) == (5, 7, 3.0)
    expected = image[:, :, ::-1] if order == "RGB" else image
    assert output["image"].dtype == torch.float32
    assert np.array_equal(output["image"].numpy().transpose(1, 2, 0), expected)


def test_predictor_resizes(tmp_path: Path) -> None:
    cfg = make_config(tmp_path, "INPUT.MIN_SIZE_TEST", 10, "INPUT.MAX_SIZE_TEST", 16)
    output = DefaultPredictor(cfg)(np.full((5, 10, 3), 9, np.uint8))
    assert output["image"].shape == (3, 8, 16)
    assert (output["height"], output["width"]) == (5, 10)
    assert torch.all(output["image"] == 9)


class Count(DatasetEvaluator):
    """Counts samples and adds up their numbers."""

    def reset(self) -> None:
        self.numbers: list[int] = []

    def process(self, inputs: list[dict], outputs: list[dict]) -> None:
        self.numbers += [output["number"] for output in outputs]

    def evaluate(self) -> dict:
        return {"count": {"samples": len(self.numbers), "sum": sum(self.numbers)}}


class Loader:
    def __init__(self, name: str) -> None:
        self.numbers = {"one": [1, 2, 3], "two": [10, 20]}[name]

    def __len__(self) -> int:
        return len(self.numbers)

    def __iter__(self) -> Iterator[list[dict]]:
        return iter([[{"number": number}] for number in self.numbers])


class Evaluation(DefaultTrainer):
    @classmethod
    def build_test_loader(cls, cfg: CfgNode, dataset_name: str) -> Loader:
        return Loader(dataset_name)


class CountingEvaluation(Evaluation):
    @classmethod
    def build_evaluator(cls, cfg: CfgNode, dataset_name: str) -> Any:
        return Count()


def test_data_sets_are_evaluated(tmp_path: Path) -> None:
    cfg = make_config(tmp_path)
    model = build_model(cfg).train()
    expected = {
        "one": {"count": {"samples": 3, "sum": 6}},
        "two": {"count": {"samples": 2, "sum": 30}},
    }
    assert CountingEvaluation.test(cfg, model) == expected
    assert Evaluation.test(cfg, model, [Count(), Count()]) == expected
    assert model.training
    with pytest.raises(AssertionError):
        Evaluation.test(cfg, model, Count())
    cfg.DATASETS.TEST = ("two",)
    assert Evaluation.test(cfg, model, Count()) == expected["two"]
    assert Evaluation.test(cfg, model) == {}  # no evaluator
