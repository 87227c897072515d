import itertools
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pycocotools.mask as mask_util
import pytest
import torch
from PIL import Image

from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode, get_cfg
from vps_d2.d2.data import (
    DatasetCatalog,
    DatasetFromList,
    MapDataset,
    MetadataCatalog,
    build_detection_test_loader,
    build_detection_train_loader,
    get_detection_dataset_dicts,
)
from vps_d2.d2.data import detection_utils as utils
from vps_d2.d2.data import transforms as T
from vps_d2.d2.data.samplers import InferenceSampler, TrainingSampler
from vps_d2.d2.structures import BoxMode
from vps_d2.io.errors import UserError


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
    assert metadata.as_dict()["evaluator_type"] == "vps"
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


class _Numbers(torch.utils.data.IterableDataset):
    def __iter__(self) -> Iterator[int]:
        return iter(range(4))


def test_map_dataset() -> None:
    dataset = MapDataset(DatasetFromList([0, 1, 2]), _double)
    assert len(dataset) == 3
    assert dataset[2] == 4
    assert dataset[1] in (0, 4)  # another sample in the place of one that cannot be mapped
    assert pickle.loads(pickle.dumps(dataset))[2] == 4
    iterable = MapDataset(_Numbers(), _double)
    assert isinstance(iterable, torch.utils.data.IterableDataset)
    assert list(iterable) == [0, 4, 6]


def _first(sampler: Any, count: int) -> list[int]:
    return list(itertools.islice(iter(sampler), count))


def test_training_sampler_is_endless_and_seeded() -> None:
    stream = _first(TrainingSampler(5, seed=7), 15)
    passes = [stream[:5], stream[5:10], stream[10:]]
    assert all(sorted(one) == [0, 1, 2, 3, 4] for one in passes)
    assert len({tuple(one) for one in passes}) > 1
    assert _first(TrainingSampler(5, seed=7), 15) == stream
    assert _first(TrainingSampler(5, seed=8), 15) != stream
    assert _first(TrainingSampler(3, shuffle=False), 7) == [0, 1, 2, 0, 1, 2, 0]
    assert len(_first(TrainingSampler(5), 6)) == 6
    with pytest.raises(TypeError):
        TrainingSampler(5.0)
    with pytest.raises(ValueError):
        TrainingSampler(0)


def test_inference_sampler_gives_every_sample_once() -> None:
    sampler = InferenceSampler(5)
    assert len(sampler) == 5 and list(sampler) == [0, 1, 2, 3, 4]


def test_both_engines_sample_in_the_same_order(twins: Any) -> None:
    theirs, ours = twins("data.samplers")
    one, other = (_first(module.TrainingSampler(9, seed=3), 40) for module in (theirs, ours))
    assert one == other


def _records(count: int = 6) -> list[dict[str, Any]]:
    return [{"image_id": i, "width": 4, "height": 3 + 2 * (i % 2)} for i in range(count)]


def _ids(batch: list[dict[str, Any]]) -> list[int]:
    return [record["image_id"] for record in batch]


@pytest.mark.parametrize("num_workers", [0, 2])
def test_train_loader_keeps_the_sampler_s_order(num_workers: int) -> None:
    loader = build_detection_train_loader(
        dataset=_records(),
        mapper=lambda record: {**record, "mapped": True},
        sampler=TrainingSampler(6, seed=1),
        total_batch_size=4,
        aspect_ratio_grouping=False,
        num_workers=num_workers,
    )
    batches = list(itertools.islice(iter(loader), 4))
    assert [len(batch) for batch in batches] == [4] * 4
    assert batches[0][0]["mapped"]
    order = [number for batch in batches for number in _ids(batch)]
    assert order == _first(TrainingSampler(6, seed=1), 16)


def test_train_loader_groups_by_aspect_ratio() -> None:
    loader = build_detection_train_loader(_records(), mapper=None, total_batch_size=2)
    for batch in itertools.islice(iter(loader), 5):
        assert len(batch) == 2 and len({number % 2 for number in _ids(batch)}) == 1


def test_train_loader_collates() -> None:
    arguments: dict[str, Any] = {"mapper": None, "total_batch_size": 2, "collate_fn": _ids}
    for grouping in (True, False):
        loader = build_detection_train_loader(
            _records(), aspect_ratio_grouping=grouping, **arguments
        )
        assert all(isinstance(number, int) for number in next(iter(loader)))


def test_train_loader_of_an_iterable_dataset() -> None:
    loader = build_detection_train_loader(
        _Numbers(), mapper=_double, total_batch_size=2, aspect_ratio_grouping=False
    )
    assert list(loader) == [[0, 4]]  # 6 alone makes no batch
    with pytest.raises(AssertionError):
        build_detection_train_loader(
            _Numbers(), mapper=None, sampler=TrainingSampler(4), total_batch_size=2
        )


def test_test_loader_gives_every_sample_once() -> None:
    loader = build_detection_test_loader(_records(5), mapper=lambda record: record)
    assert len(loader) == 5
    assert [_ids(batch) for batch in loader] == [[0], [1], [2], [3], [4]]
    loader = build_detection_test_loader(_records(5), mapper=None, batch_size=2, collate_fn=_ids)
    assert list(loader) == [[0, 1], [2, 3], [4]]


