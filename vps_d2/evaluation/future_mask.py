"""The score of mask predictors on the mask of a later frame."""

import torch

from vps_d2.d2.config import CfgNode
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.utils import comm
from vps_d2.data.metadata import dataset_taxonomy
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.evaluators import Batch
from vps_d2.evaluation.metrics import JaccardIndex


@EVALUATOR_REGISTRY.register()
class FutureMaskEvaluator(DatasetEvaluator):
    """Jaccard index of the last target mask, beside that of copying the last input mask.

    The input masks are those of the data set, the true ones in a labeled split, so errors of a
    segmenter do not enter the score.

    Args:
        cfg: configuration.
        dataset_name: of the data set.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        self.dataset_name = dataset_name
        self.num_classes = dataset_taxonomy(dataset_name).num_classes
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        self.predicted = JaccardIndex(self.num_classes)
        self.copied = JaccardIndex(self.num_classes)

    def process(self, inputs: Batch, outputs: Batch) -> None:
        """Count a batch.

        Args:
            inputs: of ``FutureMasksMapper``; videos whose last target is not valid are skipped.
            outputs: with ``"mask"`` uint8 ``(H, W)`` or logits ``"sem_seg"`` ``(C, H, W)``.
        """
        for video, output in zip(inputs, outputs, strict=True):
            if not bool(video["target_valid"][-1]):
                continue
            truth = video["target_masks"][-1].numpy()
            mask = output["mask"] if "mask" in output else output["sem_seg"].argmax(0)
            self.predicted.update(mask.to(torch.uint8).cpu().numpy(), truth)
            self.copied.update(video["masks"][-1].numpy(), truth)

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"future_mask": {"jaccard", "copy"}}``; None outside the main process."""
        parts = comm.gather((self.predicted.confusion, self.copied.confusion))
        if not comm.is_main_process():
            return None
        predicted, copied = JaccardIndex(self.num_classes), JaccardIndex(self.num_classes)
        predicted.confusion = sum(each for each, _ in parts)
        copied.confusion = sum(each for _, each in parts)
        return {"future_mask": {"jaccard": predicted.macro(), "copy": copied.macro()}}
