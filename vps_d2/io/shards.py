"""Shards: how several processes or machines share a list of work."""

from collections.abc import Sequence
from typing import TypeVar

__all__ = ["WHOLE", "Shard", "shard_name", "take_shard"]

Item = TypeVar("Item")

Shard = tuple[int, int]
"""``(i, n)``: part i of n, with i from 0 to n - 1."""

WHOLE: Shard = (0, 1)
"""All of the work. It also makes what the results of all shards have in common, such as lists."""


def take_shard(items: Sequence[Item], shard: Shard) -> Sequence[Item]:
    """Return every n-th item, from the i-th on."""
    return items[shard[0] :: shard[1]]


def shard_name(shard: Shard) -> str:
    """Return the name by which a shard claims its output folder; "" for all of the work."""
    return "" if shard == WHOLE else f"shard_{shard[0]}_of_{shard[1]}"
