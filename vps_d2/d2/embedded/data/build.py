"""Loaders for training and for inference."""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.utils.data as torchdata

from vps_d2.d2.embedded.config import CfgNode, configurable
from vps_d2.d2.embedded.data.catalog import DatasetCatalog, MetadataCatalog
from vps_d2.d2.embedded.data.common import AspectRatioGroupedDataset, DatasetFromList, MapDataset
from vps_d2.d2.embedded.data.dataset_mapper import DatasetMapper
from vps_d2.d2.embedded.data.samplers import InferenceSampler, TrainingSampler
from vps_d2.d2.embedded.utils import comm
from vps_d2.d2.embedded.utils.env import seed_all_rng
from vps_d2.io.errors import UserError

__all__ = [
    "build_detection_test_loader",
    "build_detection_train_loader",
    "get_detection_dataset_dicts",
]

_logger = logging.getLogger(__name__)
Mapper = Callable[[Any], Any]


def get_detection_dataset_dicts(
    names: str | Sequence[str], filter_empty: bool = True, check_consistency: bool = True
) -> Any:
    """Return the records of one or several registered data sets, in order.

    Args:
        names: of the data sets.
        filter_empty: leave out images whose annotations are missing or all crowds; data sets
            without annotations are left as they are.
        check_consistency: refuse annotated data sets with different ``thing_classes``.

    Returns:
        list[dict], or a PyTorch data set where that is what was registered.

    Raises:
        KeyError: if a name is not registered.
        ValueError: if the classes differ.
        AssertionError: if no record is there, or none is left.
    """
    names = [names] if isinstance(names, str) else list(names)
    assert names, "no data set is named"
    datasets = [DatasetCatalog.get(name) for name in names]
    if isinstance(datasets[0], torchdata.Dataset):
        return datasets[0] if len(datasets) == 1 else torchdata.ConcatDataset(datasets)
    for name, records in zip(names, datasets, strict=True):
        assert len(records), f"data set {name} is empty"

    records = list(itertools.chain.from_iterable(datasets))
    if "annotations" not in records[0]:
        return records
    if filter_empty:
        before = len(records)
        records = [record for record in records if _has_instances(record["annotations"])]
        _logger.info("Left out %d of %d images without objects", before - len(records), before)
    if check_consistency:
        _check_classes(names)
    assert records, f"no image of {', '.join(names)} has an object"
    return records


def _has_instances(annotations: list[dict[str, Any]]) -> bool:
    return any(annotation.get("iscrowd", 0) == 0 for annotation in annotations)


def _check_classes(names: list[str]) -> None:
    classes = [MetadataCatalog.get(name).get("thing_classes") for name in names]
    for name, other in zip(names, classes, strict=True):
        if other != classes[0]:
            raise ValueError(f"data sets {names[0]} and {name} have different thing_classes")


def _train_loader_from_config(
    cfg: CfgNode, mapper: Mapper | None = None, *, dataset: Any = None, sampler: Any = None
) -> dict[str, Any]:
    if dataset is None:
        dataset = get_detection_dataset_dicts(
            cfg.DATASETS.TRAIN, filter_empty=cfg.DATALOADER.FILTER_EMPTY_ANNOTATIONS
        )
    if sampler is None and not isinstance(dataset, torchdata.IterableDataset):
        if cfg.DATALOADER.SAMPLER_TRAIN != "TrainingSampler":
            raise UserError(
                f"DATALOADER.SAMPLER_TRAIN {cfg.DATALOADER.SAMPLER_TRAIN} is not there without "
                "Detectron2; set it to TrainingSampler."
            )
        # A negative SEED asks for another order in every run.
        sampler = TrainingSampler(len(dataset), seed=cfg.SEED if cfg.SEED >= 0 else None)
    return {
        "dataset": dataset,
        "sampler": sampler,
        "mapper": DatasetMapper(cfg, True) if mapper is None else mapper,
        "total_batch_size": cfg.SOLVER.IMS_PER_BATCH,
        "aspect_ratio_grouping": cfg.DATALOADER.ASPECT_RATIO_GROUPING,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
    }


