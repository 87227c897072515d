"""Instances found by models with a Detectron2 configuration: the project's, and others.

Shapes: ``N`` frames, ``C`` classes with background, ``K`` instances, ``H`` rows, ``W`` columns.
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from vps_d2.config.files import read_config_file
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.structures import Instances
from vps_d2.data.coco import COCO_TAXONOMY
from vps_d2.data.mappers import to_tensor
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.taxonomy import MAX_CLASSES, Taxonomy
from vps_d2.inference.instance_models import InstanceModel, make_instances
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.segmentation import FrameForm, FrameSegmenter
from vps_d2.io.download import allow_address, is_address
from vps_d2.io.errors import UserError
from vps_d2.modeling.architecture import Architecture
from vps_d2.modeling.outputs import SegmentationOutput
from vps_d2.modeling.precision import inference_autocast
from vps_d2.modeling.tasks import model_task
from vps_d2.modeling.vis.vistr import VisTR

__all__ = ["VPS_CONFIG", "VPS_WEIGHTS", "load_detectron_model"]

VPS_CONFIG = "package://configs/mask_rcnn/mask_rcnn_R50w32_FPN_generated.yaml"
VPS_WEIGHTS = "package://mask_rcnn.pth"

_ZOO = "detectron2://"
_ZOO_LICENSE = (
    "The weights are from Detectron2's model zoo, which its authors license under CC BY-SA 3.0."
)
# More than bfloat16 rounds a score.
_ROUNDING = 0.01
_SMALL_BATCH, _BATCH = 4, 8


def load_detectron_model(
    config_file: str | Path,
    opts: Sequence[str] = (),
    *,
    weights: str = "",
    threshold: float = 0.5,
    short_side: int | None = None,
) -> InstanceModel:
    """Load a model that a Detectron2 configuration describes.

    A file without a key of this project is Detectron2's own, so what it leaves out means what it
    means there: channels are blue, green, red. Detectron2's architectures take frames at
    INPUT.MIN_SIZE_TEST and INPUT.MAX_SIZE_TEST, the project's take them as they are.

    Args:
        config_file: for the task ``segmentation`` or ``video_instances``.
        opts: keys and values that override the file.
        weights: a path or a URL, which may be downloaded; "" for MODEL.WEIGHTS.
        threshold: instances with a lower score are left out.
        short_side: pixels of the shorter side of the model's input, instead.

    Raises:
        UserError: if a file is missing or damaged, if the weights are of another model, or if the
            model has another task.
    """
    if is_address(weights):
        allow_address(weights)  # the user wrote it
    table = read_config_file(config_file)
    if _is_of_detectron2(table) and "FORMAT" not in table.get("INPUT", {}):
        opts = ["INPUT.FORMAT", "BGR", *opts]
    cfg = load_config(config_file, opts)
    # No mask is drawn for instances that are left out below.
    lowest = max(cfg.MODEL.ROI_HEADS.SCORE_THRESH_TEST, threshold - _ROUNDING)
    opts = [*opts, "MODEL.ROI_HEADS.SCORE_THRESH_TEST", str(float(lowest))]
    task = model_task(cfg)
    if task not in ("segmentation", "video_instances"):
        raise UserError(
            f"config file {config_file} describes {cfg.MODEL.META_ARCHITECTURE}, whose task is "
            f"{task}; give a model for segmentation or video_instances."
        )
    model = load_model(config_file, opts, task=task, weights=weights)
    kind = FrameModel if task == "segmentation" else ClipModel
    made = kind(model, threshold=threshold, form=_find_form(model, short_side))
    named = weights or model.cfg.MODEL.WEIGHTS
    made.source = f"{cfg.MODEL.META_ARCHITECTURE} of {config_file} with {named}"
    made.license_note = _ZOO_LICENSE if named.startswith(_ZOO) else ""
    return made


def _is_of_detectron2(table: dict[str, Any]) -> bool:
    """Return whether a configuration file has no key of this project, except for class names."""

    def known(table: dict[str, Any], keys: CfgNode) -> bool:
        return all(
            name in keys and (not isinstance(value, dict) or known(value, keys[name]))
            for name, value in table.items()
        )

    return known({key: value for key, value in table.items() if key != "TAXONOMY"}, get_cfg())


def _find_form(model: LoadedModel, short_side: int | None) -> FrameForm | None:
    """Return the form in which a model takes frames; None for as they are."""
    keys = model.cfg.INPUT
    native = isinstance(model.model, Architecture)
    side = short_side if short_side is not None else 0 if native else keys.MIN_SIZE_TEST
    # The longer side grows along, so that a large short side has an effect.
    limit = keys.MAX_SIZE_TEST * max(1.0, side / (keys.MIN_SIZE_TEST or side or 1))
    form = FrameForm(side, round(limit), keys.FORMAT == "BGR" and not native)
    return form if form.short_side or form.bgr else None


def _classes_of(cfg: CfgNode) -> Taxonomy:
    """Return the taxonomy of a configuration; classes without names are numbered.

    Raises:
        UserError: if there are more classes than class maps can hold.
    """
    named_coco = any(name.startswith("coco_") for name in (*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST))
    count = cfg.MODEL.ROI_HEADS.NUM_CLASSES
    if named_coco and not cfg.TAXONOMY.CLASSES and count == len(COCO_TAXONOMY.thing_classes):
        return COCO_TAXONOMY
    found = find_taxonomy(cfg)
    if found is None:
        has_heads = cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN"
        found = Taxonomy.numbered(count + 1 if has_heads else MAX_CLASSES)
    return found


class FrameModel(InstanceModel):
    """An architecture for ``segmentation``, frame by frame.

    Instances are taken as they are. Of class maps, a class is one instance if the taxonomy has
    ``one_object_per_class``, otherwise each of its connected parts is one, the largest
    TEST.DETECTIONS_PER_IMAGE of a frame; their score is the mean probability of the class.

    Args:
        model: with its weights.
        threshold: instances with a lower score are left out.
        form: in which the model takes frames.
    """

    def __init__(self, model: LoadedModel, *, threshold: float, form: FrameForm | None) -> None:
        self.threshold = threshold
        self.taxonomy = _classes_of(model.cfg)
        self.batch_size = _choose_batch(model, form)
        self._most = model.cfg.TEST.DETECTIONS_PER_IMAGE
        self._segmenter = FrameSegmenter(
            model, score_thresh=threshold, batch_size=self.batch_size, form=form
        )

    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in frames uint8 RGB ``(N, H, W, 3)``.

        Raises:
            UserError: if the model finds boxes without masks.
        """
        height, width = frames.shape[1:3]
        return [self._convert(output, height, width) for output in self._segmenter.outputs(frames)]

    def _convert(self, output: SegmentationOutput, height: int, width: int) -> Instances:
        if "instances" not in output:
            probabilities = output["sem_seg"].detach().float().softmax(0).cpu().numpy()
            one = self.taxonomy.one_object_per_class
            found = split_classes(probabilities, one, self._most)
            return make_instances((height, width), *found, self.threshold)
        return _select(output["instances"], (height, width), self.threshold)

    def fingerprint(self) -> str:
        """Return a hash of configuration and weights."""
        return f"{self._segmenter.fingerprint()}-{self.threshold:g}"


