"""The mapper of clips for video object segmentation.

Shapes: ``T`` frames, ``H`` rows, ``W`` columns.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from vps_d2.d2.config import CfgNode, configurable
from vps_d2.data.datasets import Record
from vps_d2.data.mappers import DATASET_MAPPER_REGISTRY, to_tensor
from vps_d2.data.pictures import read_picture
from vps_d2.data.vos.augment import ClipAugmentation
from vps_d2.data.vos.clips import Clip, choose, make_clip, renumber, visible
from vps_d2.data.vos.datasets import register_vos_procedural  # noqa: F401  registers the built-in
from vps_d2.data.vos.library import open_library
from vps_d2.data.vos.maps import read_dataset_map, read_saliency
from vps_d2.data.vos.scenes import SceneOptions, draw_scene
from vps_d2.data.vos.stills import draw_still_scene

_TRIES = 5


@DATASET_MAPPER_REGISTRY.register()
class VOSClipMapper:
    """Clips in which the objects of the first frame are to be followed.

    Args:
        is_train: draw clips at random; otherwise a video is read as a whole, and a made clip
            depends only on its number.
        num_frames: ``T`` of a clip.
        options: of made clips; ``size`` is that of the frames of every training clip.
        max_gaps: most frames from one frame of a clip to the next; the first value holds from the
            beginning on.
        gap_samples: how many samples were drawn when each further value begins to hold.
        far: of made clips; see :func:`~vps_d2.data.vos.clips.make_clip`.
        augmentation: of clips of real videos; None for the default one.
        reverse: chance that such a clip is reversed.
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
        far: tuple[float, int, int] = (0.0, 5, 40),
        augmentation: ClipAugmentation | None = None,
        reverse: float = 0.5,
    ) -> None:
        self.is_train = is_train
        self.num_frames = num_frames
        self.options = options or SceneOptions()
        self.max_gaps = tuple(max_gaps)
        self.gap_samples = tuple(gap_samples)
        self.far = far
        self.augmentation = augmentation or ClipAugmentation(self.options.size)
        self.reverse = reverse

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
            "far": (keys.FAR_SHARE, *keys.FAR_GAPS),
            "augmentation": ClipAugmentation(tuple(keys.SIZE), keys.MIN_CROP, keys.GRAY),
            "reverse": keys.REVERSE,
        }

    def __call__(self, record: Record) -> dict[str, Any]:
        """Make or read one clip.

        Args:
            record: see :mod:`vps_d2.data.vos.datasets`.

        Returns:
            ``images`` uint8 ``(T, 3, H, W)``; ``object_maps`` uint8 ``(T, H, W)``, in which the
            objects of the first frame are numbered from 1 on, and all else is 0; ``frame_indices``,
            a list of ``T`` ints, which fall if a clip is reversed; ``video_id``, and the record's
            ``video_name`` and ``stream_position``.

        Raises:
            UserError: if a file cannot be read.
        """
        clip = self._draw(record) if self.is_train else self._fixed(record)
        keys = ("video_id", "video_name", "stream_position")
        return {
            **{key: record[key] for key in keys if key in record},
            "images": to_tensor(clip.frames),
            "object_maps": torch.from_numpy(clip.object_maps),
            "frame_indices": list(clip.indices),
        }

    def max_gap(self, position: int) -> int:
        """Return the most frames between two frames of a clip at a position in the stream."""
        passed = sum(position >= samples for samples in self.gap_samples)
        return int(self.max_gaps[passed])

    def _fixed(self, record: Record) -> Clip:
        """Return a whole video, or the same clip each time."""
        if "file_names" in record:
            chosen = range(record["num_frames"])
            frames, maps = _read(record, chosen)
            return Clip(np.stack(frames), np.stack(maps), _in_video(record, chosen))
        state = np.random.get_state()
        try:
            np.random.seed(record["video_id"])
            return self._draw({**record, "stream_position": 0})
        finally:
            np.random.set_state(state)

    def _draw(self, record: Record) -> Clip:
        rng = np.random.default_rng(np.random.randint(1 << 31, size=4))
        gap = self.max_gap(record.get("stream_position", 0))
        if "file_names" in record:
            return self._cut(rng, record, max(1, gap // record["frame_step"]))
        most = self.options.objects[1]
        if "clip_source" in record:
            library = open_library(*record["clip_source"])
            scene = partial(draw_scene, rng, self.options, library)
            return make_clip(rng, self.num_frames, scene, most, gap, self.far)
        picture = read_picture(record["file_name"])
        object_map = read_saliency(record["object_map_file_name"], picture.shape[:2])
        min_crop = self.augmentation.min_crop
        scene = partial(draw_still_scene, rng, self.options, picture, object_map, min_crop)
        # Objects that are left out look like those that are followed more than most things do.
        kept = int(rng.integers(1, most + 1))
        return make_clip(rng, self.num_frames, scene, kept, gap, self.far)

    def _cut(self, rng: np.random.Generator, record: Record, max_gap: int) -> Clip:
        """Cut a clip out of a real video, if possible one that shows an object in its frame 1."""
        for _ in range(_TRIES):
            chosen = self._choose(rng, record, max_gap)
            frames, maps = self.augmentation(rng, *_read(record, chosen))
            seen = visible(maps[0])
            if seen:
                break
        kept = choose(rng, seen, int(rng.integers(1, self.options.objects[1] + 1)))
        return Clip(frames, renumber(maps, kept), _in_video(record, chosen))

    def _choose(self, rng: np.random.Generator, record: Record, max_gap: int) -> list[int]:
        """Return the indices of frames that have a map, in order or in reverse."""
        paths = record["object_map_file_names"]
        labeled = [index for index, path in enumerate(paths) if path is not None]
        # Of a short video, frames are taken again rather than that the clip is left out.
        longest = max(1, min(max_gap, (len(labeled) - 1) // max(1, self.num_frames - 1)))
        places = np.cumsum([0, *rng.integers(1, longest + 1, self.num_frames - 1)])
        start = int(rng.integers(0, max(1, len(labeled) - places[-1])))
        places = np.minimum(start + places, len(labeled) - 1)
        if rng.random() < self.reverse:
            places = places[::-1]
        return [labeled[place] for place in places]


def _in_video(record: Record, indices: Sequence[int]) -> list[int]:
    """Return which frames of the video some files of a record are.

    Where every file has a map, frames without one were left out, as YouTube-VOS does.
    """
    step = record["frame_step"] if all(record["object_map_file_names"]) else 1
    return [index * step for index in indices]


def _read(record: Record, indices: Sequence[int]) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Read frames of a video, all of one size, and their maps, empty ones where there is none."""
    frames: list[np.ndarray] = []
    maps: list[np.ndarray] = []
    for index in indices:
        size = frames[0].shape[:2] if frames else None
        frames.append(read_picture(record["file_names"][index], size))
        map_file = record["object_map_file_names"][index]
        size = frames[0].shape[:2]
        maps.append(
            np.zeros(size, np.uint8) if map_file is None else read_dataset_map(map_file, size)
        )
    return frames, maps
