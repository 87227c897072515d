"""Order of the samples, over all processes of a run."""

from collections.abc import Iterator

from torch.utils.data import Sampler

from vps_d2.d2.embedded.utils import comm

__all__ = ["InferenceSampler"]


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
        # The first processes take one of the remaining samples each.
        begin = rank * share + min(rank, left_over)
        self._indices = range(begin, begin + share + (rank < left_over))

    def __iter__(self) -> Iterator[int]:
        return iter(self._indices)

    def __len__(self) -> int:
        return len(self._indices)
