"""Scoring video instance segmentation: the evaluator of training, and files of results.

Results are in YouTube-VIS's form, a list of ``{"video_id", "category_id", "score",
"segmentations"}`` with one entry per tube; ``segmentations`` has an RLE or null for each frame. The
category ids are those of the data set's file, or class numbers minus one if it has none.
"""

import logging
import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from pycocotools import mask as mask_utils

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import DatasetCatalog, MetadataCatalog
from vps_d2.d2.evaluation import DatasetEvaluator
from vps_d2.d2.structures import Instances
from vps_d2.d2.utils import comm
from vps_d2.data.datasets import Record, load_records
from vps_d2.data.metadata import dataset_taxonomy
from vps_d2.data.tubes import Rle, elect_class, record_tubes, to_rle
from vps_d2.data.ytvis import category_numbers, read_ytvis, ytvis_records
from vps_d2.engine.evaluators import EVALUATOR_REGISTRY
from vps_d2.evaluation.segmented import collect_results
from vps_d2.evaluation.tube_ap import TubeAP, TubePrediction
from vps_d2.inference.tracking import Tracker
from vps_d2.io.errors import UserError
from vps_d2.io.files import check_output, read_json, write_json

_MAX_BYTES = 4_000_000_000


class FrameTracker(Protocol):
    """Gives the objects of a video's frames, one frame after another, ``track_ids``."""

    def step(self, instances: Instances) -> Instances:
        """Return the objects of the next frame with ``track_ids`` int64 ``(K,)``."""


def evaluate_tubes(truth: str | Path, results: str | Path | list[dict[str, Any]]) -> dict[str, Any]:
    """Score results against a file in the form of YouTube-VIS, or a registered data set.

    Args:
        truth: path of the JSON file, or name of the data set.
        results: path of the JSON file, or its content; the docstring of this module says what is
            in it. Or the folder that ``vps-d2 segment`` wrote for the videos of the data set.

    Returns:
        the scores of :meth:`~vps_d2.evaluation.tube_ap.TubeAP.compute`, from 0 to 1, and
        ``per_class``, the AP of each class by its name.

    Raises:
        UserError: if a file cannot be read, or the results do not fit the truth.
    """
    if str(truth) in DatasetCatalog.list():
        records = load_records(str(truth))
        numbers, names = _dataset_categories(str(truth))
    else:
        content = read_ytvis(truth)
        numbers = category_numbers(truth, content)
        records = ytvis_records(truth, content)
        by_id = {each["id"]: str(each.get("name", each["id"])) for each in content["categories"]}
        names = [by_id[number] for number in numbers]
    if not isinstance(results, list) and Path(results).is_dir():
        results = collect_results(Path(results), records, numbers, names)
    return score_results(records, results, numbers, names, str(truth))


def _dataset_categories(name: str) -> tuple[dict[int, int], list[str]]:
    """Return the class number minus one of each category id of a data set, and the names."""
    names = list(dataset_taxonomy(name).thing_classes)
    numbers = MetadataCatalog.get(name).get("thing_dataset_id_to_contiguous_id", None)
    return numbers or {number: number for number in range(len(names))}, names


def score_results(
    records: Sequence[Record],
    results: str | Path | list[dict[str, Any]],
    numbers: dict[int, int],
    names: Sequence[str],
    truth: str,
) -> dict[str, Any]:
    """Score results against records; see :func:`evaluate_tubes`.

    Args:
        records: of the videos.
        results: path or content of the file.
        numbers: from category ids to class numbers minus one.
        names: of the classes.
        truth: name of what the records are from, for errors.
    """
    source = "the results" if isinstance(results, list) else str(results)
    content = results if isinstance(results, list) else _read_results(results)
    videos = {record["video_id"]: record for record in records}
    if not any("annotations" in each or "mask_file_name" in each for each in records):
        raise UserError(f"{truth} has no annotations to score against; use an annotated data set.")
    predictions: dict[int, list[TubePrediction]] = defaultdict(list)
    for place, entry in enumerate(content):
        try:
            video_id, prediction = _to_prediction(entry, videos, numbers)
        except (ValueError, TypeError, OverflowError) as error:
            raise UserError(
                f"{source} cannot be scored against {truth}: entry {place + 1} has {error}; use "
                "results of that data set in the form of YouTube-VIS."
            ) from error
        predictions[video_id].append(prediction)
    scores = TubeAP(len(names))
    for video_id in sorted(videos):
        truth_tubes = record_tubes(videos[video_id], len(names) + 1)
        scores.add(truth_tubes, predictions.pop(video_id, []))
    per_class = scores.compute_per_class()
    return {**scores.compute(), "per_class": dict(zip(names, per_class, strict=True))}


