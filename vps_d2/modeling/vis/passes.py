"""Videos longer than a model's clip, in overlapping passes whose tubes are joined by their IoU.

Shapes: ``T`` frames, ``K`` objects, ``H`` rows, ``W`` columns.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence

import torch
from scipy.optimize import linear_sum_assignment

from vps_d2.d2.structures import Instances


def join_passes(
    frames: Iterable[torch.Tensor],
    segment: Callable[[torch.Tensor], Sequence[Instances]],
    *,
    num_frames: int,
    overlap: int,
    min_iou: float,
) -> Iterator[Instances]:
    """Segment a video of any length, in memory that does not grow with it.

    A pass takes ``num_frames`` frames, of which the first ``overlap`` were also in the pass before
    (more of them at the end of the video). A tube continues the track that it shares most of these
    frames with; each other tube opens a track.

    Args:
        frames: of the video, in order, ``(3, H, W)`` each.
        segment: from at most ``num_frames`` frames ``(T, 3, H, W)`` to the objects in each of them,
            with ``pred_masks`` bool ``(K, H, W)`` and ``track_ids``, which are the same in all
            frames of a tube.
        num_frames: of a pass.
        overlap: frames that two passes share, from 0 to ``num_frames - 1``.
        min_iou: the least IoU, over the shared frames, of a tube and the track that it continues.

    Yields:
        the objects of each frame, with the ``track_ids`` of their tracks.
    """
    window: deque[torch.Tensor] = deque(maxlen=num_frames)
    done: deque[Instances] = deque(maxlen=num_frames)
    tracks = _Tracks(min_iou)
    fresh = 0
    for frame in frames:
        window.append(frame)
        fresh += 1
        if fresh == (num_frames - overlap if done else num_frames):
            yield from _run(window, done, fresh, segment, tracks)
            fresh = 0
    if fresh:
        yield from _run(window, done, fresh, segment, tracks)


def _run(
    window: deque[torch.Tensor],
    done: deque[Instances],
    fresh: int,
    segment: Callable[[torch.Tensor], Sequence[Instances]],
    tracks: "_Tracks",
) -> Iterator[Instances]:
    found = segment(torch.stack(list(window)))
    shared = len(window) - fresh
    before = list(done)[len(done) - shared :]
    for each in tracks.rename(before, found)[shared:]:
        done.append(each)
        yield each


class _Tracks:
    """Gives tubes the numbers of the tracks that they continue, or new ones."""

    def __init__(self, min_iou: float) -> None:
        self.min_iou = min_iou
        self.count = 0

    def rename(self, before: Sequence[Instances], found: Sequence[Instances]) -> list[Instances]:
        """Return the objects of a pass with the numbers of their tracks.

        Args:
            before: objects of the frames that are also in the pass before, with their tracks.
            found: objects of all frames of this pass.
        """
        numbers = {}
        if before:
            old, new, overlaps = tube_iou(before, found[: len(before)])
            rows, columns = linear_sum_assignment(overlaps.numpy(), maximize=True)
            for row, column in zip(rows, columns, strict=True):
                if overlaps[row, column] >= self.min_iou:
                    numbers[new[column]] = old[row]
        renamed = []
        for instances in found:
            tracks = []
            for tube in instances.track_ids.tolist():
                if tube not in numbers:
                    numbers[tube] = self.count
                    self.count += 1
                tracks.append(numbers[tube])
            fields = dict(instances.get_fields())
            fields["track_ids"] = torch.tensor(
                tracks, dtype=torch.int64, device=instances.track_ids.device
            )
            renamed.append(Instances(instances.image_size, **fields))
        return renamed


def tube_iou(
    one: Sequence[Instances], other: Sequence[Instances]
) -> tuple[list[int], list[int], torch.Tensor]:
    """Compare all tubes of two segmentations of the same frames.

    Args:
        one: objects of each frame, with ``pred_masks`` and ``track_ids``.
        other: the same frames, segmented again.

    Returns:
        the track ids of both, and the IoU of each of the one with each of the other, float32.
    """
    first, second = (
        sorted({int(each) for instances in side for each in instances.track_ids})
        for side in (one, other)
    )
    rows = {track: row for row, track in enumerate(first)}
    columns = {track: column for column, track in enumerate(second)}
    shared = torch.zeros(len(first), len(second))
    total = torch.zeros(len(first), len(second))
    for before, after in zip(one, other, strict=True):
        masks = [each.pred_masks.flatten(1).float() for each in (before, after)]
        row = torch.tensor([rows[each] for each in before.track_ids.tolist()], dtype=torch.int64)
        column = torch.tensor(
            [columns[each] for each in after.track_ids.tolist()], dtype=torch.int64
        )
        shared[row[:, None], column] += (masks[0] @ masks[1].T).cpu()
        total[row] += masks[0].sum(1).cpu()[:, None]
        total[:, column] += masks[1].sum(1).cpu()
    return first, second, shared / (total - shared).clamp(min=1)
