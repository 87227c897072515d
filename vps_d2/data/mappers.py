"""Mappers: from a record of a data set to the input of a model.

Shapes: ``T_in`` input and ``T_out`` target frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB,
masks uint8 class maps. Frames keep their size.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.data import transforms as T
from vps_d2.d2.structures import BitMasks, Boxes, Instances
from vps_d2.d2.utils.registry import Registry
from vps_d2.data.annotations import read_class_map, split_mask
from vps_d2.data.augmentation import build_blur, build_flip, build_frame_augmentations
from vps_d2.data.clips import ClipSampler, ClipSpec, num_known_frames
from vps_d2.data.datasets import Record
from vps_d2.data.mask_noise import MaskNoise, build_mask_noise
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.synthetic import render_masks, simulate
from vps_d2.data.taxonomy import MAX_CLASSES, Taxonomy
from vps_d2.data.video import (
    MASK_FILE,
    FaultError,
    read_frame,
    read_frames,
    read_masks,
)
from vps_d2.io.errors import UserError

Mapper = Callable[[Record], dict[str, Any]]

DATASET_MAPPER_REGISTRY = Registry("DATASET_MAPPER")
DATASET_MAPPER_REGISTRY.__doc__ = """ Mappers by name, as in INPUT.MAPPER. A mapper is called as
``mapper(cfg, is_train=...)`` and then with records; it leaves the record as it is.
"""


def build_mapper(cfg: CfgNode, is_train: bool) -> Mapper:
    """Build the mapper that INPUT.MAPPER names.

    Raises:
        UserError: if no mapper has the name.
    """
    if cfg.INPUT.MAPPER not in DATASET_MAPPER_REGISTRY:
        names = ", ".join(sorted(name for name, _ in DATASET_MAPPER_REGISTRY))
        raise UserError(
            f'INPUT.MAPPER must be one of {names}, not "{cfg.INPUT.MAPPER}"; name the file that '
            "registers your own after --import."
        )
    return DATASET_MAPPER_REGISTRY.get(cfg.INPUT.MAPPER)(cfg, is_train=is_train)


def to_tensor(frames: np.ndarray) -> torch.Tensor:
    """Return frames uint8 ``(..., H, W, 3)`` as a contiguous tensor uint8 ``(..., 3, H, W)``."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(frames, -1, -3)))