def _read_results(path: str | Path) -> list[dict[str, Any]]:
    try:
        content: Any = read_json(path, _MAX_BYTES)
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}); name a file of results."
        ) from error
    except ValueError as error:
        raise UserError(f"{path} is not a JSON file ({error}); replace it.") from error
    if not isinstance(content, list):
        raise UserError(f"{path} holds no list of tubes; name results in the form of YouTube-VIS.")
    return content


def _to_prediction(
    entry: Any, videos: dict[int, Record], numbers: dict[int, int]
) -> tuple[int, TubePrediction]:
    """Return the video id and the checked prediction of an entry of results.

    Raises:
        ValueError: if something is wrong; the message says what.
    """
    keys = ("video_id", "category_id", "score", "segmentations")
    if not isinstance(entry, dict) or not all(key in entry for key in keys):
        raise ValueError(f"not all of {', '.join(keys)}")
    record = videos.get(entry["video_id"])
    if record is None:
        raise ValueError(f"an unknown video_id, {entry['video_id']!r:.50}")
    if entry["category_id"] not in numbers:
        raise ValueError(f"an unknown category_id, {entry['category_id']!r:.50}")
    score, given = entry["score"], entry["segmentations"]
    if not isinstance(score, int | float) or not math.isfinite(score):
        raise ValueError(f"a score that is no number, {score!r:.50}")
    if not isinstance(given, list) or len(given) != record["num_frames"]:
        raise ValueError(
            f"not one segmentation for each of the {record['num_frames']} frames of video "
            f"{entry['video_id']}"
        )
    masks = [to_rle(mask, record["height"], record["width"]) for mask in given]
    number = numbers[entry["category_id"]]
    return entry["video_id"], {"category_id": number, "score": score, "segmentations": masks}


def join_tubes(frames: Sequence[Instances], size: tuple[int, int]) -> list[TubePrediction]:
    """Join the objects of a video's frames into tubes by their ``track_ids``.

    The score of a tube is the mean over the frames in which it is seen, and its class that of
    :func:`~vps_d2.data.tubes.elect_class`. Tubes without any pixel are left out.

    Args:
        frames: the objects of each frame.
        size: height and width that the masks must have, in pixels.

    Raises:
        UserError: if the masks have another size.
    """
    masks: dict[int, list[Rle | None]] = {}
    scores: dict[int, list[tuple[int, float]]] = defaultdict(list)
    for index, instances in enumerate(frames):
        if not len(instances):
            continue
        bits = instances.pred_masks.cpu().numpy()
        if bits.shape[1:] != tuple(size):
            raise UserError(
                f"the model gives masks of {bits.shape[2]}x{bits.shape[1]} pixels for a video of "
                f"{size[1]}x{size[0]}; let its architecture resize them to height and width."
            )
        encoded = mask_utils.encode(np.asfortranarray(bits.transpose(1, 2, 0), dtype=np.uint8))
        ids, classes = instances.track_ids.tolist(), instances.pred_classes.tolist()
        # The best of several objects with one id comes first.
        for row in instances.scores.argsort(descending=True, stable=True).tolist():
            tube = masks.setdefault(ids[row], [None] * len(frames))
            if tube[index] is None and bits[row].any():
                tube[index] = encoded[row]
                scores[ids[row]].append((classes[row], float(instances.scores[row])))
    return [_summarize(masks[track], seen) for track, seen in scores.items()]


