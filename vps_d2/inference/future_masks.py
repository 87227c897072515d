"""Pipelines: from the first frames of a video to later frames, and to the mask of one of them.

Shapes: ``N`` videos, ``T`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB; masks are uint8
class maps.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from vps_d2.config.pipeline import load_pipeline_config, model_nodes
from vps_d2.d2.config import CfgNode
from vps_d2.data.clips import num_known_frames
from vps_d2.data.mappers import to_tensor
from vps_d2.data.metadata import describe_classes, find_taxonomy
from vps_d2.data.paths import ObjectPath
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.tracks import join_confused
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.object_frames.prediction import render_prediction
from vps_d2.inference.segmentation import FrameSegmenter
from vps_d2.io.errors import UserError
from vps_d2.modeling.outputs import output_to_mask, output_to_paths
from vps_d2.modeling.tasks import Task, model_task

# An object counts as seen if it is detected in one of this many last input frames. A single frame
# is not enough: the object may be hidden or missed in it.
_SEEN_FRAMES = (-1, -5)


class FuturePrediction(NamedTuple):
    """The prediction of a pipeline for one video.

    Attributes:
        frames: uint8 ``(T, H, W, 3)``, the predicted frames; the last input frame alone if there is
            no predictor, and no frames if they were not asked for.
        mask: uint8 ``(H, W)``.
        frame_numbers: which frames of the video ``frames`` are, counted from 1.
        mask_number: the frame that the mask is of; without a model that predicts, the frame that
            the copied mask stands for.
        num_known: number of input frames.
        paths: of the objects, if the mask predictor follows them.
    """

    frames: np.ndarray
    mask: np.ndarray
    frame_numbers: range
    mask_number: int
    num_known: int
    paths: Sequence[ObjectPath] = ()

    def captions(self) -> list[str]:
        """Return the caption of each frame."""
        return [
            f"predicted {number}" if number > self.num_known else f"frame {number} again"
            for number in self.frame_numbers
        ]


class FutureMaskPredictor:
    """Predict later frames of videos, and the mask of one of them.

    The mask is segmented from a predicted frame. With a mask predictor, it is predicted from the
    masks of the input frames instead, and predicted frames are an extra. Without either, the mask
    of the last input frame is copied, as if nothing moved.

    Args:
        predictor: any architecture from ``{"frames"}`` to ``{"frames"}``; or a mask predictor that
            follows objects, whose own pixels are then moved, see
            :mod:`vps_d2.inference.object_frames`; None to segment the last input frame instead.
        segmenter: any architecture from ``{"image"}`` to ``{"instances"}`` or ``{"sem_seg"}``.
        mask_predictor: any architecture from ``{"masks": uint8 (T_in, H, W)}``, class numbers of
            the input frames, to ``{"sem_seg": logits (C, H, W)}`` or ``{"mask": uint8 (H, W)}``,
            those of the last frame that it predicts; None for none.
        num_known: number of input frames of a video; None for as many as in the training of the
            models.
        target_frame: the frame whose mask is wanted, counted from 1; None for the last predicted
            one.
        score_thresh: instances below it are not painted.
        seen_classes_only: leave out classes that are not detected in the last input frames.
        join_confused: before masks are predicted from masks, give each object a single class, if
            each class is one object; see :func:`vps_d2.data.tracks.join_confused`.
        batch_size: videos on the device at a time.

    Raises:
        UserError: if the models do not predict the wanted frame from ``num_known`` frames, or if
            segmenter and mask predictor were trained on different classes.
    """

    def __init__(
        self,
        predictor: LoadedModel | None,
        segmenter: LoadedModel,
        *,
        mask_predictor: LoadedModel | None = None,
        num_known: int | None = None,
        target_frame: int | None = None,
        score_thresh: float = 0.5,
        seen_classes_only: bool = True,
        join_confused: bool = True,
        batch_size: int = 8,
    ) -> None:
        self.predictor = predictor
        self.segmenter = segmenter
        self.mask_predictor = mask_predictor
        predicting = [model for model in (predictor, mask_predictor) if model is not None]
        self.num_known = num_known or max(
            num_known_frames(model.cfg) for model in predicting or [segmenter]
        )
        self.target_frame = target_frame
        for model in predicting:
            model.clip.input_frames(self.num_known)
        self.find_target(self.num_known)
        self.score_thresh = score_thresh
        self.seen_classes_only = seen_classes_only
        self.join_confused = join_confused
        self.batch_size = batch_size
        self._frame_segmenter = FrameSegmenter(
            segmenter, score_thresh=score_thresh, batch_size=batch_size
        )
        self._check_classes()

    @classmethod
    def from_config_file(
        cls, config_file: str | Path, opts: Sequence[str] = ()
    ) -> "FutureMaskPredictor":
        """Build the pipeline that a file such as those in ``configs/pipeline`` describes.

        Args:
            config_file: see :func:`load_pipeline_config`.
            opts: keys and values that override the file, such as ``("MODEL.DEVICE", "cpu")``.

        Raises:
            UserError: if a file is missing or wrong.
        """
        return cls.from_config(load_pipeline_config(config_file, opts))

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "FutureMaskPredictor":
        """Build the pipeline of :func:`load_pipeline_config`, on MODEL.DEVICE.

        Raises:
            UserError: if a file is missing or wrong.
        """
        tasks: tuple[tuple[Task, ...], ...] = (
            ("frames", "future_masks"),
            ("segmentation",),
            ("future_masks",),
        )
        opts = [*cfg.PIPELINE.MODEL_OPTS, "MODEL.DEVICE", cfg.MODEL.DEVICE]
        predictor, segmenter, mask_predictor = (
            load_model(node.CONFIG_FILE, opts, task=fitting, weights=node.WEIGHTS)
            if node.CONFIG_FILE
            else None
            for node, fitting in zip(model_nodes(cfg), tasks, strict=True)
        )
        assert segmenter is not None  # load_pipeline_config has checked it
        return cls(
            predictor,
            segmenter,
            mask_predictor=mask_predictor,
            num_known=cfg.INPUT.NUM_KNOWN_FRAMES or None,
            target_frame=cfg.PIPELINE.TARGET_FRAME or None,
            score_thresh=cfg.PIPELINE.SCORE_THRESH,
            seen_classes_only=cfg.PIPELINE.SEEN_CLASSES_ONLY,
            join_confused=cfg.PIPELINE.JOIN_CONFUSED,
            batch_size=cfg.PIPELINE.BATCH_SIZE,
        )

    def __call__(self, frames: np.ndarray, *, want_frames: bool = True) -> list[FuturePrediction]:
        """Predict and segment.

        Args:
            frames: the first frames of each video, uint8 ``(N, T, H, W, 3)`` or ``(N, T, 3, H,
                W)``, with at least as many ``T`` as the models need.
            want_frames: whether to return frames, too; otherwise only those that the mask needs are
                predicted.

        Returns:
            one prediction for each video.

        Raises:
            UserError: if the frames have another shape or dtype, or if the models do not predict
                the wanted frame from this many.
        """
        frames = self._check(frames)
        num_known = frames.shape[1]
        target = self.find_target(num_known)
        predictions: list[FuturePrediction] = []
        for start in range(0, len(frames), self.batch_size):
            batch = frames[start : start + self.batch_size]
            if self.mask_predictor is not None:
                predicted = self._predict(batch) if want_frames else None
                masks, paths = self._predict_objects(batch)
            else:
                place = self._place_of(target, num_known)
                predicted = self._predict(batch, None if want_frames else place)
                last = predicted[:, place if want_frames else 0]
                seen = self._seen_classes(batch) if self.seen_classes_only else [None] * len(batch)
                masks, paths = self._frame_segmenter.segment(last, seen), [[] for _ in batch]
            given = _to_numpy(predicted) if want_frames and predicted is not None else batch[:, :0]
            numbers = self._frame_numbers(num_known)[: given.shape[1]]
            predictions += [
                FuturePrediction(shown, mask, numbers, target, num_known, followed)
                for shown, mask, followed in zip(given, masks, paths, strict=True)
            ]
        return predictions

    def _check_classes(self) -> None:
        masks = find_taxonomy(self.mask_predictor.cfg) if self.mask_predictor else None
        frames = find_taxonomy(self.segmenter.cfg)
        if masks and frames and masks.thing_classes != frames.thing_classes:
            raise UserError(
                f"the segmenter knows {describe_classes(frames)}, but the mask predictor "
                f"{describe_classes(masks)}; combine models trained on the same classes in the "
                "same order."
            )

    @property
    def taxonomy(self) -> Taxonomy:
        """The classes of the masks."""
        return self._frame_segmenter.taxonomy

    def describe(self) -> dict[str, Any]:
        """Return which frames are predicted, counted from 1, as JSON values.

        Returns:
            the names of the object ``classes``; ``num_known``, the number of input frames;
            ``frames``, those that are predicted, none without a predictor; ``mask_frame``, that of
            the mask; and ``copied``, whether it is a copy of the mask of the last input frame.
        """
        numbers = self._frame_numbers(self.num_known)
        return {
            "classes": list(self.taxonomy.thing_classes),
            "num_known": self.num_known,
            "frames": list(numbers) if self.predictor is not None else [],
            "mask_frame": self.find_target(self.num_known),
            "copied": self.predictor is None and self.mask_predictor is None,
        }

    def find_target(self, num_known: int) -> int:
        """Return the number of the frame whose mask is given, counted from 1.

        Args:
            num_known: number of input frames.

        Raises:
            UserError: if another frame is wanted than the models predict from this many.
        """
        if self.mask_predictor is not None:
            last = self.mask_predictor.clip.target_frames(num_known)[-1] + 1
            if self.target_frame not in (None, last):
                raise UserError(
                    f"from the first {num_known} frames the mask predictor gives the mask of "
                    f"frame {last}, not of frame {self.target_frame}; set PIPELINE.TARGET_FRAME "
                    "to that frame, or train with other INPUT.NUM_TARGET_FRAMES and "
                    "INPUT.TARGET_GAP."
                )
            return last
        if self.predictor is None:
            return self.target_frame or num_known
        target = self.target_frame or self.predictor.clip.target_frames(num_known)[-1] + 1
        self.predictor.clip.find_target(target - 1, num_known)
        return target

    def _place_of(self, target: int, num_known: int) -> int:
        """Return the index of the predicted frame that the mask is segmented from."""
        if self.predictor is None:
            return -1
        return self.predictor.clip.find_target(target - 1, num_known)

    def _frame_numbers(self, num_known: int) -> range:
        if self.predictor is None:
            return range(num_known, num_known + 1)
        frames = self.predictor.clip.target_frames(num_known)
        return range(frames.start + 1, frames.stop + 1)

    def _predict(self, frames: np.ndarray, place: int | None = None) -> torch.Tensor:
        """Return predicted frames as uint8 ``(N, T_out, 3, H, W)``, on the device of their model.

        A segmenter on the same device reads them from there. If the index of the only wanted frame
        is given, the shape is ``(N, 1, 3, H, W)``.
        """
        if self.predictor is None or not len(frames):
            return to_tensor(frames[:, -1:])
        frames = _last_frames(frames, self.predictor)
        if model_task(self.predictor.cfg) == "future_masks":
            return to_tensor(self._render(frames, self.predictor, place))
        options = {} if place is None else {"target_index": place}
        outputs = self.predictor([{"frames": to_tensor(video), **options} for video in frames])
        count, wanted = len(outputs[0]["frames"]), self.predictor.clip.num_target
        if count != wanted and (place is None or count != 1):
            raise UserError(
                f"the predictor returned {count} frames, but INPUT.NUM_TARGET_FRAMES in its "
                f"configuration is {wanted}; correct the configuration."
            )
        # Rounded on the device, so that only a quarter of the bytes have to be copied from it.
        predicted = torch.stack([output["frames"] for output in outputs])
        if place is not None and count == wanted:
            predicted = predicted[:, place, None]
        return predicted.round().clamp(0, 255).to(torch.uint8)

    def _render(self, frames: np.ndarray, predictor: LoadedModel, place: int | None) -> np.ndarray:
        """Return frames uint8 ``(N, T_out, H, W, 3)`` in which objects' own pixels are moved."""
        masks = self.segment_videos(frames)
        outputs = predictor([{"masks": torch.from_numpy(video)} for video in masks])
        rendered = [
            render_prediction(video, seen, output, predictor.clip.num_target, place)
            for video, seen, output in zip(frames, masks, outputs, strict=True)
        ]
        return np.stack(rendered)

    def predict_masks(self, frames: np.ndarray) -> np.ndarray:
        """Segment the input frames, and predict the mask of a later one from their masks.

        Args:
            frames: uint8 ``(N, T, H, W, 3)``, one batch.

        Returns:
            uint8 ``(N, H, W)``.
        """
        if self.mask_predictor is None:
            raise ValueError("this pipeline has no mask predictor")
        if not len(frames):
            return np.zeros((0, *frames.shape[2:4]), np.uint8)
        return self._predict_objects(frames)[0]

    def _predict_objects(self, frames: np.ndarray) -> tuple[np.ndarray, list[list[ObjectPath]]]:
        """Return the masks of one batch, and the paths of the objects of each video."""
        assert self.mask_predictor is not None
        masks = self.segment_videos(_last_frames(frames, self.mask_predictor))
        outputs = self.mask_predictor([{"masks": torch.from_numpy(video)} for video in masks])
        seen = [np.unique(video) if self.seen_classes_only else None for video in masks]
        predicted = [
            output_to_mask(output, self.score_thresh, classes)
            for output, classes in zip(outputs, seen, strict=True)
        ]
        return np.stack(predicted), list(map(output_to_paths, outputs, seen))

    def segment_videos(self, frames: np.ndarray) -> np.ndarray:
        """Segment all frames of videos, and correct objects whose class is wrong in some frames.

        Args:
            frames: uint8 ``(N, T, H, W, 3)``.

        Returns:
            masks uint8 ``(N, T, H, W)``.
        """
        masks = self.segment(frames.reshape(-1, *frames.shape[2:])).reshape(frames.shape[:4])
        if self.join_confused and self.taxonomy.one_object_per_class:
            masks = np.stack(list(map(join_confused, masks)))
        return masks

    def segment(
        self, frames: np.ndarray, classes: Sequence[np.ndarray | None] | None = None
    ) -> np.ndarray:
        """Segment single frames.

        Args:
            frames: uint8 ``(N, H, W, 3)``.
            classes: for each frame the class numbers that may be in it, None for all.

        Returns:
            masks uint8 ``(N, H, W)``.
        """
        return self._frame_segmenter.segment(frames, classes)

    def _seen_classes(self, frames: np.ndarray) -> list[np.ndarray | None]:
        count = min(len(_SEEN_FRAMES), frames.shape[1])
        picked = np.concatenate(
            [frames[:, max(index, -frames.shape[1])] for index in _SEEN_FRAMES[:count]]
        )
        masks = self.segment(picked).reshape(count, *frames.shape[:1], *frames.shape[2:4])
        return [np.unique(masks[:, index]) for index in range(len(frames))]

    @staticmethod
    def _check(frames: np.ndarray) -> np.ndarray:
        frames = np.asarray(frames)
        if frames.ndim == 5 and frames.shape[-1] != 3 and frames.shape[2] == 3:
            frames = np.moveaxis(frames, 2, -1)
        if frames.dtype != np.uint8 or frames.ndim != 5 or frames.shape[-1] != 3:
            raise UserError(
                f"frames must be uint8 (N, T, H, W, 3), not {frames.dtype} {frames.shape}; convert "
                "them."
            )
        return frames


def _last_frames(frames: np.ndarray, model: LoadedModel) -> np.ndarray:
    inputs = model.clip.input_frames(frames.shape[1])
    return frames[:, inputs.start : inputs.stop]


def _to_numpy(frames: torch.Tensor) -> np.ndarray:
    """Return frames ``(N, T, 3, H, W)`` as an array ``(N, T, H, W, 3)``."""
    return frames.permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()
