"""Hooks of the trainer."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import MetadataCatalog
from vps_d2.d2.engine import HookBase
from vps_d2.d2.evaluation import inference_context
from vps_d2.d2.structures import Instances
from vps_d2.d2.utils.events import get_event_storage
from vps_d2.d2.utils.visualizer import ColorMode, Visualizer
from vps_d2.data.annotations import load_mask_frame
from vps_d2.data.datasets import load_records
from vps_d2.data.mappers import build_mapper
from vps_d2.evaluation.semantic import output_to_mask
from vps_d2.modeling.precision import inference_autocast
from vps_d2.visualization import colorize_mask


class PictureHook(HookBase):
    """Show in TensorBoard, every TEST.PICTURE_PERIOD iterations, what the model makes of samples.

    For a video: its last input frame, the last predicted frame and the true one. For a frame: the
    frame, with detections named in it, its predicted mask and the true one. The same
    TEST.NUM_PICTURES samples are shown each time, spread over the first data set of DATASETS.TEST,
    or of DATASETS.TRAIN if that is empty.

    Args:
        cfg: configuration.
        model: in or out of training mode; it is left in the mode that it was in.
    """

    def __init__(self, cfg: CfgNode, model: nn.Module) -> None:
        self.cfg = cfg
        self.model = model
        self.samples: list[dict[str, Any]] | None = None

    def after_step(self) -> None:
        """Make the pictures when it is their turn."""
        step = self.trainer.iter + 1
        if step % self.cfg.TEST.PICTURE_PERIOD and step != self.trainer.max_iter:
            return
        if self.samples is None:
            self.samples = self._load_samples()
        storage = get_event_storage()
        for index, sample in enumerate(self.samples):
            with inference_context(self.model), torch.no_grad(), inference_autocast(self.cfg):
                output = self.model([sample])[0]
            picture = draw_result(sample, output, self.cfg.PIPELINE.SCORE_THRESH)
            storage.put_image(f"results/{index}", torch.from_numpy(picture).permute(2, 0, 1))

    def _load_samples(self) -> list[dict[str, Any]]:
        name = (*self.cfg.DATASETS.TEST, *self.cfg.DATASETS.TRAIN)[0]
        records = load_records(name, self.cfg.DATASETS.SKIP_FAULTY)
        count = min(self.cfg.TEST.NUM_PICTURES, len(records))
        # From the middle of each share of the data set, not the first: frame 1 is often empty.
        places = (np.arange(count) + 0.5) * len(records) / max(count, 1)
        mapper = build_mapper(self.cfg, is_train=False)
        return [mapper(records[int(place)]) for place in places]


def draw_result(
    sample: dict[str, Any], output: dict[str, Any], score_thresh: float = 0.5
) -> np.ndarray:
    """Draw a model's input, its output and the truth side by side.

    Args:
        sample: mapped input of a predictor of frames or of masks, or of a segmenter of frames.
        output: of the model for it.
        score_thresh: instances below it are not painted.

    Returns:
        uint8 ``(H, 2 W or 3 W, 3)``, RGB; the truth is left out where there is none. Instances are
        named in the input, and all is of twice the size so that this can be read.
    """
    if "frames" in output:
        parts = [sample["frames"][-1], output["frames"][-1].round()]
        valid = sample.get("target_valid")
        if valid is not None and bool(valid[-1]):
            parts.append(sample["target_frames"][-1])
        return _side_by_side([_to_picture(part) for part in parts])
    if "image" in sample:
        pictures = [_to_picture(sample["image"])]
    else:
        pictures = [colorize_mask(sample["masks"][-1].numpy())]
    mask = output_to_mask(output, score_thresh)
    pictures.append(colorize_mask(mask))
    if "target_masks" in sample and bool(sample["target_valid"][-1]):
        pictures.append(colorize_mask(sample["target_masks"][-1].numpy()))
    if "sem_seg_file_name" in sample:
        pictures.append(colorize_mask(load_mask_frame(sample["sem_seg_file_name"])))
    if "instances" in output:
        pictures = [picture.repeat(2, axis=0).repeat(2, axis=1) for picture in pictures]
        found = output["instances"]
        kept = found[found.scores >= score_thresh].to("cpu")
        pictures[0] = _name_instances(_to_picture(sample["image"]), kept)
    return _side_by_side(pictures)


def _name_instances(frame: np.ndarray, instances: Instances) -> np.ndarray:
    """Draw detections with their names and scores, at twice the size of the frame."""
    metadata = MetadataCatalog.get("vps_frames_val")
    visualizer = Visualizer(frame, metadata, scale=2, instance_mode=ColorMode.SEGMENTATION)
    picture = visualizer.draw_instance_predictions(instances).get_image()
    return np.asarray(picture)


def _to_picture(frame: torch.Tensor) -> np.ndarray:
    return frame.detach().to(torch.uint8).permute(1, 2, 0).cpu().numpy()


def _side_by_side(pictures: Sequence[np.ndarray]) -> np.ndarray:
    return np.concatenate(pictures, axis=1)
