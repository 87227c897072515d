"""The mapper of clips with instances, for the models of video instance segmentation.

Shapes: ``T`` frames, ``K`` objects, ``H`` rows, ``W`` columns. Frames are uint8 RGB.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.d2.data import transforms as T
from vps_d2.d2.structures import BitMasks, Boxes, Instances
from vps_d2.data.annotations import mask_boxes, read_class_map, split_mask
from vps_d2.data.augmentation import build_blur, build_flip
from vps_d2.data.datasets import Record
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, to_tensor
from vps_d2.data.metadata import find_taxonomy
from vps_d2.data.pictures import read_picture
from vps_d2.data.pseudo_clips import RandomMotion
from vps_d2.data.taxonomy import MAX_CLASSES, NO_CLASS, Taxonomy
from vps_d2.data.tubes import decode_frames, decode_mask, record_tubes, to_rle
from vps_d2.data.video import FaultError, check_classes, frame_path, open_masks
from vps_d2.io.errors import UserError


class Objects(NamedTuple):
    """The objects of a clip.

    ``ids`` int64 ``(K,)`` differ within a video, ``classes`` int64 ``(K,)`` are class numbers minus
    one, ``masks`` bool ``(T, K, H, W)``.
    """

    ids: np.ndarray
    classes: np.ndarray
    masks: np.ndarray


@DATASET_MAPPER_REGISTRY.register()
class ClipInstanceMapper:
    """Clips of frames with the same objects in each of them.

    In training a clip is drawn from a video: frames from a random range, in order or shuffled. A
    single picture becomes a clip by a random motion for each frame. Then all frames are cropped,
    resized and flipped alike. Records of videos and of pictures can be mixed. Otherwise the clip is
    the whole video, and only resized.

    Args:
        is_train: draw and augment clips, and add ``instances``.
        num_frames: ``T`` of a training clip.
        frame_range: number of consecutive frames that they are drawn from; if it is not larger
            than ``num_frames``, the clip's frames are consecutive. A video with fewer frames is
            used as a whole; the last frame of one with fewer than ``num_frames`` is repeated.
        shuffle: give the frames in random order.
        empty_tries: how often another clip is drawn if none of its frames shows an object.
        motion: of pictures; None for the default one.
        augmentations: of the whole clip.
        taxonomy: of class maps; None for any numbers.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        num_frames: int = 2,
        frame_range: int = 0,
        shuffle: bool = False,
        empty_tries: int = 10,
        motion: RandomMotion | None = None,
        augmentations: Sequence[T.Augmentation] = (),
        taxonomy: Taxonomy | None = None,
    ) -> None:
        self.is_train = is_train
        self.num_frames = num_frames
        self.frame_range = max(frame_range, num_frames)
        self.shuffle = shuffle
        self.empty_tries = empty_tries
        self.motion = motion or RandomMotion()
        self.augmentations = T.AugmentationList(list(augmentations))
        self.taxonomy = taxonomy or Taxonomy.numbered(MAX_CLASSES)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        return {
            "is_train": is_train,
            "num_frames": cfg.INPUT.CLIP.NUM_FRAMES,
            "frame_range": cfg.INPUT.CLIP.RANGE,
            "shuffle": cfg.INPUT.CLIP.SHUFFLE,
            "empty_tries": cfg.INPUT.CLIP.EMPTY_TRIES,
            "motion": RandomMotion.from_config(cfg),
            "augmentations": build_clip_augmentations(cfg, is_train),
            "taxonomy": find_taxonomy(cfg),
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Read one clip.

        Args:
            record: of a video, with ``file_names`` or ``folder``, and in training
                ``annotations`` (:class:`~vps_d2.data.tubes.Tube`) or ``mask_file_name``; or of a
                picture, with ``file_name``, and in training ``annotations`` in Detectron2's form
                or a class map (:func:`~vps_d2.data.annotations.read_class_map`).

        Returns:
            ``images`` uint8 ``(T, 3, H, W)``; ``height`` and ``width`` of the frames before they
            were augmented; ``video_id`` and ``frame_indices``, the place of each frame in its
            video; the record's ``video_name`` and ``stream_position``. In training ``instances``,
            one for each frame, with ``gt_classes`` int64, ``gt_ids`` int64, ``gt_masks``
            (:class:`BitMasks`) and ``gt_boxes``: in all frames the same objects in the same order,
            those that are visible in one of them or more. Where an object is not visible, its mask
            is empty and its box is all zero.

        Raises:
            UserError: if a frame or its annotations cannot be read.
        """
        keys = ("video_name", "stream_position")
        output = {key: record[key] for key in keys if key in record}
        output["video_id"] = record["video_id"] if is_video(record) else record.get("image_id", 0)
        if not self.is_train:
            clip = self._augment(_read_whole(record))
        else:
            for _ in range(1 + self.empty_tries):
                clip = self._augment(self._draw(record))
                if clip.objects is not None and clip.objects.masks.any():
                    break
        output["height"], output["width"] = clip.size
        output["frame_indices"] = clip.indices
        output["images"] = to_tensor(np.stack(clip.frames))
        if clip.objects is not None:
            output["instances"] = to_instances(clip.objects)
        return output

    def _draw(self, record: Record) -> "_Clip":
        """Read frames and objects of a random clip."""
        num_classes = self.taxonomy.num_classes
        if is_video(record):
            indices = self._choose(record["num_frames"])
            frames = _read_frames(record, indices)
            objects = video_objects(record, indices, num_classes)
            _check_size(record, frames[0], objects)
            return _Clip(indices, frames, objects, frames[0].shape[:2])
        picture = read_picture(record["file_name"])
        still = picture_objects(record, picture.shape[:2], self.taxonomy)
        frames, masks = [], np.zeros((self.num_frames, *still.masks.shape[1:]), bool)
        for frame_masks in masks:
            motion = self.motion.get_transform(picture)
            frames.append(motion.apply_image(picture))
            _move(motion, still.masks[0], frame_masks)
        objects = still._replace(masks=masks)
        return _Clip(list(range(self.num_frames)), frames, objects, picture.shape[:2])

    def _choose(self, num_frames: int) -> list[int]:
        """Return the indices of the frames of a random clip of a video with ``num_frames``."""
        window = min(self.frame_range, num_frames)
        count = min(self.num_frames, window)
        start = np.random.randint(num_frames - window + 1)
        chosen = start + np.sort(np.random.permutation(window)[:count])
        chosen = np.append(chosen, np.full(self.num_frames - count, chosen[-1]))
        if self.shuffle:
            chosen = np.random.permutation(chosen)
        indices: list[int] = chosen.tolist()
        return indices

    def _augment(self, clip: "_Clip") -> "_Clip":
        """Augment all frames of a clip, and the masks of its objects, alike."""
        first = T.AugInput(clip.frames[0])
        transforms = self.augmentations(first)
        rest = [transforms.apply_image(frame) for frame in clip.frames[1:]]
        frames = [first.image, *rest]
        if clip.objects is None:
            return clip._replace(frames=frames)
        size = first.image.shape[:2]
        masks = np.zeros((*clip.objects.masks.shape[:2], *size), bool)
        for moved, frame_masks in zip(masks, clip.objects.masks, strict=True):
            _move(transforms, frame_masks, moved)
        return clip._replace(frames=frames, objects=clip.objects._replace(masks=masks))


class _Clip(NamedTuple):
    """A clip: places in the video, frames ``(H, W, 3)``, objects and the size of the video."""

    indices: list[int]
    frames: list[np.ndarray]
    objects: Objects | None
    size: tuple[int, int]


def is_video(record: Record) -> bool:
    """Return whether a record is that of a video, not of a picture."""
    return "file_names" in record or "folder" in record


def build_clip_augmentations(cfg: CfgNode, is_train: bool) -> list[T.Augmentation]:
    """Return the augmentations of whole clips that INPUT describes, in Detectron2's order.

    These are a crop (INPUT.CROP), a size (INPUT.MIN_SIZE_TRAIN and the like; 0 leaves it), a flip
    and a blur; outside training only the size.
    """
    keys = cfg.INPUT
    if not is_train:
        return [T.ResizeShortestEdge((keys.MIN_SIZE_TEST,), keys.MAX_SIZE_TEST, "choice")]
    crop = [T.RandomCrop(keys.CROP.TYPE, keys.CROP.SIZE)] if keys.CROP.ENABLED else []
    lengths, style = keys.MIN_SIZE_TRAIN, keys.MIN_SIZE_TRAIN_SAMPLING
    resize = T.ResizeShortestEdge(lengths, keys.MAX_SIZE_TRAIN, style)
    return [*crop, resize, *build_flip(cfg), *build_blur(cfg)]


def _read_whole(record: Record) -> _Clip:
    indices = list(range(record["num_frames"])) if is_video(record) else [0]
    frames = _read_frames(record, indices)
    return _Clip(indices, frames, None, frames[0].shape[:2])


def _read_frames(record: Record, indices: Sequence[int]) -> list[np.ndarray]:
    """Read frames of a video, or the only one of a picture; all of them have one size."""
    frames: dict[int, np.ndarray] = {}
    size = None
    for index in sorted(set(indices)):
        if "file_names" in record:
            path = record["file_names"][index]
        elif "folder" in record:
            path = frame_path(record["folder"], index)
        else:
            path = record["file_name"]
        frames[index] = read_picture(path, size)
        size = frames[index].shape[:2]
    return [frames[index] for index in indices]


def video_objects(
    record: Record, indices: Sequence[int], num_classes: int = MAX_CLASSES
) -> Objects:
    """Return the objects of some frames of a video; crowds are left out.

    Args:
        record: of the video; see :class:`ClipInstanceMapper`.
        indices: of the frames.
        num_classes: background included; a higher number in a class map is a fault.

    Raises:
        UserError: if there are no annotations, or they cannot be read.
    """
    if "annotations" not in record and "mask_file_name" in record:
        # Of a long video, only these frames are read.
        path = record["mask_file_name"]
        maps = open_masks(path)
        if maps.ndim != 3 or len(maps) != record["num_frames"]:
            raise FaultError(path, f"mask of the wrong shape {maps.shape}")
        maps = np.stack([maps[index] for index in indices])
        check_classes(path, maps, num_classes)
        numbers = np.setdiff1d(np.unique(maps), (0, NO_CLASS)).astype(np.int64)
        return Objects(numbers, numbers - 1, maps[:, None] == numbers[:, None, None])
    tubes = [tube for tube in record_tubes(record) if not tube["iscrowd"]]
    size = (record["height"], record["width"])
    masks = np.zeros((len(indices), len(tubes), *size), bool)
    for number, tube in enumerate(tubes):
        masks[:, number] = decode_frames(tube, indices, size)
    ids = np.array([tube["id"] for tube in tubes], np.int64)
    return Objects(ids, np.array([tube["category_id"] for tube in tubes], np.int64), masks)


def picture_objects(record: Record, size: tuple[int, int], taxonomy: Taxonomy) -> Objects:
    """Return the objects of a picture as those of a clip of one frame; crowds are left out.

    Args:
        record: of the picture; see :class:`ClipInstanceMapper`.
        size: height and width of the picture, in pixels.
        taxonomy: of its class map.

    Raises:
        UserError: if there are no annotations, or they cannot be read.
    """
    path = record["file_name"]
    if "annotations" not in record:
        if not {"mask_file_name", "sem_seg_file_name"} & record.keys():
            raise UserError(
                f"{path} has neither annotations nor a mask; use a data set of annotated pictures."
            )
        class_map = read_class_map(record, taxonomy.num_classes, size)
        classes, masks, _ = split_mask(class_map, taxonomy.one_object_per_class)
        return Objects(np.arange(len(classes)), classes.astype(np.int64) - 1, masks[None])
    given = [each for each in record["annotations"] if not each.get("iscrowd", 0)]
    masks = np.zeros((1, len(given), *size), bool)
    for mask, annotation in zip(masks[0], given, strict=True):
        try:
            if (rle := to_rle(annotation.get("segmentation"), *size)) is not None:
                mask[:] = decode_mask(rle)
        except (ValueError, TypeError, OverflowError) as error:
            raise UserError(
                f"an annotation of {path} has {error}; correct the data set."
            ) from error
    classes = np.array([each["category_id"] for each in given], np.int64)
    return Objects(np.arange(len(given)), classes, masks)


def _check_size(record: Record, frame: np.ndarray, objects: Objects) -> None:
    if objects.masks.shape[2:] != frame.shape[:2]:
        height, width = objects.masks.shape[2:]
        raise UserError(
            f"video {record.get('video_name', record['video_id'])} has masks of {width}x{height} "
            f"pixels, but frames of {frame.shape[1]}x{frame.shape[0]}; correct the data set."
        )


def _move(transform: T.Transform, masks: np.ndarray, moved: np.ndarray) -> None:
    """Transform the masks bool ``(K, H, W)`` of a frame, and write them to ``moved``."""
    for mask, out in zip(masks, moved, strict=True):
        out[:] = transform.apply_segmentation(mask.view(np.uint8))


def to_instances(objects: Objects) -> list[Instances]:
    """Return the objects of a clip as ground truth, an ``Instances`` for each frame.

    Objects that are visible in no frame are left out; see :class:`ClipInstanceMapper`.
    """
    seen = objects.masks.any((0, 2, 3))
    classes = torch.from_numpy(objects.classes[seen])
    ids = torch.from_numpy(objects.ids[seen])
    frames = []
    for masks in objects.masks[:, seen]:
        instances = Instances(masks.shape[1:])
        instances.gt_classes = classes
        instances.gt_ids = ids
        instances.gt_masks = BitMasks(torch.from_numpy(masks))
        instances.gt_boxes = Boxes(torch.from_numpy(mask_boxes(masks)))
        frames.append(instances)
    return frames
