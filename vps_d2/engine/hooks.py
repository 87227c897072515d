"""Hooks of the trainer."""

import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vps_d2.d2.config import CfgNode
from vps_d2.d2.engine import HookBase
from vps_d2.d2.evaluation import inference_context
from vps_d2.d2.structures import Instances
from vps_d2.d2.utils.events import get_event_storage
from vps_d2.d2.utils.visualizer import ColorMode, Visualizer
from vps_d2.data.annotations import read_class_map
from vps_d2.data.datasets import load_records
from vps_d2.data.loader import SafeMapper
from vps_d2.data.mappers import build_mapper
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.object_maps import OBJECT_PALETTE
from vps_d2.data.taxonomy import MAX_CLASSES, Taxonomy
from vps_d2.engine.average import averaged
from vps_d2.io.checkpoints import read_checkpoint
from vps_d2.io.errors import UserError
from vps_d2.io.files import open_regular, write_text
from vps_d2.modeling.checkpoint import SafeCheckpointer
from vps_d2.modeling.outputs import output_to_mask
from vps_d2.modeling.precision import inference_autocast
from vps_d2.visualization.drawing import colorize_mask, overlay_mask

_EVALUATED = "last_evaluation"
_NUMBER_BYTES = 30
_FOLLOWED_FRAMES = 10  # of a video, for a picture of followed objects


def read_evaluated(folder: str | Path) -> int:
    """Return the iteration after which the run in a folder was last evaluated, 0 if never."""
    try:
        with open_regular(Path(folder, _EVALUATED)) as file:
            return int(file.read(_NUMBER_BYTES))
    except (OSError, ValueError):
        return 0


class EvaluationNote(HookBase):
    """Records on the disk which evaluation was completed last.

    A run that is killed between a checkpoint and the end of the evaluation after it is resumed from
    that checkpoint; this record shows that the evaluation must be repeated. Register it after the
    hooks that evaluate and keep the best checkpoint.

    Args:
        eval_period: of the ``EvalHook``.
        folder: of the run.
    """

    def __init__(self, eval_period: int, folder: str) -> None:
        self.eval_period = eval_period
        self.path = Path(folder, _EVALUATED)

    def before_train(self) -> None:
        """Remove the record of an earlier run in the folder."""
        if self.trainer.start_iter == 0:
            self.path.unlink(missing_ok=True)

    def after_step(self) -> None:
        """Record an evaluation during the run."""
        done = self.trainer.iter + 1
        if self.eval_period > 0 and done % self.eval_period == 0 and done != self.trainer.max_iter:
            write_text(self.path, str(done))

    def after_train(self) -> None:
        """Record the final evaluation of a run that was not interrupted."""
        if self.trainer.iter >= self.trainer.max_iter:
            write_text(self.path, str(self.trainer.max_iter))