class ClipModel(InstanceModel):
    """An architecture for ``video_instances``.

    VisTR joins passes over a long video, so it follows the objects by itself. Of others, the frames
    of a call are one clip.

    Args:
        model: with its weights.
        threshold: instances with a lower score are left out.
        form: in which the model takes frames.
    """

    def __init__(self, model: LoadedModel, *, threshold: float, form: FrameForm | None) -> None:
        self.model = model
        self.threshold = threshold
        self.form = form
        self.taxonomy = _classes_of(model.cfg)
        self.tracks = isinstance(model.model, VisTR)
        self.batch_size = _BATCH

    def __call__(self, frames: np.ndarray) -> list[Instances]:
        """Find the instances in a clip uint8 RGB ``(N, H, W, 3)``."""
        height, width = frames.shape[1:3]
        clip = {
            "images": to_tensor(self.form.apply(frames) if self.form else frames),
            "height": height,
            "width": width,
            "video_id": 0,
            "frame_indices": list(range(len(frames))),
        }
        (output,) = self.model([clip])
        return [_select(found, (height, width), self.threshold) for found in output["instances"]]

    def stream(self, frames: Iterable[np.ndarray]) -> Iterator[Instances]:
        """Find the instances in the frames of a video, a few at a time."""
        network = self.model.model
        if not isinstance(network, VisTR):
            yield from super().stream(frames)
            return
        size: tuple[int, int] | None = None

        def images() -> Iterator[torch.Tensor]:
            nonlocal size
            for frame in frames:
                size = (frame.shape[0], frame.shape[1])
                yield to_tensor(self.form.apply(frame[None]) if self.form else frame[None])[0]

        def segment(clip: torch.Tensor) -> list[Instances]:
            with torch.inference_mode(), inference_autocast(self.model.cfg):
                return network.segment_clip(clip, size)

        for found in network.join(images(), segment):
            assert size is not None
            yield _select(found, size, self.threshold)

    def fingerprint(self) -> str:
        """Return a hash of configuration and weights."""
        return f"{self.model.fingerprint()}-{self.threshold:g}"