def _cfg(name: str) -> CfgNode:
    cfg = get_cfg()
    cfg.DATASETS.TRAIN = (name,)
    cfg.DATASETS.TEST = (name,)
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.DATALOADER.ASPECT_RATIO_GROUPING = False
    cfg.SOLVER.IMS_PER_BATCH = 3
    cfg.SEED = 5
    return cfg


def test_loaders_from_a_configuration(names: list[str]) -> None:
    DatasetCatalog.register(names[0], _records)
    cfg = _cfg(names[0])
    loader = build_detection_train_loader(cfg, mapper=lambda record: record)
    order = [number for batch in itertools.islice(iter(loader), 4) for number in _ids(batch)]
    assert order == _first(TrainingSampler(6, seed=5), 12)
    mine = TrainingSampler(6, shuffle=False)
    loader = build_detection_train_loader(cfg, mapper=lambda record: record, sampler=mine)
    assert _ids(next(iter(loader))) == [0, 1, 2]
    loader = build_detection_train_loader(
        cfg, dataset=_records(2), mapper=lambda record: record, total_batch_size=1
    )
    assert len(next(iter(loader))) == 1
    loader = build_detection_test_loader(cfg, names[0], mapper=lambda record: record)
    assert [_ids(batch) for batch in loader] == [[0], [1], [2], [3], [4], [5]]


def test_unknown_sampler_is_an_error(names: list[str]) -> None:
    DatasetCatalog.register(names[0], _records)
    cfg = _cfg(names[0])
    cfg.DATALOADER.SAMPLER_TRAIN = "MySampler"
    with pytest.raises((UserError, ValueError), match="MySampler"):
        build_detection_train_loader(cfg, mapper=lambda record: record)


def _annotation(**more: Any) -> dict[str, Any]:
    box = [2.0, 1.0, 6.0, 4.0]
    return {"bbox": box, "bbox_mode": BoxMode.XYXY_ABS, "category_id": 3, "iscrowd": 0, **more}


def _rle() -> dict[str, Any]:
    mask = np.zeros((6, 8), dtype=np.uint8)
    mask[1:4, 2:6] = 1
    return mask_util.encode(np.asfortranarray(mask))


def test_dataset_dicts(names: list[str]) -> None:
    one = [{"image_id": 0, "annotations": [_annotation()]}, {"image_id": 1, "annotations": []}]
    two = [{"image_id": 2, "annotations": [_annotation(iscrowd=1)]}]
    DatasetCatalog.register(names[0], lambda: one)
    DatasetCatalog.register(names[1], lambda: two)
    assert _ids(get_detection_dataset_dicts(names)) == [0]
    assert _ids(get_detection_dataset_dicts(names, filter_empty=False)) == [0, 1, 2]
    assert _ids(get_detection_dataset_dicts(names[0], filter_empty=False)) == [0, 1]
    with pytest.raises(AssertionError):
        get_detection_dataset_dicts(names[1])


def test_dataset_dicts_of_what_does_not_fit(names: list[str]) -> None:
    records = [{"image_id": 0, "annotations": [_annotation()]}]
    DatasetCatalog.register(names[0], lambda: records)
    DatasetCatalog.register(names[1], lambda: records)
    MetadataCatalog.get(names[0]).thing_classes = ["a", "b", "c", "d"]
    MetadataCatalog.get(names[1]).thing_classes = ["b", "a", "c", "d"]
    with pytest.raises(ValueError, match="thing_classes"):
        get_detection_dataset_dicts(names)
    with pytest.raises(KeyError):
        get_detection_dataset_dicts("d2_test_unregistered")


def test_empty_dataset_is_an_error(names: list[str]) -> None:
    DatasetCatalog.register(names[0], list)
    with pytest.raises((AssertionError, IndexError)):
        get_detection_dataset_dicts(names[0])


def test_read_image(tmp_path: Path) -> None:
    pixels = np.arange(6 * 8 * 3, dtype=np.uint8).reshape(6, 8, 3)
    path = str(tmp_path / "image.png")
    Image.fromarray(pixels).save(path)
    assert (utils.read_image(path, "RGB") == pixels).all()
    assert (utils.read_image(path, "BGR") == pixels[:, :, ::-1]).all()
    assert utils.read_image(path, "L").shape == (6, 8, 1)
    assert utils.read_image(path).dtype == np.uint8


def test_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # a camera held on its side
    path = str(tmp_path / "image.jpg")
    Image.new("RGB", (8, 6)).save(path, exif=exif)
    assert utils.read_image(path, "RGB").shape == (8, 6, 3)


