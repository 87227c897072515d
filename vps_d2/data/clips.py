"""Which frames of a video a model takes and predicts; all arithmetic of frames is here.

A clip is ``num_input`` frames, ``gap`` frames that are left out, and ``num_target`` frames. Frames
are counted from 0 in code (``frame_index``), from 1 in messages and captions ("frame k").
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError


@dataclass(frozen=True)
class ClipSpec:
    """The frames that a model takes and predicts.

    Args:
        num_input: frames that a prediction starts from.
        num_target: frames to predict.
        gap: frames left out between the two.
    """

    num_input: int
    num_target: int
    gap: int = 0

    @classmethod
    def from_config(cls, cfg: CfgNode) -> "ClipSpec":
        """Read the clip of a model from INPUT."""
        keys = cfg.INPUT
        return cls(keys.NUM_INPUT_FRAMES, keys.NUM_TARGET_FRAMES, keys.TARGET_GAP)

    @property
    def length(self) -> int:
        """Frames from the first of the input to the last of the target."""
        return self.num_input + self.gap + self.num_target

    def input_frames(self, num_known: int) -> range:
        """Return the indices of the input frames if the first ``num_known`` frames are known.

        Raises:
            UserError: if the model needs more frames.
        """
        if num_known < self.num_input:
            raise UserError(
                f"the model needs {self.num_input} frames, but only {num_known} are known; give "
                "more (INPUT.NUM_KNOWN_FRAMES), or a model with fewer INPUT.NUM_INPUT_FRAMES."
            )
        return range(num_known - self.num_input, num_known)

    def target_frames(self, num_known: int) -> range:
        """Return the indices of the frames predicted from the first ``num_known`` frames."""
        first = num_known + self.gap
        return range(first, first + self.num_target)

    def find_target(self, frame_index: int, num_known: int) -> int:
        """Return the position of a frame of the video among the predicted ones, from 0 on.

        Raises:
            UserError: if it is not predicted.
        """
        frames = self.target_frames(num_known)
        if frame_index not in frames:
            raise UserError(
                f"from the first {num_known} frames the model predicts {name_frames(frames)}, not "
                f"frame {frame_index + 1}; set PIPELINE.TARGET_FRAME to one of these, or train "
                "with other INPUT.NUM_TARGET_FRAMES and INPUT.TARGET_GAP."
            )
        return frames.index(frame_index)

    def check_fits(self, num_frames: int) -> None:
        """Check that a clip fits into a video.

        Raises:
            UserError: if the video is too short.
        """
        if self.length > num_frames:
            raise UserError(
                f"a clip of {self.num_input} input frames, {self.num_target} target frames and "
                f"{self.gap} frames between them does not fit into a video of {num_frames} "
                "frames; lower INPUT.NUM_INPUT_FRAMES, NUM_TARGET_FRAMES or TARGET_GAP, or use "
                "longer videos."
            )


def num_known_frames(cfg: CfgNode) -> int:
    """Return how many frames of a video are known in evaluation and inference."""
    return int(cfg.INPUT.NUM_KNOWN_FRAMES or cfg.INPUT.NUM_INPUT_FRAMES)


def name_frames(frames: range) -> str:
    """Return the numbers of frames in words: "frame 22", or "frames 12-22"."""
    if len(frames) == 1:
        return f"frame {frames[0] + 1}"
    return f"frames {frames[0] + 1}-{frames[-1] + 1}"


class ClipSampler:
    """Choose the frames of a training clip: ``start, start + stride, ...``.

    The start is random if the clip leaves room for that. With a stride above 1, target frames may
    lie beyond the end of the video; they are then marked as not valid.

    Args:
        clip: frames of a clip.
        strides: temporal strides to draw from (frameskip augmentation); (1,) for none.

    Raises:
        UserError: if a stride is not positive.
    """

    def __init__(self, clip: ClipSpec, strides: Sequence[int] = (1,)) -> None:
        self.clip = clip
        self.strides = tuple(strides)
        if not self.strides or min(self.strides) < 1:
            raise UserError(f"INPUT.FRAMESKIP is {self.strides}; strides must be 1 or more.")

    def check_fits(self, num_frames: int) -> None:
        """Check that every clip that may be drawn from a video has a target.

        Raises:
            UserError: if the video is too short.
        """
        self.clip.check_fits(num_frames)
        first_target = self.clip.num_input + self.clip.gap
        for stride in self.strides:
            if first_target * stride >= num_frames:
                raise UserError(
                    f"INPUT.FRAMESKIP {stride}: {self.clip.num_input} input frames at this stride "
                    f"leave no target in a video of {num_frames} frames; use a smaller stride or "
                    "fewer INPUT.NUM_INPUT_FRAMES."
                )

    def sample(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a clip.

        Args:
            num_frames: frames in the video.

        Returns:
            frame indices int64 ``(T_in + T_out,)``, and bool ``(T_out,)``: whether the target lies
            within the video.

        Raises:
            UserError: if the video is too short.
        """
        self.check_fits(num_frames)
        clip = self.clip
        stride = self.strides[np.random.randint(len(self.strides))]
        start = np.random.randint(max(num_frames - (clip.length - 1) * stride, 1))
        offsets = [*range(clip.num_input), *range(clip.num_input + clip.gap, clip.length)]
        indices = start + stride * np.array(offsets)
        return indices, indices[clip.num_input :] < num_frames
