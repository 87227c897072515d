"""Scoring video object segmentation: folders of object maps, and the evaluator of training."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.d2.config import CfgNode
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.utils import comm
from vps_d2.data.object_maps import find_sequences, numbered_pngs, read_object_map
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.vos_metrics import SequenceScores, summarize
from vps_d2.io.errors import UserError

__all__ = ["VOSEvaluator", "evaluate_vos"]

ObjectScores = Mapping[int, dict[str, float]]
"""What :meth:`SequenceScores.compute` returns."""


def evaluate_vos(
    truth: str | Path, results: str | Path, sequences: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Score object maps against the true ones, as DAVIS does for masks given in the first frame.

    Args:
        truth: folder of the data set; see :func:`~vps_d2.data.object_maps.find_sequences`.
        results: folder with the maps of each sequence under the same name. Frames are matched by
            their numbers; those that the truth does not have are not looked at.
        sequences: names of those to score; () for all of the data set.

    Returns:
        the measures of :meth:`SequenceScores.compute` as means over all objects, as DAVIS reports
        them; ``sequences``, the same for each sequence; and ``objects``, a mapping from sequences
        to their objects by number.

    Raises:
        UserError: if a sequence or a frame is missing, has another size or cannot be read, or there
            is nothing to score.
    """
    known, found = find_sequences(truth), find_sequences(results)
    for name in sequences:
        if name not in known:
            raise UserError(f"{truth} has no sequence {name}; it has {', '.join(list(known)[:5])}.")
    objects = {}
    for name in tqdm(sequences or known, desc="scoring", unit="sequence"):
        if name not in found:
            raise UserError(
                f"{results} holds no masks of sequence {name}; add them, or name the sequences to "
                "score with --sequences."
            )
        objects[name] = _score_sequence(known[name], found[name])
    return _collect(objects, str(truth))


def _score_sequence(truth: Path, results: Path) -> ObjectScores:
    scores, files = SequenceScores(), numbered_pngs(results)
    for number, path in numbered_pngs(truth).items():
        if number not in files:
            raise UserError(
                f"{results} has no mask of frame {number}, as {path} is; segment the whole video."
            )
        try:
            scores.add(read_object_map(files[number]), read_object_map(path))
        except UserError:
            raise
        except ValueError as error:
            raise UserError(
                f"{files[number]} does not fit {path}: {error}; give masks of the video's size."
            ) from error
    return scores.compute()


def _collect(objects: Mapping[str, ObjectScores], truth: str) -> dict[str, Any]:
    every = [each for scores in objects.values() for each in scores.values()]
    if not every:
        raise UserError(
            f"{truth} has no object in three or more frames, so there is nothing to score; the "
            "first and the last frame do not count."
        )
    parts = {name: summarize(list(each.values())) for name, each in objects.items() if each}
    return {**summarize(every), "sequences": parts, "objects": objects}


@EVALUATOR_REGISTRY.register()
class VOSEvaluator(DatasetEvaluator):
    """J, F and J&F of models with the task ``video_objects``.

    Args:
        cfg: configuration.
        dataset_name: of the data set.
    """

    def __init__(self, cfg: CfgNode, dataset_name: str) -> None:
        self.dataset_name = dataset_name
        self.reset()

    def reset(self) -> None:
        """Forget all that was counted."""
        self._objects: list[dict[str, float]] = []

    def process(self, inputs: list[dict[str, Any]], outputs: list[dict[str, Any]]) -> None:
        """Score videos: ``"object_maps"`` uint8 ``(T, H, W)`` of each output and of its input."""
        for video, output in zip(inputs, outputs, strict=True):
            scores = SequenceScores()
            for predicted, truth in zip(_maps(output), _maps(video), strict=True):
                scores.add(predicted, truth)
            self._objects += scores.compute().values()

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Return ``{"video_objects": {"J&F", "J", "F"}}``; None outside the main process."""
        gathered = comm.gather(self._objects)
        if not comm.is_main_process():
            return None
        objects = [each for part in gathered for each in part]
        if not objects:
            logging.getLogger(__name__).warning("%s has no object to score.", self.dataset_name)
            return {"video_objects": {}}
        scores = summarize(objects)
        return {"video_objects": {name: scores[name] for name in ("J&F", "J", "F")}}


def _maps(video: Mapping[str, Any]) -> Iterator[np.ndarray]:
    for each in video["object_maps"]:
        yield np.asarray(each.cpu() if hasattr(each, "cpu") else each)
