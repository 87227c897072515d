"""Data sets made from a list, and from another data set with a mapper."""

import copy
import logging
import pickle
import random
from collections.abc import Callable
from typing import Any

import torch
import torch.utils.data as torchdata

__all__ = ["DatasetFromList", "MapDataset"]

_logger = logging.getLogger(__name__)


class _PackedList:
    """A read-only list whose items lie pickled in one tensor.

    The workers of a loader share its memory. Python objects would be copied one by one, because
    reading an object changes its reference count.
    """

    def __init__(self, items: list):
        pickled = [pickle.dumps(item, protocol=pickle.HIGHEST_PROTOCOL) for item in items]
        self._ends = torch.tensor([len(item) for item in pickled]).cumsum(0)
        self._bytes = torch.frombuffer(bytearray(b"".join(pickled) or b"\0"), dtype=torch.uint8)

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, index: int) -> Any:
        index = range(len(self))[index]
        start = int(self._ends[index - 1]) if index else 0
        return pickle.loads(self._bytes[start : int(self._ends[index])].numpy().data)


class DatasetFromList(torchdata.Dataset):
    """A list as a data set.

    Args:
        lst: the items.
        copy: return copies, so that the caller can change them.
        serialize: keep the items pickled in memory that worker processes share; the items returned
            are then always copies.
    """

    def __init__(self, lst: list, copy: bool = True, serialize: bool = True):
        self._items = _PackedList(lst) if serialize else lst
        self._copy = copy and not serialize

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, idx: int) -> Any:
        item = self._items[idx]
        return copy.deepcopy(item) if self._copy else item


class MapDataset(torchdata.Dataset):
    """A data set with a function applied to each sample.

    The function may return None for a sample that cannot be used; another random one then replaces
    it.

    Args:
        dataset: map-style.
        map_func: the function.
    """

    def __init__(self, dataset: torchdata.Dataset, map_func: Callable[[Any], Any]):
        self._dataset = dataset
        self._map_func = map_func
        self._random = random.Random(42)
        self._unusable: set[int] = set()

    def __len__(self) -> int:
        return len(self._dataset)  # type: ignore[arg-type]

    def __getitem__(self, idx: int) -> Any:
        index = int(idx)
        while True:
            sample = self._map_func(self._dataset[index])
            if sample is not None:
                return sample
            self._unusable.add(index)
            candidates = [i for i in range(len(self)) if i not in self._unusable]
            if not candidates:
                raise RuntimeError("the mapper returned None for every sample of the data set")
            _logger.warning("The mapper returned None for sample %d; taking another", index)
            index = self._random.choice(candidates)