def _choose_batch(model: LoadedModel, form: FrameForm | None) -> int:
    """Return how many frames at a time suit a model: few of those that are scaled up."""
    if form is None or not form.short_side:
        return _BATCH
    return 1 if torch.device(model.cfg.MODEL.DEVICE).type == "cpu" else _SMALL_BATCH


def _select(found: Instances, size: tuple[int, int], threshold: float) -> Instances:
    """Return the instances of a frame in the form that all models share.

    Raises:
        UserError: if they have no masks.
    """
    if not found.has("pred_masks"):
        raise UserError(
            "the model finds boxes without masks; give one for instance segmentation, with "
            "MODEL.MASK_ON True."
        )
    more = {
        name: found.get_fields()[name] for name in ("embeddings", "track_ids") if found.has(name)
    }
    return make_instances(
        size, found.pred_masks, found.pred_classes, found.scores, threshold, **more
    )


def split_classes(
    probabilities: np.ndarray, one_per_class: bool, most: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Split the likeliest classes of a frame into instances.

    Args:
        probabilities: of the classes, background first, float32 ``(C, H, W)``.
        one_per_class: whether all pixels of a class are one instance, and not its connected parts.
        most: most instances; the largest are kept.

    Returns:
        masks bool ``(K, H, W)``, class numbers minus one int64 ``(K,)``, and scores float32
        ``(K,)``: the mean probability of the class.
    """
    best = probabilities.argmax(0)
    parts = []  # of each: its area, its class, the map that it is in, and its number there
    for number in np.unique(best[best > 0]):
        mask = (best == number).astype(np.uint8)
        if one_per_class:
            parts.append((int(mask.sum()), int(number), mask, 1))
            continue
        # Parts that touch at a corner are one, since outlines of thin objects do.
        count, labels, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        areas = stats[:, cv2.CC_STAT_AREA]
        parts += [(int(areas[part]), int(number), labels, part) for part in range(1, count)]
    parts = sorted(parts, key=lambda part: -part[0])[:most]
    masks = np.zeros((len(parts), *best.shape), bool)
    scores = np.zeros(len(parts), np.float32)
    for index, (_, number, labels, part) in enumerate(parts):
        masks[index] = labels == part
        scores[index] = probabilities[number][masks[index]].mean()
    classes = torch.tensor([number - 1 for _, number, _, _ in parts], dtype=torch.int64)
    return torch.from_numpy(masks), classes, torch.from_numpy(scores)
