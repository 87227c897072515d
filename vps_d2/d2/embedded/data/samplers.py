"""Order of the samples, over all processes of a run."""

import itertools
from collections.abc import Iterator

import torch
from torch.utils.data import Sampler

from vps_d2.d2.embedded.utils import comm

__all__ = ["InferenceSampler", "TrainingSampler"]


class TrainingSampler(Sampler):
    """An endless stream of indices: one pass over the data set after the other.

    Every process takes its share of the same stream, the indices at ``rank + k * world size``.

    Args:
        size: samples in the data set.
        shuffle: draw a new order for every pass.
        seed: of the orders; None draws one that the processes agree on.
    """

    def __init__(self, size: int, shuffle: bool = True, seed: int | None = None):
        if not isinstance(size, int):
            raise TypeError(f"size is to be an int, not {type(size).__name__}")
        if size <= 0:
            raise ValueError(f"a sampler needs at least one sample, not {size}")
        self._size = size
        self._shuffle = shuffle
        self._seed = comm.shared_random_seed() if seed is None else int(seed)
        self._rank = comm.get_rank()
        self._world_size = comm.get_world_size()

    def __iter__(self) -> Iterator[int]:
        return itertools.islice(self._stream(), self._rank, None, self._world_size)

    def _stream(self) -> Iterator[int]:
        generator = torch.Generator()
        generator.manual_seed(self._seed)
        while True:
            if self._shuffle:
                yield from torch.randperm(self._size, generator=generator).tolist()
            else:
                yield from range(self._size)


class InferenceSampler(Sampler):
    """Every index once, split into one contiguous block for each process.

    The blocks differ by one sample at most, so the processes may run different numbers of steps.

    Args:
        size: samples in the data set.
    """

    def __init__(self, size: int):
        assert size > 0, "a sampler needs at least one sample"
        rank, world_size = comm.get_rank(), comm.get_world_size()
        share, left_over = divmod(size, world_size)
        # The first processes take one of the left-over samples each.
        begin = rank * share + min(rank, left_over)
        self._indices = range(begin, begin + share + (rank < left_over))

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