class BestCheckpointer(HookBase):
    """Keep the checkpoint with the best score as ``model_best.pth``, and the score in it.

    Unlike Detectron2's hook of this name, it knows the best score of a resumed run, which goes on
    from its last checkpoint, not from the best. Register it after the ``EvalHook`` that computes
    the score.

    Args:
        eval_period: that of the ``EvalHook``.
        checkpointer: saves the checkpoints.
        metric: name of the score, such as "future_mask/jaccard".
        mode: "max" if higher is better, "min" if lower is.

    Raises:
        UserError: if the mode is neither.
    """

    NAME = "model_best"

    def __init__(
        self, eval_period: int, checkpointer: SafeCheckpointer, metric: str, mode: str = "max"
    ) -> None:
        if mode not in ("max", "min"):
            raise UserError(f'TEST.BEST_MODE must be "max" or "min", not "{mode}".')
        self.eval_period = eval_period
        self.checkpointer = checkpointer
        self.metric = metric
        self.sign = 1 if mode == "max" else -1
        self.best: float | None = None

    def before_train(self) -> None:
        """Read the best score so far if the run is resumed."""
        path = Path(self.checkpointer.save_dir) / f"{self.NAME}.pth"
        if self.trainer.start_iter > 0 and path.is_file():
            self.best = self._read_best(path)

    def _read_best(self, path: Path) -> float | None:
        loaded = read_checkpoint(str(path))
        scores = loaded.get("scores", {}) if isinstance(loaded, dict) else None
        best = scores.get(self.metric) if isinstance(scores, dict) else "?"
        if best is not None and type(best) is not float:
            raise UserError(
                f"checkpoint {path} does not hold its score; move it away, so that the best one "
                "from now on is kept."
            )
        return best

    def after_step(self) -> None:
        """Look at the score after each evaluation."""
        done = self.trainer.iter + 1
        if self.eval_period > 0 and done % self.eval_period == 0 and done != self.trainer.max_iter:
            self._compare()

    def after_train(self) -> None:
        """Look at the final score of a run that was not interrupted."""
        if self.trainer.iter + 1 >= self.trainer.max_iter:
            self._compare()

    def _compare(self) -> None:
        logger = logging.getLogger(__name__)
        if self.metric not in self.trainer.storage.latest():
            logger.warning("There is no score called %s, so no best model is kept.", self.metric)
            return
        score, iteration = self.trainer.storage.latest()[self.metric]
        if not math.isfinite(score) or (
            self.best is not None and self.sign * score <= self.sign * self.best
        ):
            logger.info("%s is %.5f, not better than %s.", self.metric, score, self.best)
            return
        logger.info("%s is %.5f, the best yet (before: %s).", self.metric, score, self.best)
        self.best = score
        self.checkpointer.save_untagged(
            self.NAME, iteration=iteration, scores={self.metric: float(score)}
        )


