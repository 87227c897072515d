"""Reading samples ahead of a model."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2
) -> Iterator[Result]:
    """Apply ``function`` to items in a thread, ``depth`` of them ahead of the caller, in order."""
    remaining = iter(items)
    with ThreadPoolExecutor(1) as pool:
        waiting = [pool.submit(function, item) for item in islice(remaining, depth)]
        try:
            while waiting:
                result = waiting.pop(0).result()
                waiting += [pool.submit(function, item) for item in islice(remaining, 1)]
                yield result
        finally:
            for future in waiting:
                future.cancel()
