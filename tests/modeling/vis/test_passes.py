"""Long videos in passes: each frame once, and the same track for the same object."""

import weakref
from collections.abc import Iterator

import pytest
import torch

from vps_d2.d2.structures import Instances
from vps_d2.modeling.vis.passes import join_passes, tube_iou

SIDE = 12


def make_instances(rows: dict[int, int]) -> Instances:
    """Return objects by their number: each a row of pixels."""
    masks = torch.zeros(len(rows), SIDE, SIDE, dtype=torch.bool)
    for index, row in enumerate(rows.values()):
        masks[index, row] = True
    return Instances(
        (SIDE, SIDE),
        pred_masks=masks,
        scores=torch.ones(len(rows)),
        pred_classes=torch.zeros(len(rows), dtype=torch.int64),
        track_ids=torch.tensor(list(rows), dtype=torch.int64),
    )


class Segmenter:
    """Finds the rows whose numbers a frame holds, and numbers them anew in every pass."""

    def __init__(self) -> None:
        self.passes: list[list[int]] = []

    def __call__(self, frames: torch.Tensor) -> list[Instances]:
        times = frames[:, 0, 0, 0].int().tolist()
        self.passes.append(times)
        rows = sorted({int(row) for frame in frames for row in frame[1, 0] if row >= 0})
        shift = len(self.passes)
        numbers = {row: (index + shift) % len(rows) for index, row in enumerate(rows)}
        return [
            make_instances({numbers[int(row)]: int(row) for row in frame[1, 0] if row >= 0})
            for frame in frames
        ]


def make_frames(rows: list[list[int]]) -> Iterator[torch.Tensor]:
    for time, visible in enumerate(rows):
        frame = torch.full((3, 1, 4), -1.0)
        frame[0] = time
        frame[1, 0, : len(visible)] = torch.tensor(visible)
        yield frame


def tracks(rows: list[list[int]], **options: float) -> tuple[list[dict[int, int]], Segmenter]:
    """Return for each frame the track of each row, and the segmenter that was called."""
    settings = {"num_frames": 4, "overlap": 2, "min_iou": 0.5, **options}
    segmenter = Segmenter()
    found = list(join_passes(make_frames(rows), segmenter, **settings))  # type: ignore[arg-type]
    named = [
        {
            int(mask.any(1).nonzero()[0]): int(track)
            for mask, track in zip(each.pred_masks, each.track_ids, strict=True)
        }
        for each in found
    ]
    return named, segmenter


@pytest.mark.parametrize("overlap", [0, 1, 3])
@pytest.mark.parametrize("length", [0, 1, 3, 4, 5, 6, 11])
def test_every_frame_once(length: int, overlap: int) -> None:
    named, segmenter = tracks([[2, 5]] * length, overlap=overlap)
    assert [sorted(each) for each in named] == [[2, 5]] * length
    assert all(len(each) == min(4, length) for each in segmenter.passes)
    if overlap:
        assert all(each == named[0] for each in named)


def test_overlaps_are_as_long_as_wished() -> None:
    _, segmenter = tracks([[1]] * 9)
    assert segmenter.passes == [[0, 1, 2, 3], [2, 3, 4, 5], [4, 5, 6, 7], [5, 6, 7, 8]]


def test_objects_that_come_and_go() -> None:
    named, _ = tracks([[1, 2]] * 3 + [[2]] + [[2, 7]] * 3 + [[7]] * 3)
    assert {each[2] for each in named if 2 in each} == {named[0][2]}
    assert len({each[7] for each in named if 7 in each}) == 1
    assert len({named[0][1], named[0][2], named[-1][7]}) == 3


@pytest.mark.parametrize(("min_iou", "last"), [(0.3, 0), (0.4, 1)])
def test_a_tube_that_shares_too_little_is_a_new_track(min_iou: float, last: int) -> None:
    """The second pass finds the object elsewhere in one of the two shared frames."""
    passes = iter(([1, 1, 1, 1], [1, 5, 5, 5]))

    def segment(frames: torch.Tensor) -> list[Instances]:
        return [make_instances({9: row}) for row in next(passes)]

    found = join_passes(make_frames([[]] * 6), segment, num_frames=4, overlap=2, min_iou=min_iou)
    assert [each.track_ids.tolist() for each in found] == [[0]] * 4 + [[last]] * 2


def test_memory_does_not_grow() -> None:
    alive: list[weakref.ref] = []
    most = 0

    def frames() -> Iterator[torch.Tensor]:
        for frame in make_frames([[1]] * 60):
            alive.append(weakref.ref(frame))
            yield frame

    for _ in join_passes(frames(), Segmenter(), num_frames=4, overlap=2, min_iou=0.5):
        most = max(most, sum(each() is not None for each in alive))
    assert most <= 5


def test_iou_of_tubes() -> None:
    one = [make_instances({3: 0, 8: 1}), make_instances({8: 1})]
    other = [make_instances({5: 1}), make_instances({5: 2, 0: 1})]
    first, second, overlaps = tube_iou(one, other)
    assert (first, second) == ([3, 8], [0, 5])
    # Track 8 is in two frames, tube 0 in one of them; tube 5 is elsewhere in the second frame.
    assert torch.allclose(overlaps, torch.tensor([[0, 0], [1 / 2, 1 / 3]]))
    assert tube_iou([make_instances({})], other[:1])[2].shape == (0, 1)
