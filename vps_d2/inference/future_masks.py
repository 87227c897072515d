"""The main job: from the first 11 frames of a video to its last 11 and the mask of frame 22.

Shapes: ``N`` videos, ``T`` frames, ``H`` rows, ``W`` columns. Frames are uint8 RGB; masks are uint8
with class numbers 0-48.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from vps_d2.config.pipeline import load_pipeline_config, model_nodes
from vps_d2.d2.config import CfgNode
from vps_d2.data.mappers import to_tensor
from vps_d2.data.tracks import join_confused
from vps_d2.data.video import NUM_FRAMES, NUM_INPUT_FRAMES
from vps_d2.inference.models import LoadedModel, load_model
from vps_d2.inference.segmentation import FrameSegmenter
from vps_d2.io.errors import UserError
from vps_d2.modeling.outputs import output_to_mask

# Input frames, from the last back, in which an object has to be detected to count as seen. One is
# not enough: it may be hidden or missed there.
_SEEN_FRAMES = (-1, -5)


class FuturePrediction(NamedTuple):
    """What the pipeline says of one video.

    Attributes:
        frames: uint8 ``(T, H, W, 3)``, the predicted frames; the last input frame alone if there
            is no predictor.
        mask: uint8 ``(H, W)``, of frame 22.
        frame_numbers: which frames of the video ``frames`` are, counted from 1.
    """

    frames: np.ndarray
    mask: np.ndarray
    frame_numbers: range

    def captions(self) -> list[str]:
        """Return what to write above each of the frames."""
        return [
            f"predicted {number}" if number > NUM_INPUT_FRAMES else f"frame {number} again"
            for number in self.frame_numbers
        ]


class FutureMaskPredictor:
    """Predict the frames of videos and the mask of frame 22.

    The mask is that of the last predicted frame. With a mask predictor it is predicted from the
    masks of the input frames instead, and predicted frames are extra.

    Args:
        predictor: any architecture from ``{"frames"}`` to ``{"frames"}``; None to segment the last
            input frame instead.
        segmenter: any architecture from ``{"image"}`` to ``{"instances"}`` or ``{"sem_seg"}``.
        mask_predictor: any architecture from ``{"masks": uint8 (T_in, H, W)}``, class numbers of
            the input frames, to ``{"sem_seg": logits (49, H, W)}`` or ``{"mask": uint8 (H, W)}``,
            those of frame 22; None for none.
        score_thresh: instances below it are not painted.
        seen_classes_only: leave out classes that are not detected in the input frames.
        join_confused: before masks are predicted from masks, give each object one class; see
            :func:`vps_d2.data.tracks.join_confused`.
        batch_size: videos on the device at a time.
    """

    def __init__(
        self,
        predictor: LoadedModel | None,
        segmenter: LoadedModel,
        *,
        mask_predictor: LoadedModel | None = None,
        score_thresh: float = 0.5,
        seen_classes_only: bool = True,
        join_confused: bool = True,
        batch_size: int = 8,
    ) -> None:
        self.predictor = predictor
        self.segmenter = segmenter
        self.mask_predictor = mask_predictor
        self.score_thresh = score_thresh
        self.seen_classes_only = seen_classes_only
        self.join_confused = join_confused
        self.batch_size = batch_size
        self._frame_segmenter = FrameSegmenter(
            segmenter, score_thresh=score_thresh, batch_size=batch_size
        )

    @classmethod
    def from_config_file(
        cls, config_file: str | Path, opts: Sequence[str] = ()
    ) -> "FutureMaskPredictor":
        """Build the pipeline that a file of ``configs/pipeline`` describes.

        Args:
            config_file: see :func:`load_pipeline_config`.
            opts: keys and values that override the file, such as ``("MODEL.DEVICE", "cpu")``.

        Raises:
            UserError: if a file is missing or wrong.
        """
        return cls.from_config(load_pipeline_config(config_file, opts))

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "FutureMaskPredictor":
        """Build a pipeline from the PIPELINE keys and MODEL.DEVICE; paths must be absolute.

        Raises:
            UserError: if a file is missing or wrong.
        """
        predictor, segmenter, mask_predictor = (
            load_model(node.CONFIG_FILE, node.WEIGHTS, cfg.MODEL.DEVICE)
            if node.CONFIG_FILE
            else None
            for node in model_nodes(cfg)
        )
        assert segmenter is not None  # load_pipeline_config has seen to it
        return cls(
            predictor,
            segmenter,
            mask_predictor=mask_predictor,
            score_thresh=cfg.PIPELINE.SCORE_THRESH,
            seen_classes_only=cfg.PIPELINE.SEEN_CLASSES_ONLY,
            join_confused=cfg.PIPELINE.JOIN_CONFUSED,
            batch_size=cfg.PIPELINE.BATCH_SIZE,
        )

    def __call__(self, frames: np.ndarray) -> list[FuturePrediction]:
        """Predict and segment.

        Args:
            frames: uint8 ``(N, T, H, W, 3)`` or ``(N, T, 3, H, W)``, with as many frames ``T`` as
                the predictor was trained on, or more, of which the last count.

        Returns:
            one prediction for each video.

        Raises:
            UserError: if the frames have another shape or dtype.
        """
        frames = self._check(frames)
        predictions: list[FuturePrediction] = []
        for start in range(0, len(frames), self.batch_size):
            batch = frames[start : start + self.batch_size]
            predicted = self.predict_frames(batch)
            if self.mask_predictor is not None:
                masks = self.predict_masks(batch)
            else:
                seen = self._seen_classes(batch) if self.seen_classes_only else [None] * len(batch)
                masks = self.segment(predicted[:, -1], seen)
            end = 1 + (NUM_INPUT_FRAMES if self.predictor is None else NUM_FRAMES)
            numbers = range(end - predicted.shape[1], end)
            predictions += [
                FuturePrediction(*each, numbers) for each in zip(predicted, masks, strict=True)
            ]
        return predictions

    def predict_frames(self, frames: np.ndarray) -> np.ndarray:
        """Predict frames alone.

        Args:
            frames: uint8 ``(N, T, H, W, 3)``, one batch.

        Returns:
            uint8 ``(N, T_out, H, W, 3)``; the last input frame where there is no predictor.
        """
        if self.predictor is None or not len(frames):
            return frames[:, -1:]
        frames = _last_frames(frames, self.predictor)
        outputs = self.predictor([{"frames": to_tensor(video)} for video in frames])
        # Rounded on the device, so that a quarter of the bytes have to leave it.
        predicted = torch.stack([output["frames"] for output in outputs]).round().clamp(0, 255)
        return predicted.to(torch.uint8).permute(0, 1, 3, 4, 2).contiguous().cpu().numpy()

    def predict_masks(self, frames: np.ndarray) -> np.ndarray:
        """Segment the input frames, and predict the mask of frame 22 from their masks.

        Args:
            frames: uint8 ``(N, T, H, W, 3)``, one batch.

        Returns:
            uint8 ``(N, H, W)``.
        """
        if self.mask_predictor is None:
            raise ValueError("this pipeline has no mask predictor")
        frames = _last_frames(frames, self.mask_predictor)
        if not len(frames):
            return np.zeros((0, *frames.shape[2:4]), np.uint8)
        masks = self.segment_videos(frames)
        outputs = self.mask_predictor([{"masks": torch.from_numpy(video)} for video in masks])
        seen = [np.unique(video) if self.seen_classes_only else None for video in masks]
        return np.stack(
            [
                output_to_mask(output, self.score_thresh, classes)
                for output, classes in zip(outputs, seen, strict=True)
            ]
        )

    def segment_videos(self, frames: np.ndarray) -> np.ndarray:
        """Segment all frames of videos; an object that is confused for some frames is set right.

        Args:
            frames: uint8 ``(N, T, H, W, 3)``.

        Returns:
            masks uint8 ``(N, T, H, W)``.
        """
        masks = self.segment(frames.reshape(-1, *frames.shape[2:])).reshape(frames.shape[:4])
        if self.join_confused:
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
                f"frames must be uint8 (N, {NUM_INPUT_FRAMES}, H, W, 3), not {frames.dtype} "
                f"{frames.shape}; convert them."
            )
        return frames


def _last_frames(frames: np.ndarray, model: LoadedModel) -> np.ndarray:
    count = model.cfg.INPUT.NUM_INPUT_FRAMES
    if frames.shape[1] < count:
        raise UserError(
            f"the predictor wants {count} frames of a video, not {frames.shape[1]}; give more."
        )
    return frames[:, -count:]