class PictureHook(HookBase):
    """Show predictions for samples in TensorBoard, every TEST.PICTURE_PERIOD iterations.

    For a video: its last input frame, the last predicted frame and the true one. For a frame, and
    for the middle frame of a clip with instances: the frame, with detections named in it, its
    predicted mask and the true one. For a clip with objects to follow: its first frame with the
    given masks, and a later one with the predicted and with the true ones. The same
    TEST.NUM_PICTURES samples are shown each time, spread over the first data set of DATASETS.TEST,
    or of DATASETS.TRAIN if that is empty.

    Args:
        cfg: configuration.
        model: in training or evaluation mode, which is not changed.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self.cfg = cfg
        self.model = model
        self.taxonomy = find_taxonomy(cfg) or Taxonomy.numbered(MAX_CLASSES)
        self.samples: list[dict[str, Any]] | None = None

    def after_step(self) -> None:
        """Make the pictures when they are due."""
        step = self.trainer.iter + 1
        if step % self.cfg.TEST.PICTURE_PERIOD and step != self.trainer.max_iter:
            return
        if self.samples is None:
            self.samples = self._load_samples()
        storage = get_event_storage()
        for index, sample in enumerate(self.samples):
            with ExitStack() as stack:
                for each in (averaged(self.model), inference_context(self.model), torch.no_grad()):
                    stack.enter_context(each)
                stack.enter_context(inference_autocast(self.cfg))
                output = self.model([sample])[0]
            picture = draw_result(sample, output, self.taxonomy, self.cfg.PIPELINE.SCORE_THRESH)
            storage.put_image(f"results/{index}", torch.from_numpy(picture).permute(2, 0, 1))

    def _load_samples(self) -> list[dict[str, Any]]:
        name = (*self.cfg.DATASETS.TEST, *self.cfg.DATASETS.TRAIN)[0]
        records = load_records(name, self.cfg.DATASETS.SKIP_FAULTY)
        count = min(self.cfg.TEST.NUM_PICTURES, len(records))
        # From the middle of equal parts of the data set, not their start: frame 1 is often empty.
        places = (np.arange(count) + 0.5) * len(records) / max(count, 1)
        mapper = SafeMapper(build_mapper(self.cfg, is_train=False), None)
        samples = []
        for place in places:
            sample = mapper(records[int(place)])
            if isinstance(sample, UserError):  # for example, because tracks are not videos
                logging.getLogger(__name__).warning("No pictures are made: %s", sample)
                return []
            if "object_maps" in sample:
                cut = {key: sample[key][:_FOLLOWED_FRAMES] for key in ("images", "object_maps")}
                sample = {**sample, **cut}
            samples.append(sample)
        return samples


def draw_result(
    sample: dict[str, Any],
    output: dict[str, Any],
    taxonomy: Taxonomy,
    score_thresh: float = 0.5,
) -> np.ndarray:
    """Draw a model's input, its output and the truth side by side.

    Args:
        sample: mapped input: with ``image``, ``images``, ``frames`` or ``masks``.
        output: of the model for it.
        taxonomy: of the masks.
        score_thresh: instances below it are not painted.

    Returns:
        uint8 ``(H, 2 W or 3 W, 3)``, RGB; the truth is left out if there is none. Instances are
        named in the input; everything is then twice as large, so that the names can be read.
    """
    if "object_maps" in output:
        return _side_by_side(_draw_objects(sample, output))
    if "images" in sample:
        sample, output = _middle_frame(sample, output)
    if "frames" in output:
        parts = [sample["frames"][-1], output["frames"][-1].round()]
        valid = sample.get("target_valid")
        if valid is not None and bool(valid[-1]):
            parts.append(sample["target_frames"][-1])
        return _side_by_side([_to_picture(part) for part in parts])
    if "image" in sample:
        pictures = [_to_picture(sample["image"])]
    elif "frames" in sample:
        pictures = [_to_picture(sample["frames"][-1])]
    else:
        pictures = [colorize_mask(sample["masks"][-1].numpy(), taxonomy)]
    mask = output_to_mask(output, score_thresh, one_per_class=taxonomy.one_object_per_class)
    pictures.append(colorize_mask(mask, taxonomy))
    if "target_masks" in sample and bool(sample["target_valid"][-1]):
        pictures.append(colorize_mask(sample["target_masks"][-1].numpy(), taxonomy))
    if "sem_seg_file_name" in sample:
        pictures.append(colorize_mask(read_class_map(sample, size=mask.shape), taxonomy))
    if "instances" in output:
        pictures = [picture.repeat(2, axis=0).repeat(2, axis=1) for picture in pictures]
        found = output["instances"]
        kept = found[found.scores >= score_thresh].to("cpu")
        pictures[0] = _name_instances(_to_picture(sample["image"]), kept, taxonomy)
    return _side_by_side(pictures)


def _draw_objects(sample: dict[str, Any], output: dict[str, Any]) -> list[np.ndarray]:
    """Draw the objects of the first frame of a clip, and of the last one of which they are known.

    Returns:
        pictures of the given masks, of the predicted ones and of the true ones.
    """
    truth = sample["object_maps"]
    known = [index for index, each in enumerate(truth) if bool(each.any())]
    shown = known[-1] if known else len(truth) - 1
    pairs = ((0, truth), (shown, output["object_maps"]), (shown, truth))
    return [
        overlay_mask(
            _to_picture(sample["images"][index]), maps[index].cpu().numpy(), OBJECT_PALETTE
        )
        for index, maps in pairs
    ]


def _middle_frame(
    sample: dict[str, Any], output: dict[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return the middle frame of a clip, in the size of the masks, and its instances."""
    middle = len(sample["images"]) // 2
    size = (sample["height"], sample["width"])
    image = functional.interpolate(sample["images"][middle][None].float(), size)[0]
    return {"image": image}, {"instances": output["instances"][middle]}


class _Names(SimpleNamespace):
    """Names and colors of classes, in the form of Metadata that a visualizer reads."""

    def get(self, key: str, default: Any = None) -> Any:
        return getattr(self, key, default)


def _name_instances(frame: np.ndarray, instances: Instances, taxonomy: Taxonomy) -> np.ndarray:
    """Draw detections with their names and scores, at twice the size of the frame."""
    metadata = _Names(
        thing_classes=list(taxonomy.thing_classes), thing_colors=list(taxonomy.colors)
    )
    visualizer = Visualizer(frame, metadata, scale=2, instance_mode=ColorMode.SEGMENTATION)
    picture = visualizer.draw_instance_predictions(instances).get_image()
    return np.asarray(picture)


def _to_picture(frame: torch.Tensor) -> np.ndarray:
    return frame.detach().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(pictures, axis=1)
