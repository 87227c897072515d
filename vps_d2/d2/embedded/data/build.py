"""Loaders for training and for inference."""

from collections.abc import Callable
from typing import Any

import torch
import torch.utils.data as torchdata

from vps_d2.d2.embedded.data.common import DatasetFromList, MapDataset
from vps_d2.d2.embedded.errors import user_error
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.env import seed_all_rng

__all__ = ["build_detection_test_loader", "build_detection_train_loader"]

Mapper = Callable[[Any], Any]


def build_detection_train_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Mapper,
    sampler: torchdata.Sampler,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
) -> torchdata.DataLoader:
    """Build a loader of training batches, which are lists of samples.

    Args:
        dataset: records, or a map-style PyTorch data set.
        mapper: from a record to a sample of the model.
        sampler: order of the records, run in the main process.
        total_batch_size: samples in a step over all processes.
        aspect_ratio_grouping: must be False; only Detectron2 separates wide images from high ones.
        num_workers: worker processes of each process; 0 loads in the process itself.

    Returns:
        A loader of batches of ``total_batch_size / world size`` samples.

    Raises:
        ValueError: if aspect ratios are to be grouped.
    """
    if aspect_ratio_grouping:
        raise user_error(
            "the embedded engine does not group images by aspect ratio; give "
            "aspect_ratio_grouping=False, or install Detectron2."
        )
    world_size = comm.get_world_size()
    assert total_batch_size > 0 and total_batch_size % world_size == 0, (
        f"a batch of {total_batch_size} cannot be shared by {world_size} processes"
    )
    return torchdata.DataLoader(
        _map(dataset, mapper),
        batch_size=total_batch_size // world_size,
        sampler=sampler,
        drop_last=True,
        num_workers=num_workers,
        collate_fn=_keep,
        worker_init_fn=_seed_worker,
    )


def build_detection_test_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Mapper,
    sampler: torchdata.Sampler,
    batch_size: int = 1,
    num_workers: int = 0,
) -> torchdata.DataLoader:
    """Build a loader that yields every sample once, in lists.

    Args:
        dataset: records, or a map-style PyTorch data set.
        mapper: from a record to a sample of the model.
        sampler: order of the records.
        batch_size: samples in a batch of each process; the last one may be smaller.
        num_workers: worker processes of each process; 0 loads in the process itself.
    """
    return torchdata.DataLoader(
        _map(dataset, mapper),
        batch_size=batch_size,
        sampler=sampler,
        num_workers=num_workers,
        collate_fn=_keep,
    )


def _map(dataset: list | torchdata.Dataset, mapper: Mapper) -> MapDataset:
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    return MapDataset(dataset, mapper)


def _keep(samples: list) -> list:
    return samples


def _seed_worker(worker_id: int) -> None:
    # PyTorch gives each worker its own seed; mappers also draw from NumPy's and Python's.
    seed_all_rng(torch.initial_seed() % 2**32)
