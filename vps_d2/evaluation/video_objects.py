"""Scoring video object segmentation: folders of object maps, and the evaluator of training."""

import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.utils import comm
from vps_d2.data.datasets import load_records
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
        truth: folder of the data set (:func:`~vps_d2.data.object_maps.find_sequences`), or name of
            a registered one, whose records have ``video_name`` and ``object_map_file_names``.
        results: folder with the maps of each sequence under the same name. Frames are matched by
            the numbers in the names of their files, which for a registered data set are the places
            of the frames, from 0 on. Frames without truth are not looked at.
        sequences: names of those to score; () for all of the data set.

    Returns:
        the measures of :meth:`SequenceScores.compute` as means over all objects, as DAVIS reports
        them; ``sequences``, the same for each sequence; and ``objects``, a mapping from sequences
        to their objects by number.

    Raises:
        UserError: if a sequence or a frame is missing, has another size or cannot be read, or there
            is nothing to score.
    """
    known, found = _find_truth(truth), find_sequences(results)
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


def _find_truth(truth: str | Path) -> dict[str, dict[int, Path]]:
    """Return the files of the true maps of each sequence, by the numbers of the frames."""
    if str(truth) not in DatasetCatalog.list():
        return {name: numbered_pngs(folder) for name, folder in find_sequences(truth).items()}
    records = load_records(str(truth))
    if not all("object_map_file_names" in record for record in records):
        raise UserError(
            f"data set {truth} has no object maps to score against; name one of video objects."
        )
    return {
        record["video_name"]: {
            place: Path(file)
            for place, file in enumerate(record["object_map_file_names"])
            if file is not None
        }
        for record in records
    }


def _score_sequence(truth: Mapping[int, Path], results: Path) -> ObjectScores:
    scores, files = SequenceScores(), numbered_pngs(results)
    for number, path in truth.items():
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