@configurable(from_config=_train_loader_from_config)
def build_detection_train_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Mapper | None,
    sampler: torchdata.Sampler | None = None,
    total_batch_size: int,
    aspect_ratio_grouping: bool = True,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
    seed: int | None = None,
    **kwargs: Any,
) -> Any:
    """Build an endless loader of training batches; also called as ``(cfg, mapper=None, ...)``.

    Args:
        dataset: records, or a PyTorch data set of either kind.
        mapper: from a record to a sample of the model; with a ``cfg`` it defaults to
            ``DatasetMapper(cfg, is_train=True)``.
        sampler: order of the records, run in the main process; by default a
            :class:`TrainingSampler`. None for an iterable data set.
        total_batch_size: samples in a step over all processes.
        aspect_ratio_grouping: do not mix wide and high images in a batch; the samples must then
            be dicts with "width" and "height".
        num_workers: worker processes of each process; 0 loads in the process itself.
        collate_fn: from the list of samples to a batch; by default the list is the batch.
        seed: base of the workers' seeds.
        kwargs: further arguments of ``torch.utils.data.DataLoader``.

    Returns:
        An iterable of batches of ``total_batch_size / world size`` samples.
    """
    world_size = comm.get_world_size()
    assert total_batch_size > 0 and total_batch_size % world_size == 0, (
        f"a batch of {total_batch_size} cannot be shared by {world_size} processes"
    )
    batch_size = total_batch_size // world_size
    source, order = _prepare(dataset, mapper, sampler, TrainingSampler)
    if seed is not None:
        kwargs["generator"] = torch.Generator().manual_seed(seed)
    kwargs.update(num_workers=num_workers, worker_init_fn=_seed_worker)
    if not aspect_ratio_grouping:
        return torchdata.DataLoader(
            source,
            batch_size=batch_size,
            sampler=order,
            drop_last=True,
            collate_fn=collate_fn or _keep,
            **kwargs,
        )
    samples = torchdata.DataLoader(
        source, batch_size=None, sampler=order, collate_fn=_keep, **kwargs
    )
    batches = AspectRatioGroupedDataset(samples, batch_size)
    return batches if collate_fn is None else MapDataset(batches, collate_fn)


def _test_loader_from_config(
    cfg: CfgNode, dataset_name: str | Sequence[str], mapper: Mapper | None = None
) -> dict[str, Any]:
    return {
        "dataset": get_detection_dataset_dicts(dataset_name, filter_empty=False),
        "mapper": DatasetMapper(cfg, False) if mapper is None else mapper,
        "num_workers": cfg.DATALOADER.NUM_WORKERS,
    }


@configurable(from_config=_test_loader_from_config)
def build_detection_test_loader(
    dataset: list | torchdata.Dataset,
    *,
    mapper: Mapper | None,
    sampler: torchdata.Sampler | None = None,
    batch_size: int = 1,
    num_workers: int = 0,
    collate_fn: Callable[[list], Any] | None = None,
) -> torchdata.DataLoader:
    """Build a loader that gives every sample once; also called as ``(cfg, name, mapper=None)``.

    Args:
        dataset: records, or a PyTorch data set of either kind.
        mapper: from a record to a sample of the model; with a ``cfg`` it defaults to
            ``DatasetMapper(cfg, is_train=False)``.
        sampler: order of the records; by default an :class:`InferenceSampler`.
        batch_size: samples in a batch of each process; the last one may be smaller.
        num_workers: worker processes of each process; 0 loads in the process itself.
        collate_fn: from the list of samples to a batch; by default the list is the batch.
    """
    source, order = _prepare(dataset, mapper, sampler, InferenceSampler)
    return torchdata.DataLoader(
        source,
        batch_size=batch_size,
        sampler=order,
        num_workers=num_workers,
        collate_fn=collate_fn or _keep,
    )


def _prepare(
    dataset: Any, mapper: Mapper | None, sampler: Any, default_sampler: Callable[[int], Any]
) -> tuple[Any, Any]:
    if isinstance(dataset, list):
        dataset = DatasetFromList(dataset, copy=False)
    if mapper is not None:
        dataset = MapDataset(dataset, mapper)
    if isinstance(dataset, torchdata.IterableDataset):
        assert sampler is None, "an iterable data set has its own order and takes no sampler"
    elif sampler is None:
        sampler = default_sampler(len(dataset))
    return dataset, sampler


def _keep(samples: Any) -> Any:
    return samples


def _seed_worker(worker_id: int) -> None:
    # PyTorch gives each worker its own seed; mappers also draw from NumPy's and Python's.
    seed_all_rng(torch.initial_seed() % 2**32)
