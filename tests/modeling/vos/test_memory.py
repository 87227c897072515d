"""What a memory keeps, and what it drops."""

import pytest
import torch

from vps_d2.modeling.vos.memory import FrameMemory, MemoryBudget

BUDGET = MemoryBudget(frames=4, latest=2, frame_prototypes=3, prototypes=8)
CELLS = 12


def frame(seed: int, objects: tuple[int, ...] = (1,)) -> tuple[torch.Tensor, dict]:
    generator = torch.Generator().manual_seed(seed)
    keys = 40 * torch.randn(6, CELLS, generator=generator)
    return keys, {number: torch.full((CELLS, 2), float(seed)) for number in objects}


def test_does_not_grow_and_keeps_what_the_user_gave() -> None:
    memory = FrameMemory(BUDGET, top_k=5)
    memory.add(*frame(1000), permanent=True)
    sizes = []
    for seed in range(40):
        memory.add(*frame(seed))
        memory.read(frame(seed + 1)[0], [1])
        sizes.append(memory.num_cells)
    assert max(sizes) == max(sizes[:12]) <= CELLS * 5 + BUDGET.prototypes
    assert sum(part.keys.shape[1] for part in memory.prototypes) == BUDGET.prototypes
    keys, _ = frame(1000)
    torch.testing.assert_close(memory.read(keys, [1])[1], torch.full((CELLS, 2), 1000.0))
    latest, _ = frame(39)
    torch.testing.assert_close(memory.read(latest, [1])[1], torch.full((CELLS, 2), 39.0))


def test_what_is_used_most_outlives_the_rest() -> None:
    memory = FrameMemory(BUDGET, top_k=1)
    keys, _ = frame(0)
    for seed in range(4):
        memory.add(*frame(seed))
    for _ in range(3):
        memory.read(keys[:, :3].repeat(1, 4), [1])  # only three cells of the first frame
    memory.add(*frame(4))
    kept = torch.cat([part.keys for part in memory.prototypes], 1)
    for cell in range(3):
        assert (kept == keys[:, cell : cell + 1]).all(0).any()
    torch.testing.assert_close(memory.read(keys[:, :3], [1])[1], torch.zeros(3, 2))


def test_an_object_is_read_from_the_frames_that_know_it() -> None:
    memory = FrameMemory(BUDGET, top_k=5)
    memory.add(*frame(1, (1,)), permanent=True)
    memory.add(*frame(2, (1, 7)))
    found = memory.read(frame(1)[0], [7, 1, 9])
    assert found.keys() == {1, 7}
    torch.testing.assert_close(found[1], torch.full((CELLS, 2), 1.0))
    torch.testing.assert_close(found[7], torch.full((CELLS, 2), 2.0))
    for seed in range(3, 20):
        memory.add(*frame(seed, (1, 7) if seed % 2 else (1,)))
    assert memory.objects == [1, 7]
    assert len(memory.prototypes) == 2  # with the second object, and without it
    memory.forget_frames()
    assert memory.objects == [1] and memory.num_cells == CELLS


@pytest.mark.parametrize("count", [3, 9])
def test_goes_on_from_a_state(count: int) -> None:
    memory, other = FrameMemory(BUDGET, top_k=5), FrameMemory(BUDGET, top_k=5)
    memory.add(*frame(1000), permanent=True)
    for seed in range(count):
        memory.add(*frame(seed))
        memory.read(frame(50 + seed)[0], [1])
    other.set_state(memory.state())
    for seed in range(count, count + 5):
        for each in (memory, other):
            each.add(*frame(seed))
        first, second = (each.read(frame(60 + seed)[0], [1])[1] for each in (memory, other))
        assert torch.equal(first, second)
