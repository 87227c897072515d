"""The evaluation of DefaultTrainer, around an architecture of a few lines."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn

from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.engine import DefaultTrainer
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


def make_config() -> CfgNode:
    cfg = get_cfg()
    cfg.merge_from_list(["MODEL.META_ARCHITECTURE", "ToyEcho", "MODEL.DEVICE", "cpu"])
    cfg.merge_from_list(["DATASETS.TEST", ("one", "two")])
    return cfg


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


def test_data_sets_are_evaluated() -> None:
    cfg = make_config()
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
