import itertools
import pickle
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.d2.engine import engine_module
from vps_d2.d2 import ENGINE
from vps_d2.d2.data import (
    DatasetCatalog,
    DatasetFromList,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
)
from vps_d2.d2.data.samplers import InferenceSampler
from vps_d2.io.errors import UserError

MapDataset = engine_module("data").MapDataset


@pytest.fixture
def names() -> Iterator[list[str]]:
    """Two names under which a test can register data sets, forgotten afterwards."""
    taken = ["d2_test_a", "d2_test_b"]
    yield taken
    for name in taken:
        for catalog in (DatasetCatalog, MetadataCatalog):
            if name in catalog:
                catalog.remove(name)


def test_catalogs(names: list[str]) -> None:
    DatasetCatalog.register(names[0], lambda: [{"image_id": 1}])
    assert DatasetCatalog.get(names[0]) == [{"image_id": 1}]
    assert names[0] in DatasetCatalog.list()
    with pytest.raises(AssertionError):
        DatasetCatalog.register(names[0], list)
    with pytest.raises(KeyError, match="d2_test_b"):
        DatasetCatalog.get(names[1])


def test_metadata(names: list[str]) -> None:
    metadata = MetadataCatalog.get(names[0]).set(thing_classes=["a"], evaluator_type="vps")
    assert MetadataCatalog.get(names[0]) is metadata
    assert metadata.name == names[0] and metadata.thing_classes == ["a"]
    assert metadata.get("evaluator_type") == "vps"
    assert metadata.get("json_file", "none") == "none"
    metadata.thing_classes = ["a"]
    with pytest.raises(AssertionError):
        metadata.thing_classes = ["b"]
    with pytest.raises(AttributeError, match="stuff_classes"):
        _ = metadata.stuff_classes


def test_dataset_from_list() -> None:
    items = [{"a": [1]}, {"a": [2]}, {"a": [3]}]
    for serialize in (True, False):
        dataset = DatasetFromList(items, serialize=serialize)
        assert len(dataset) == 3 and dataset[2] == {"a": [3]}
        dataset[0]["a"].append(5)
        assert dataset[0] == {"a": [1]}
    assert DatasetFromList(items, copy=False, serialize=False)[1] is items[1]


def _double(number: int) -> int | None:
    return None if number == 1 else 2 * number


def test_map_dataset() -> None:
    dataset = MapDataset(DatasetFromList([0, 1, 2]), _double)
    assert len(dataset) == 3
    assert dataset[2] == 4
    assert dataset[1] in (0, 4)  # another sample instead of one that cannot be mapped
    assert pickle.loads(pickle.dumps(dataset))[2] == 4


def test_inference_sampler_gives_every_sample_once() -> None:
    sampler = InferenceSampler(5)
    assert len(sampler) == 5 and list(sampler) == [0, 1, 2, 3, 4]


def _records(count: int = 6) -> list[dict[str, Any]]:
    return [{"image_id": i, "width": 4, "height": 3 + 2 * (i % 2)} for i in range(count)]


def _ids(batch: list[dict[str, Any]]) -> list[int]:
    return [record["image_id"] for record in batch]


class _Backwards(torch.utils.data.Sampler):
    def __iter__(self) -> Iterator[int]:
        return itertools.cycle(range(5, -1, -1))


def _map(record: dict[str, Any]) -> dict[str, Any]:
    return {**record, "mapped": True}


@pytest.mark.parametrize("num_workers", [0, 2])
def test_train_loader_keeps_the_sampler_s_order(num_workers: int) -> None:
    loader = build_detection_train_loader(
        _records(),
        mapper=_map,
        sampler=_Backwards(),
        total_batch_size=4,
        aspect_ratio_grouping=False,
        num_workers=num_workers,
    )
    batches = list(itertools.islice(iter(loader), 3))
    assert [_ids(batch) for batch in batches] == [[5, 4, 3, 2], [1, 0, 5, 4], [3, 2, 1, 0]]
    assert batches[0][0]["mapped"]


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 groups by aspect ratio")
def test_grouping_by_aspect_ratio_is_refused() -> None:
    with pytest.raises(UserError, match="aspect_ratio_grouping=False"):
        build_detection_train_loader(
            _records(), mapper=_map, sampler=_Backwards(), total_batch_size=2
        )


@pytest.mark.parametrize(("batch_size", "expected"), [(1, [[0], [1], [2]]), (2, [[0, 1], [2]])])
def test_test_loader_gives_every_sample_once(batch_size: int, expected: list) -> None:
    records = _records(3)
    loader = build_detection_test_loader(
        records, mapper=_map, sampler=InferenceSampler(len(records)), batch_size=batch_size
    )
    assert len(loader) == len(expected)
    assert [_ids(batch) for batch in loader] == expected


def _noise(record: dict[str, Any]) -> float:
    return float(np.random.rand())


def test_worker_processes_draw_different_numbers() -> None:
    loader = build_detection_train_loader(
        _records(),
        mapper=_noise,
        sampler=_Backwards(),
        total_batch_size=2,
        aspect_ratio_grouping=False,
        num_workers=2,
    )
    drawn = [number for batch in itertools.islice(iter(loader), 4) for number in batch]
    assert len(set(drawn)) == 8
