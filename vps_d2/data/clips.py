"""Which frames of a video a model takes and gives."""

import numpy as np

from vps_d2.data.video import NUM_INPUT_FRAMES
from vps_d2.io.errors import UserError


class ClipSampler:
    """Choose the frames of a training clip: ``start, start + stride, ...``.

    The input frames must lie within the video. Target frames may fall beyond its end; they are
    then marked as not valid. The start is drawn at random where the clip leaves room for it.

    Args:
        num_input_frames: frames a prediction starts from.
        num_target_frames: frames to predict.
        strides: temporal strides to draw from; (1,) is no frameskip.
        num_frames: frames in a video.
    """

    def __init__(
        self,
        *,
        num_input_frames: int,
        num_target_frames: int,
        strides: tuple[int, ...] = (1,),
        num_frames: int = 22,
    ) -> None:
        self.num_input_frames = num_input_frames
        self.num_target_frames = num_target_frames
        self.strides = tuple(strides)
        if not self.strides or min(self.strides) < 1:
            raise UserError(
                f"INPUT.FRAMESKIP {self.strides}: strides count from 1; correct the configuration."
            )
        for stride in self.strides:
            if num_input_frames * stride >= num_frames:
                raise UserError(
                    f"INPUT.FRAMESKIP {stride}: {num_input_frames} input frames at this stride "
                    f"leave no target in a video of {num_frames} frames; use a smaller stride or "
                    "fewer INPUT.NUM_INPUT_FRAMES."
                )

    def sample(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Draw a clip.

        Args:
            num_frames: frames in the video.

        Returns:
            frame indices int64 ``(T_in + T_out,)`` counted from 0, and bool ``(T_out,)``: whether
            the target lies within the video.
        """
        stride = self.strides[np.random.randint(len(self.strides))]
        length = self.num_input_frames + self.num_target_frames
        start = np.random.randint(max(num_frames - (length - 1) * stride, 1))
        indices = start + stride * np.arange(length)
        return indices, indices[self.num_input_frames :] < num_frames

    def after_input(self, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
        """Return the clip, without a stride, whose input ends with frame 11; as :meth:`sample`."""
        start = max(NUM_INPUT_FRAMES - self.num_input_frames, 0)
        indices = start + np.arange(self.num_input_frames + self.num_target_frames)
        return indices, indices[self.num_input_frames :] < num_frames
