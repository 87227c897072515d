"""The evaluator of networks that fuse masks."""

import logging
from typing import Any

import numpy as np
import torch

from vps_d2.d2.config import CfgNode
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.utils import comm
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.vos_metrics import region_similarity

__all__ = ["FusionEvaluator"]

_KINDS = ("old", "new", "fused")


@EVALUATOR_REGISTRY.register()
class FusionEvaluator(DatasetEvaluator):
    """The mean J of objects, before a correction, after it, and after fusion.

    Args:
        cfg: configuration.
        dataset_name: of the data set.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        self.dataset_name = dataset_name
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        self._scores: list[tuple[float, ...]] = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Score samples of ``FusionMapper``, and what the network made of them."""
        for sample, output in zip(inputs, outputs, strict=True):
            truth = _to_numpy(sample["object_map"])
            fused = _to_numpy(output["probabilities"].argmax(0))
            for number, masks in enumerate(_to_numpy(sample["masks"][:, :2]) > 0.5, 1):
                found = (*masks, fused == number)
                self._scores.append(tuple(region_similarity(x, truth == number) for x in found))

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"fusion": {"J/old", "J/new", "J/fused"}}``; None outside the main process."""
        gathered = comm.gather(self._scores)
        if not comm.is_main_process():
            return None
        scores = [each for part in gathered for each in part]
        if not scores:
            logging.getLogger(__name__).warning("%s has no object to score.", self.dataset_name)
            return {"fusion": {}}
        means = np.mean(scores, 0).tolist()
        return {"fusion": {f"J/{kind}": value for kind, value in zip(_KINDS, means, strict=True)}}


def _to_numpy(tensor: torch.Tensor) -> np.ndarray:
    array: np.ndarray = tensor.detach().cpu().numpy()
    return array
