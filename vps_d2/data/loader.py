"""Data loaders whose samples depend only on the seed and the position in the stream.

The training stream is endless: its sample ``p`` is record ``perm_e[p % n]`` of ``n``, where
``perm_e`` is the permutation of epoch ``e = p // n``. The random numbers of a mapper depend on the
seed and ``p``. So a run resumed at iteration ``i`` reads the same samples as an uninterrupted one,
with any number of worker processes.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch.utils.data as torchdata

# They register their mappers.
import vps_d2.data.clip_mapper
import vps_d2.data.track_mapper
import vps_d2.data.vos.mapper
import vps_d2.data.vos.stroke_mapper  # noqa: F401
from vps_d2.d2.config import CfgNode
from vps_d2.d2.data import (
    DatasetFromList,
    build_detection_test_loader,
    build_detection_train_loader,
)
from vps_d2.d2.data.samplers import InferenceSampler
from vps_d2.d2.utils import comm
from vps_d2.data.datasets import Record, load_records
from vps_d2.data.mappers import Mapper, build_mapper
from vps_d2.io.errors import UserError
from vps_d2.io.workers import can_have_workers


class SampleStream(torchdata.Dataset):
    """The endless stream of training samples, by position.

    Args:
        records: of the data sets.
        seed: of the order.
    """

    def __init__(self, records: Sequence[Record], seed: int) -> None:
        self.records = DatasetFromList(list(records), copy=False)
        self.seed = seed
        self._epoch = -1
        self._order = np.empty(0, np.int64)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, position: int) -> Record:
        epoch, place = divmod(int(position), len(self.records))
        if epoch != self._epoch:
            rng = np.random.default_rng([self.seed, epoch])
            self._order, self._epoch = rng.permutation(len(self.records)), epoch
        return {**self.records[int(self._order[place])], "stream_position": int(position)}


class StreamSampler(torchdata.Sampler):
    """The positions of the training stream that one process reads, without end.

    Args:
        start: position to begin at.
        rank: number of this process.
        world_size: number of processes.
    """

    def __init__(self, start: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.start = start
        self.rank = rank
        self.world_size = world_size

    def __iter__(self) -> Iterator[int]:
        position = self.start + self.rank
        while True:
            yield position
            position += self.world_size


class _MissingKeyError(KeyError):
    """A record has no such key."""


class _Record(dict[str, Any]):
    """A record that raises its own error for a missing key, not confused with other KeyErrors."""

    def __missing__(self, key: str) -> Any:
        raise _MissingKeyError(key)


class _Sample(dict[str, Any]):
    """The output of a mapper, which raises its own error if a model looks for a missing key.

    Args:
        content: of the sample.
        mapper: name of the mapper.
    """

    def __init__(self, content: dict[str, Any], mapper: str) -> None:
        super().__init__(content)
        self.mapper = mapper

    def __missing__(self, key: str) -> Any:
        raise UserError(
            f'the architecture finds no "{key}" in the output of {self.mapper} '
            f"({', '.join(self)}); set INPUT.MAPPER to one that fits MODEL.META_ARCHITECTURE."
        )

    def __reduce__(self) -> tuple[type, tuple[dict[str, Any], str]]:
        return _Sample, (dict(self), self.mapper)


class SafeMapper:
    """Call a mapper with a separate seed for each sample, and pass its user errors on.

    An exception from a worker process arrives with a traceback in its message; passed as a value,
    it arrives unchanged.

    Args:
        mapper: to be called.
        seed: of the run; None leaves the random state as it is.
    """

    def __init__(self, mapper: Mapper, seed: int | None) -> None:
        self.mapper = mapper
        self.seed = seed

    def __call__(self, record: Record) -> dict[str, Any] | UserError:
        """Return the mapped record, or a user error."""
        if torchdata.get_worker_info() is not None:
            cv2.setNumThreads(0)  # the worker processes are the threads
        state = np.random.get_state()
        try:
            if self.seed is not None:
                sequence = np.random.SeedSequence([self.seed, record["stream_position"]])
                np.random.seed(sequence.generate_state(4))
            return _Sample(self.mapper(_Record(record)), type(self.mapper).__name__)
        except UserError as error:
            return error
        except _MissingKeyError as error:
            return UserError(
                f"{type(self.mapper).__name__} finds no {error} in a record, which has "
                f"{', '.join(record)}; name data sets in DATASETS that fit INPUT.MAPPER."
            )
        finally:
            np.random.set_state(state)


class CheckedLoader:
    """A loader that raises the user errors of its mapper.

    Args:
        loader: yields lists of mapped samples or errors.
    """

    def __init__(self, loader: torchdata.DataLoader) -> None:
        self.loader = loader
        self.dataset = loader.dataset

    def __len__(self) -> int:
        return len(self.loader)

    def __iter__(self) -> Iterator[list[dict[str, Any]]]:
        batches = iter(self.loader)
        try:
            for batch in batches:
                for sample in batch:
                    if isinstance(sample, UserError):
                        raise sample
                yield batch
        except RuntimeError as error:
            if not str(error).startswith("DataLoader worker"):
                raise
            raise UserError(
                f"a worker process of the data loader died ({str(error).splitlines()[0]}); "
                "provide more memory or shared memory, or set DATALOADER.NUM_WORKERS 0."
            ) from error
        finally:
            # Deleted, it ends its workers. The traceback of an error would keep it until garbage
            # is collected, which waits five seconds for each of them.
            del batches


def build_train_loader(
    cfg: CfgNode,
    start_iter: int = 0,
    mapper: Callable[[Record], dict[str, Any]] | None = None,
) -> CheckedLoader:
    """Build the endless loader of the data sets in DATASETS.TRAIN, taken together.

    A data set that DATASETS.REPEATS counts several times comes up as often in an epoch.

    Args:
        cfg: configuration; SOLVER.IMS_PER_BATCH is the batch of all processes together.
        start_iter: iteration that training begins or resumes at.
        mapper: what samples are made by; None for INPUT.MAPPER.

    Returns:
        a loader of lists of mapped samples, each with its ``"stream_position"`` if the mapper
        keeps it.

    Raises:
        UserError: if there is no data set, one has faults (see DATASETS.SKIP_FAULTY), or the
            batch cannot be shared among the processes, or a video is too short for a clip.
    """
    if not cfg.DATASETS.TRAIN:
        raise UserError("DATASETS.TRAIN is empty; name the data sets to train on.")
    world_size = comm.get_world_size()
    if cfg.SOLVER.IMS_PER_BATCH % world_size:
        raise UserError(
            f"SOLVER.IMS_PER_BATCH {cfg.SOLVER.IMS_PER_BATCH} cannot be shared by {world_size} "
            "processes; make it a multiple of that."
        )
    records: list[Record] = []
    repeats = cfg.DATASETS.REPEATS or [1] * len(cfg.DATASETS.TRAIN)
    for name, count in zip(cfg.DATASETS.TRAIN, repeats, strict=True):
        records += load_records(name, cfg.DATASETS.SKIP_FAULTY) * count
    seed = _common_seed(cfg.SEED)
    mapper = mapper or build_mapper(cfg, is_train=True)
    _check_lengths(mapper, records)
    loader = build_detection_train_loader(
        SampleStream(records, seed),
        mapper=SafeMapper(mapper, seed),
        sampler=StreamSampler(start_iter * cfg.SOLVER.IMS_PER_BATCH, comm.get_rank(), world_size),
        total_batch_size=cfg.SOLVER.IMS_PER_BATCH,
        aspect_ratio_grouping=False,
        num_workers=_count_workers(cfg),
    )
    return CheckedLoader(loader)


def build_test_loader(
    cfg: CfgNode,
    name: str,
    mapper: Callable[[Record], dict[str, Any]] | None = None,
    batch_size: int = 1,
) -> CheckedLoader:
    """Build the loader of one data set, in order, shared among the processes.

    Args:
        cfg: configuration.
        name: of the data set.
        mapper: what samples are made by; None for INPUT.MAPPER.
        batch_size: samples in a batch of one process.

    Returns:
        a loader of lists of mapped samples.

    Raises:
        UserError: if the data set has faults (see DATASETS.SKIP_FAULTY).
    """
    records = load_records(name, cfg.DATASETS.SKIP_FAULTY)
    loader = build_detection_test_loader(
        records,
        mapper=SafeMapper(mapper or build_mapper(cfg, is_train=False), None),
        sampler=InferenceSampler(len(records)),
        batch_size=batch_size,
        num_workers=_count_workers(cfg),
    )
    return CheckedLoader(loader)


def _count_workers(cfg: CfgNode) -> int:
    count: int = cfg.DATALOADER.NUM_WORKERS
    return count if count and can_have_workers() else 0


def _check_lengths(mapper: Mapper, records: Sequence[Record]) -> None:
    """Check that a mapper of clips can draw them from all videos, before training begins."""
    check_length = getattr(mapper, "check_length", None)
    lengths = {record["num_frames"] for record in records if "num_frames" in record}
    if check_length is not None and lengths:
        check_length(min(lengths))


def _common_seed(seed: int) -> int:
    """Return the seed; if it is negative (no seed), a random one that all processes share."""
    if seed >= 0:
        return seed
    return comm.all_gather(int(np.random.default_rng().integers(2**31)))[0]