class _ClipMapper:
    """Base of the mappers of clips, which chooses the frames of a video.

    Args:
        is_train: draw random clips; otherwise the input ends with the last known frame.
        clip: frames that the model takes and predicts.
        num_known: frames of a video that are known outside training; None for those of the input.
        strides: temporal strides to draw from.
    """

    def __init__(
        self, is_train: bool, clip: ClipSpec, num_known: int | None, strides: Sequence[int]
    ) -> None:
        self.is_train = is_train
        self.clip = clip
        self.num_known = num_known or clip.num_input
        self.sampler = ClipSampler(clip, strides)
        clip.input_frames(self.num_known)

    def check_length(self, num_frames: int) -> None:
        """Check that clips to train on can be drawn from a video.

        Raises:
            UserError: if it is too short.
        """
        if self.is_train:
            self.sampler.check_fits(num_frames)

    def choose(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Choose the frames of a clip.

        Args:
            num_frames: frames in the video.

        Returns:
            frame indices int64 ``(T_in + T_out,)``, and bool ``(T_out,)``: whether the target lies
            within the video.

        Raises:
            UserError: if the video is too short to train on.
        """
        if self.is_train:
            return self.sampler.sample(num_frames)
        targets = np.array(self.clip.target_frames(self.num_known))
        inputs = np.array(self.clip.input_frames(self.num_known))
        return np.concatenate([inputs, targets]), targets < num_frames


def _clip_arguments(cfg: CfgNode, is_train: bool) -> dict[str, Any]:
    """Return the arguments that the mappers of clips share."""
    return {
        "is_train": is_train,
        "clip": ClipSpec.from_config(cfg),
        "num_known": num_known_frames(cfg),
        "strides": tuple(cfg.INPUT.FRAMESKIP),
        "flips": build_flip(cfg) if is_train else [],
    }


@DATASET_MAPPER_REGISTRY.register()
class FutureFramesMapper(_ClipMapper):
    """Clips for the video predictors.

    In training a clip is drawn with a random stride and start, and flipped as a whole; only its
    input frames are blurred. Otherwise the input ends with the last known frame of the video, the
    target follows, and the masks of a labeled video are added.

    Args:
        is_train: draw and augment clips.
        clip: ``T_in`` input and ``T_out`` target frames, and the gap between them.
        num_known: frames of a video that are known outside training; None for ``T_in``.
        strides: temporal strides to draw from (frameskip augmentation).
        flips: augmentations of the whole clip.
        blurs: augmentations of the input frames.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        clip: ClipSpec,
        num_known: int | None = None,
        strides: Sequence[int] = (1,),
        flips: list[T.Augmentation] | None = None,
        blurs: list[T.Augmentation] | None = None,
    ) -> None:
        super().__init__(is_train, clip, num_known, strides)
        self.flips = T.AugmentationList(flips or [])
        self.blurs = T.AugmentationList(blurs or [])

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            **_clip_arguments(cfg, is_train),
            "blurs": build_blur(cfg) if is_train else [],
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read and augment one clip.

        Args:
            record: of a data set of videos.

        Returns:
            the record's ``video_id``, ``video_name``, ``height`` and ``width``; ``frames`` uint8
            ``(T_in, 3, H, W)``; ``target_frames`` uint8 ``(T_out, 3, H, W)`` with ``target_valid``
            bool ``(T_out,)`` unless the video has no frame beyond the input; outside training
            ``masks`` uint8 ``(T, H, W)`` of a labeled video. A target that is not valid is black.

        Raises:
            UserError: if a frame or mask cannot be read.
        """
        keys = ("video_id", "video_name", "height", "width", "stream_position")
        output = {key: record[key] for key in keys if key in record}
        indices, valid = self.choose(record["num_frames"])
        inside = np.concatenate([np.ones(self.clip.num_input, bool), valid])
        frames = read_frames(record["folder"], indices[inside].tolist())
        if self.is_train:
            frames = self._augment(frames)
        output["frames"] = to_tensor(frames[: self.clip.num_input])
        if valid.any():
            shape = (self.clip.num_target, *output["frames"].shape[1:])
            targets = torch.zeros(shape, dtype=torch.uint8)
            targets[torch.from_numpy(valid)] = to_tensor(frames[self.clip.num_input :])
            output["target_frames"] = targets
            output["target_valid"] = torch.from_numpy(valid)
        if not self.is_train and "mask_file_name" in record:
            output["masks"] = torch.from_numpy(read_masks(record["folder"]))
        return output

    def _augment(self, frames: np.ndarray) -> np.ndarray:
        flip = self.flips(T.AugInput(frames[0]))
        blur = self.blurs(T.AugInput(frames[0]))
        flipped = [flip.apply_image(frame) for frame in frames]
        inputs = [blur.apply_image(frame) for frame in flipped[: self.clip.num_input]]
        return np.stack(inputs + flipped[self.clip.num_input :])


@DATASET_MAPPER_REGISTRY.register()
class FutureMasksMapper(_ClipMapper):
    """Clips of masks for the mask predictors.

    In training a clip is drawn with a random stride and start, and flipped as a whole; only its
    input masks are made noisy. Otherwise the input ends with the last known frame of the video.

    Args:
        is_train: draw and augment clips.
        clip: ``T_in`` input and ``T_out`` target masks, and the gap between them.
        num_known: masks of a video that are known outside training; None for ``T_in``.
        strides: temporal strides to draw from (frameskip augmentation).
        flips: augmentations of the whole clip.
        noise: of the input masks; None for none.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        clip: ClipSpec,
        num_known: int | None = None,
        strides: Sequence[int] = (1,),
        flips: list[T.Augmentation] | None = None,
        noise: MaskNoise | None = None,
    ) -> None:
        super().__init__(is_train, clip, num_known, strides)
        self.flips = T.AugmentationList(flips or [])
        self.noise = noise

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            **_clip_arguments(cfg, is_train),
            "noise": build_mask_noise(cfg) if is_train else None,
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read and augment one clip.

        Args:
            record: of a data set of labeled videos, or of generated masks.

        Returns:
            the record's ``video_id``, ``video_name``, ``height`` and ``width``; ``masks`` uint8
            ``(T_in, H, W)``, ``target_masks`` uint8 ``(T_out, H, W)`` and ``target_valid`` bool
            ``(T_out,)``. A target that is not valid is background.

        Raises:
            UserError: if there are no masks, or they cannot be read.
        """
        keys = ("video_id", "video_name", "height", "width", "stream_position")
        output = {key: record[key] for key in keys if key in record}
        masks = _masks_of(record)
        indices, valid = self.choose(len(masks))
        clip = masks[np.minimum(indices, len(masks) - 1)]
        clip[self.clip.num_input :][~valid] = 0
        flip = self.flips(T.AugInput(clip[0]))
        clip = np.stack([flip.apply_segmentation(mask) for mask in clip])
        inputs, targets = clip[: self.clip.num_input], clip[self.clip.num_input :]
        if self.noise is not None:
            inputs = self.noise(inputs)
        output["masks"] = torch.from_numpy(np.ascontiguousarray(inputs))
        output["target_masks"] = torch.from_numpy(np.ascontiguousarray(targets))
        output["target_valid"] = torch.from_numpy(valid)
        return output


def _masks_of(record: Record) -> np.ndarray:
    if "synthetic_seed" in record:
        options = record["synthetic_options"]
        return render_masks(simulate(record["synthetic_seed"], options), options)
    if "mask_file_name" not in record:
        reason = "missing mask, from which a mask predictor would learn"
        raise FaultError(Path(record["folder"], MASK_FILE), reason, "use labeled videos")
    return read_masks(Path(record["mask_file_name"]).parent)


@DATASET_MAPPER_REGISTRY.register()
class FrameMapper:
    """Single frames with instances for Mask R-CNN, in Detectron2's format.

    Args:
        is_train: augment, and add ``instances``.
        augmentations: of frame and mask.
        with_sem_seg: also add the mask as ``sem_seg`` in training.
        with_instances: add the objects as ``instances`` in training.
        taxonomy: of the masks; None for any numbers.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        augmentations: list[T.Augmentation] | None = None,
        with_sem_seg: bool = False,
        with_instances: bool = True,
        taxonomy: Taxonomy | None = None,
    ) -> None:
        self.is_train = is_train
        self.taxonomy = taxonomy or Taxonomy.numbered(MAX_CLASSES)
        self.augmentations = T.AugmentationList(augmentations or [])
        self.with_sem_seg = with_sem_seg
        self.with_instances = with_instances

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            "is_train": is_train,
            "augmentations": build_frame_augmentations(cfg) if is_train else [],
            "with_sem_seg": cfg.INPUT.SEM_SEG,
            "with_instances": cfg.INPUT.INSTANCES,
            "taxonomy": find_taxonomy(cfg),
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read and augment one frame.

        Args:
            record: of a data set of frames, of this project or in Detectron2's form
                (:func:`~vps_d2.data.annotations.read_class_map`).

        Returns:
            the record and ``image`` uint8 ``(3, H, W)``; in training, if asked for, ``instances``
            with ``gt_boxes``, ``gt_classes`` (class number minus one) and ``gt_masks``
            (:class:`BitMasks`), none of them for an empty frame, and if asked for ``sem_seg``
            int64 ``(H, W)``, NO_CLASS where a pixel does not count.

        Raises:
            UserError: if the frame or its mask cannot be read.
        """
        output = dict(record)
        frame = read_frame(record["file_name"])
        if not self.is_train:
            output["image"] = to_tensor(frame)
            return output
        mask = read_class_map(record, self.taxonomy.num_classes, frame.shape[:2])
        transforms = self.augmentations(augmented := T.AugInput(frame))
        mask = transforms.apply_segmentation(mask)
        output["image"] = to_tensor(augmented.image)
        if self.with_instances:
            output["instances"] = mask_to_instances(mask, self.taxonomy.one_object_per_class)
        if self.with_sem_seg:
            output["sem_seg"] = torch.from_numpy(mask.astype(np.int64))
        return output


def mask_to_instances(mask: np.ndarray, one_object_per_class: bool = True) -> Instances:
    """Return the objects of a class map uint8 ``(H, W)`` as the ground truth of Mask R-CNN.

    Args:
        mask: class map.
        one_object_per_class: see :func:`~vps_d2.data.annotations.split_mask`.
    """
    classes, bits, boxes = split_mask(mask, one_object_per_class)
    instances = Instances(mask.shape)
    instances.gt_boxes = Boxes(torch.from_numpy(boxes))
    instances.gt_classes = torch.from_numpy(classes.astype(np.int64) - 1)
    instances.gt_masks = BitMasks(torch.from_numpy(bits))
    return instances
