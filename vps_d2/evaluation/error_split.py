"""The causes of errors in masks that ObjectDynamics predicts, in points of the Jaccard index.

The share of a cause is what the index gains when it is repaired
(:mod:`vps_d2.modeling.object_dynamics.repairs`).
"""

import itertools
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.data.video import (
    MASK_FILE,
    FaultError,
    find_videos,
    read_frames,
    read_masks,
)
from vps_d2.evaluation.metrics import JaccardIndex
from vps_d2.inference.future_masks import FutureMaskPredictor
from vps_d2.io.errors import UserError
from vps_d2.modeling.object_dynamics import ObjectDynamics
from vps_d2.modeling.object_dynamics.repairs import CAUSES, repair
from vps_d2.modeling.precision import inference_autocast


def split_errors(pipeline: FutureMaskPredictor, root: str | Path) -> dict[str, Any]:
    """Divide what is missing from a Jaccard index of 1 by cause.

    Args:
        pipeline: whose mask predictor is an ``ObjectDynamics``.
        root: folder of labeled videos.

    Returns:
        ``jaccard`` of the predictions; ``lost``, by CAUSES, which add up to one minus that;
        ``num_objects`` in the true masks, by whether they meet others or were never seen.

    Raises:
        UserError: if the pipeline has no ``ObjectDynamics``, or a video cannot be read.
    """
    predictor = pipeline.mask_predictor
    if predictor is None or not isinstance(predictor.model, ObjectDynamics):
        raise UserError(
            "split-errors only works for ObjectDynamics; give a pipeline with it as mask "
            "predictor, such as configs/pipeline/unet_object_dynamics.yaml."
        )
    target = predictor.clip.target_frames(pipeline.num_known)[-1]
    indices = [JaccardIndex(pipeline.taxonomy.num_classes) for _ in range(len(CAUSES))]
    counts = np.zeros(3, np.int64)
    for folder in tqdm(find_videos(root), unit="video"):
        frames = read_frames(folder, predictor.clip.input_frames(pipeline.num_known))
        masks = read_masks(folder, pipeline.taxonomy.num_classes)
        if len(masks) <= target:
            reason = f"mask with {len(masks)} frames, without frame {target + 1}"
            raise FaultError(folder / MASK_FILE, reason)
        if masks.shape[1:] != frames.shape[1:3]:
            reason = f"masks have the size {masks.shape[1:]}, frames {frames.shape[1:3]}"
            raise FaultError(folder / MASK_FILE, reason, "give the masks of these frames")
        segmented = pipeline.segment_videos(frames[None])[0]
        repairs = repair(
            predictor.model, segmented, masks, pipeline.num_known, inference_autocast(predictor.cfg)
        )
        for index, mask in zip(indices, repairs.masks, strict=True):
            index.update(mask, repairs.truth)
        counts += repairs[2:]
    scores = [index.macro() for index in indices] + [1.0]
    return {
        "jaccard": scores[0],
        "lost": {
            cause: after - before
            for cause, (before, after) in zip(CAUSES, itertools.pairwise(scores), strict=True)
        },
        "num_objects": dict(
            zip(("without contact", "with contact", "never seen"), counts.tolist(), strict=True)
        ),
    }


def format_split(split: dict[str, Any]) -> str:
    """Return the result of :func:`split_errors` as text and a Markdown table."""
    lines = [
        f"Jaccard of frame 22: {split['jaccard']:.3f}",
        "",
        "| lost to | Jaccard |",
        "|---|---|",
    ]
    lines += [f"| {cause} | {lost:.3f} |" for cause, lost in split["lost"].items()]
    counts = ", ".join(f"{count} {name}" for name, count in split["num_objects"].items())
    return "\n".join([*lines, "", f"Objects of frame 22: {counts}."])