def test_annotations_are_transformed() -> None:
    flipped = utils.transform_instance_annotations(
        _annotation(segmentation=_rle()), [T.HFlipTransform(8)], (6, 8)
    )
    assert np.asarray(flipped["bbox"]).tolist() == [2, 1, 6, 4]
    assert flipped["segmentation"].tolist() == mask_util.decode(_rle())[:, ::-1].tolist()

    resize = T.Resize((12, 8)).get_transform(np.zeros((6, 8, 3), dtype=np.uint8))
    wide = _annotation(
        bbox=[-1.0, 2.0, 4.0, 9.0],
        bbox_mode=BoxMode.XYWH_ABS,
        segmentation=[[0.0, 0, 4, 0, 4, 3]],
    )
    moved = utils.transform_instance_annotations(wide, T.TransformList([resize]), (12, 8))
    assert np.asarray(moved["bbox"]).tolist() == [0, 4, 3, 12]
    assert moved["bbox_mode"] == BoxMode.XYXY_ABS
    assert np.asarray(moved["segmentation"][0]).tolist() == [0, 0, 4, 0, 4, 6]
    with pytest.raises(ValueError):
        utils.transform_instance_annotations(_annotation(segmentation=3), [], (6, 8))


def test_annotations_become_instances() -> None:
    square = [[2.0, 1, 6, 1, 6, 4, 2, 4]]
    segmentations = [_rle(), mask_util.decode(_rle()), square]
    annotations = [_annotation(segmentation=segmentation) for segmentation in segmentations]
    instances = utils.annotations_to_instances(annotations, (6, 8), mask_format="bitmask")
    assert instances.image_size == (6, 8) and len(instances) == 3
    assert instances.gt_boxes.tensor.tolist() == [[2, 1, 6, 4]] * 3
    assert instances.gt_classes.tolist() == [3, 3, 3]
    assert instances.gt_classes.dtype == torch.int64
    assert instances.gt_masks.tensor.sum(dim=(1, 2)).tolist() == [12, 12, 12]
    boxes_only = utils.annotations_to_instances([_annotation()], (6, 8))
    assert not boxes_only.has("gt_masks")


def test_no_annotations_become_no_instances() -> None:
    instances = utils.annotations_to_instances([], (6, 8), mask_format="bitmask")
    assert len(instances) == 0 and instances.gt_boxes.tensor.shape == (0, 4)
    assert instances.gt_classes.dtype == torch.int64
    assert len(utils.filter_empty_instances(instances)) == 0


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 has polygon masks")
def test_embedded_asks_for_bitmasks() -> None:
    with pytest.raises(UserError, match="MASK_FORMAT"):
        utils.annotations_to_instances([_annotation(segmentation=_rle())], (6, 8))


def test_empty_instances_are_filtered() -> None:
    nothing = np.zeros((6, 8), dtype=np.uint8)
    annotations = [
        _annotation(segmentation=_rle()),
        _annotation(segmentation=nothing),
        _annotation(segmentation=_rle(), bbox=[3.0, 3.0, 3.0, 5.0]),
    ]
    instances = utils.annotations_to_instances(annotations, (6, 8), mask_format="bitmask")
    kept, mask = utils.filter_empty_instances(instances, return_mask=True)
    assert mask.tolist() == [True, False, False] and len(kept) == 1
    assert len(utils.filter_empty_instances(instances, by_mask=False)) == 2
    assert len(utils.filter_empty_instances(instances, by_box=False)) == 2


@pytest.fixture
def image_records(tmp_path: Path) -> list[dict[str, Any]]:
    """One record of a real file, with a mask."""
    path = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    annotations = [_annotation(segmentation=_rle()), _annotation(iscrowd=1)]
    record = {"file_name": str(path), "height": 6, "width": 8, "annotations": annotations}
    return [{"image_id": 0, **record}]


def test_default_mapper(names: list[str], image_records: list[dict[str, Any]]) -> None:
    DatasetCatalog.register(names[0], lambda: image_records)
    cfg = _cfg(names[0])
    cfg.SOLVER.IMS_PER_BATCH = 1
    cfg.MODEL.MASK_ON = True
    cfg.INPUT.MASK_FORMAT = "bitmask"
    cfg.INPUT.MIN_SIZE_TRAIN = (12,)
    cfg.INPUT.MIN_SIZE_TEST = 0
    (sample,) = next(iter(build_detection_train_loader(cfg)))
    assert sample["image"].shape == (3, 12, 16) and sample["image"].dtype == torch.uint8
    assert "annotations" not in sample and len(sample["instances"]) == 1
    assert sample["instances"].gt_boxes.tensor.tolist() == [[4, 2, 12, 8]]
    assert sample["instances"].gt_masks.tensor.sum() == 48
    (sample,) = next(iter(build_detection_test_loader(cfg, names[0])))
    expected = utils.read_image(image_records[0]["file_name"], "BGR").transpose(2, 0, 1)
    assert (sample["image"].numpy() == expected).all()
    assert "instances" not in sample and sample["height"] == 6


def test_image_of_another_size_than_its_record(
    names: list[str], image_records: list[dict[str, Any]]
) -> None:
    image_records[0]["width"] = 9
    DatasetCatalog.register(names[0], lambda: image_records)
    with pytest.raises(ValueError, match=r"image\.png"):
        next(iter(build_detection_test_loader(_cfg(names[0]), names[0])))
