"""Reading samples and frames ahead of a model."""

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice, repeat
from typing import TypeVar, cast

Item = TypeVar("Item")
Result = TypeVar("Result")


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], depth: int = 2, threads: int = 1
) -> Iterator[Result]:
    """Apply ``function`` to items in threads, ``depth`` of them ahead of the caller, in order."""
    remaining = iter(items)
    with ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(function, item) for item in islice(remaining, depth)]
        try:
            while waiting:
                result = waiting.pop(0).result()
                waiting += [pool.submit(function, item) for item in islice(remaining, 1)]
                yield result
        finally:
            for future in waiting:
                future.cancel()


def iterate_ahead(items: Iterable[Item], depth: int = 2) -> Iterator[Item]:
    """Iterate in a thread, ``depth`` items ahead of the caller."""
    iterator, end = iter(items), object()
    ahead = prefetch(lambda _: next(iterator, end), repeat(None), depth)
    try:
        for item in ahead:
            if item is end:
                return
            yield cast(Item, item)
    finally:
        cast(Generator, ahead).close()  # the thread stops before what it iterates over is closed
        if isinstance(iterator, Generator):
            iterator.close()
