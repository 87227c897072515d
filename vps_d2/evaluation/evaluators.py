"""The evaluators that TEST.EVALUATORS can name.

They only keep sums, so memory does not grow with the data set.
"""

from pathlib import Path
from typing import Any

import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import MetadataCatalog
from vps_d2.d2.evaluation import COCOEvaluator, DatasetEvaluator
from vps_d2.d2.utils import comm
from vps_d2.data.annotations import coco_json, load_mask_frame
from vps_d2.data.metadata import dataset_taxonomy
from vps_d2.data.taxonomy import NO_CLASS
from vps_d2.data.video import FaultError
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.metrics import FrameErrors, JaccardIndex
from vps_d2.modeling.outputs import output_to_mask

Batch = list[dict[str, Any]]
"""Model inputs or outputs of one batch."""


@EVALUATOR_REGISTRY.register()
class FramePredictionEvaluator(DatasetEvaluator):
    """MSE, PSNR and SSIM of predicted frames against the target frames that exist.

    Args:
        cfg: configuration.
        dataset_name: of the data set.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        self.dataset_name = dataset_name
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        self.errors = FrameErrors()

    def process(self, inputs: Batch, outputs: Batch) -> None:
        """Count a batch; videos without targets are skipped."""
        for video, output in zip(inputs, outputs, strict=True):
            if "target_frames" in video:
                self.errors.update(output["frames"], video["target_frames"], video["target_valid"])

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"frames": {"mse", "psnr", "ssim"}}``; None outside the main process."""
        parts = comm.gather((self.errors.sums, self.errors.count))
        if not comm.is_main_process():
            return None
        total = FrameErrors()
        total.sums = sum(sums for sums, _ in parts)
        total.count = sum(count for _, count in parts)
        return {"frames": total.compute()}


@EVALUATOR_REGISTRY.register()
class SemanticJaccardEvaluator(DatasetEvaluator):
    """Jaccard index of the classes of a data set of frames, for any kind of segmenter.

    Args:
        cfg: configuration; instances below PIPELINE.SCORE_THRESH are not painted.
        dataset_name: of the data set, whose Metadata names the classes and whose records have
            ``sem_seg_file_name``.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        self.dataset_name = dataset_name
        self.score_thresh = cfg.PIPELINE.SCORE_THRESH
        self.taxonomy = dataset_taxonomy(dataset_name)
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        self.jaccard = JaccardIndex(self.taxonomy.num_classes)

    def process(self, inputs: Batch, outputs: Batch) -> None:
        """Count a batch of outputs with ``"sem_seg"`` logits ``(C, H, W)`` or ``"instances"``.

        Raises:
            UserError: if the mask of a frame cannot be read, or has another size.
        """
        for frame, output in zip(inputs, outputs, strict=True):
            predicted = output_to_mask(
                output, self.score_thresh, one_per_class=self.taxonomy.one_object_per_class
            )
            path = frame["sem_seg_file_name"]
            truth = load_mask_frame(path, num_classes=self.taxonomy.num_classes)
            if truth.shape != predicted.shape:
                reason = f"mask of the wrong shape {truth.shape}, prediction {predicted.shape}"
                raise FaultError(path, reason)
            counts = truth != NO_CLASS
            self.jaccard.update(predicted[counts], truth[counts])

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"jaccard": {"macro", "class-<name>"...}}``; None outside the main process.

        Classes that never occur are left out. Scores with a dash in their name appear in
        TensorBoard, but not in the printed table.
        """
        parts = comm.gather(self.jaccard.confusion)
        if not comm.is_main_process():
            return None
        total = JaccardIndex(self.taxonomy.num_classes)
        total.confusion = sum(parts)
        scores = {"macro": total.macro()}
        for name, score in zip(self.taxonomy.class_names, total.per_class(), strict=True):
            if not np.isnan(score):
                scores[f"class-{name}"] = float(score)
        return {"jaccard": scores}


@EVALUATOR_REGISTRY.register()
def COCO(cfg: CfgNode, dataset_name: str) -> COCOEvaluator:  # noqa: N802 (a name in configurations)
    """Build COCO's average precision of boxes and masks for a data set of frames.

    The data set, without faulty videos if DATASETS.SKIP_FAULTY is set, is first written to
    OUTPUT_DIR as a COCO file. That is done every time: a file of an earlier run is never read.
    """
    folder = Path(cfg.OUTPUT_DIR, "inference")
    path = folder / f"{dataset_name}_coco.json"
    if comm.is_main_process():
        coco_json(dataset_name, path, cfg.DATASETS.SKIP_FAULTY)
    comm.synchronize()
    # A separate Metadata entry: that of the data set could only name one file in this process.
    entry = f"{dataset_name}:{path}"
    things = MetadataCatalog.get(dataset_name).thing_classes
    MetadataCatalog.get(entry).set(json_file=str(path), thing_classes=things)
    return COCOEvaluator(
        entry,
        tasks=("bbox", "segm"),
        output_dir=str(folder),
        use_fast_impl=False,
        allow_cached_coco=False,
    )
