"""The mapper of clips for video object segmentation.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.data.datasets import Record
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, to_tensor
from vps_d2.data.vos.clips import Clip, make_clip
from vps_d2.data.vos.datasets import register_vos_procedural  # noqa: F401  registers the built-in
from vps_d2.data.vos.library import open_library
from vps_d2.data.vos.scenes import SceneOptions

_MADE_EVALUATION_GAP = 1


@DATASET_MAPPER_REGISTRY.register()
class VOSClipMapper:
    """Clips in which the objects of the first frame are to be followed.

    Args:
        is_train: draw clips at random; otherwise a made clip depends only on its number.
        num_frames: ``T``.
        options: of made clips; ``size`` is that of the frames of every training clip.
        max_gaps: most frames from one frame of a clip to the next; the first value holds from the
            beginning on.
        gap_samples: how many samples were drawn when each further value begins to hold.
    """

    @configurable
    def __init__(
        self,
        *,
        is_train: bool,
        num_frames: int = 3,
        options: SceneOptions | None = None,
        max_gaps: Sequence[int] = (10,),
        gap_samples: Sequence[int] = (),
    ) -> None:
        self.is_train = is_train
        self.num_frames = num_frames
        self.options = options or SceneOptions()
        self.max_gaps = tuple(max_gaps)
        self.gap_samples = tuple(gap_samples)

    @classmethod
    def from_config(cls, cfg: CfgNode, is_train: bool = True) -> dict[str, Any]:
        """Read the arguments from a configuration."""
        keys = cfg.INPUT.VOS
        samples = cfg.SOLVER.MAX_ITER * cfg.SOLVER.IMS_PER_BATCH
        return {
            "is_train": is_train,
            "num_frames": cfg.INPUT.CLIP.NUM_FRAMES,
            "options": SceneOptions(
                size=tuple(keys.SIZE),
                objects=(1, keys.MAX_OBJECTS),
                lookalikes=keys.LOOKALIKES,
            ),
            "max_gaps": keys.MAX_GAPS,
            "gap_samples": [round(share * samples) for share in keys.GAP_STEPS],
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Make or read one clip.

        Args:
            record: see :mod:`vps_d2.data.vos.datasets`.

        Returns:
            ``images`` uint8 ``(T, 3, H, W)``; ``object_maps`` uint8 ``(T, H, W)``, in which the
            objects of the first frame are numbered from 1 on, and all else is 0; ``video_id``, and
            the record's ``video_name`` and ``stream_position``.

        Raises:
            UserError: if a file cannot be read.
        """
        clip = self._make(record)
        keys = ("video_id", "video_name", "stream_position")
        return {
            **{key: record[key] for key in keys if key in record},
            "images": to_tensor(clip.frames),
            "object_maps": torch.from_numpy(clip.object_maps),
        }

    def max_gap(self, position: int) -> int:
        """Return the most frames between two frames of a clip at a position in the stream."""
        passed = sum(position >= samples for samples in self.gap_samples)
        return int(self.max_gaps[passed])

    def _make(self, record: Record) -> Clip:
        library = open_library(*record["clip_source"])
        if not self.is_train:
            rng = np.random.default_rng([record["video_id"], self.num_frames])
            return make_clip(rng, self.num_frames, self.options, library, _MADE_EVALUATION_GAP)
        rng = np.random.default_rng(np.random.randint(1 << 31, size=4))
        gap = self.max_gap(record.get("stream_position", 0))
        return make_clip(rng, self.num_frames, self.options, library, gap)