def _summarize(masks: list[Rle | None], seen: Sequence[tuple[int, float]]) -> TubePrediction:
    votes: dict[int, float] = defaultdict(float)
    for number, score in seen:
        votes[number] += score
    return {
        "category_id": elect_class(votes),
        "score": sum(score for _, score in seen) / len(seen),
        "segmentations": masks,
    }


@EVALUATOR_REGISTRY.register()
class YTVISEvaluator(DatasetEvaluator):
    """YouTube-VIS's average precision of tubes.

    The tubes are also written to ``results.json`` in OUTPUT_DIR/inference; with several data sets
    in DATASETS.TEST, in a folder of its own for each.

    Args:
        cfg: configuration.
        dataset_name: of a data set of videos, with instances if it is to be scored.
        make_tracker: makes a tracker for a video, for outputs without ``track_ids``.
    """

    def __init__(
        self,
        cfg: CfgNode,
        dataset_name: str,
        make_tracker: Callable[[], FrameTracker] = Tracker,
    ) -> None:
        self.dataset_name = dataset_name
        self.skip_faulty = cfg.DATASETS.SKIP_FAULTY
        self.make_tracker = make_tracker
        folder = Path(cfg.OUTPUT_DIR, "inference")
        if len(cfg.DATASETS.TEST) > 1:
            folder /= dataset_name
        self.path = folder / "results.json"
        self.numbers, self.names = _dataset_categories(dataset_name)
        self._logger = logging.getLogger(__name__)
        self.reset()

    def reset(self) -> None:
        """Forget all tubes."""
        self._results: list[dict[str, Any]] = []

    def process(self, inputs: Sequence[Record], outputs: Sequence[dict[str, Any]]) -> None:
        """Keep the tubes of videos.

        Args:
            inputs: with ``video_id``, ``height`` and ``width``.
            outputs: each with ``instances``, a list of those of each frame
                (:class:`~vps_d2.modeling.outputs.VideoInstancesOutput`).

        Raises:
            UserError: if the masks have the wrong size.
        """
        ids = {number: category for category, number in self.numbers.items()}
        for video, output in zip(inputs, outputs, strict=True):
            frames = self._follow(output["instances"])
            for tube in join_tubes(frames, (video["height"], video["width"])):
                segmentations = [
                    rle and {**rle, "counts": rle["counts"].decode()}
                    for rle in tube["segmentations"]
                ]
                self._results.append(
                    {
                        "video_id": video["video_id"],
                        "category_id": ids[tube["category_id"]],
                        "score": tube["score"],
                        "segmentations": segmentations,
                    }
                )

    def _follow(self, frames: list[Instances]) -> list[Instances]:
        """Return the objects of the frames of a video with ``track_ids``."""
        if all(instances.has("track_ids") for instances in frames):
            return frames
        tracker = self.make_tracker()
        return [tracker.step(instances) for instances in frames]

    def evaluate(self) -> dict[str, dict[str, float]] | None:
        """Write ``results.json``, and return ``{"segm": {"AP", ..., "AP-<class>"...}}`` in percent.

        A score that cannot be computed is NaN; there are none for a data set without annotations.
        The result is None outside the main process.
        """
        comm.synchronize()
        results = [entry for part in comm.gather(self._results) for entry in part]
        if not comm.is_main_process():
            return None
        results.sort(key=lambda entry: entry["video_id"])
        check_output(self.path)
        write_json(self.path, results, indent=None)
        records = load_records(self.dataset_name, self.skip_faulty)
        if not any("annotations" in each or "mask_file_name" in each for each in records):
            self._logger.info("%s has no annotations to evaluate against.", self.dataset_name)
            return {}
        found = score_results(records, results, self.numbers, self.names, self.dataset_name)
        per_class = found.pop("per_class")
        scores = {metric: 100 * score for metric, score in found.items()}
        table = ", ".join(f"{metric} {score:.3f}" for metric, score in scores.items())
        self._logger.info("Evaluation results for tubes: %s", table)
        if len(per_class) > 1:
            scores |= {f"AP-{name}": 100 * score for name, score in per_class.items()}
        return {"segm": scores}
