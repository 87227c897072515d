"""Loaders: order, seeds, resuming, and errors of worker processes."""

import multiprocessing
import os
import pickle
from itertools import islice
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils import data as torchdata

from tests.conftest import write_tiny_videos
from vps_d2.d2.data import DatasetCatalog
from vps_d2.data import register_videos, video
from vps_d2.data.loader import (
    CheckedLoader,
    SafeMapper,
    SampleStream,
    StreamSampler,
    build_test_loader,
    build_train_loader,
)
from vps_d2.io.errors import UserError


def draw(record):
    """A mapper that shows the random number its sample got."""
    return {**record, "draw": int(np.random.randint(1 << 30))}


def take(loader, count):
    batches = [sample for batch in islice(loader, count) for sample in batch]
    return [(s["stream_position"], s.get("image_id"), s["draw"]) for s in batches]


def test_every_epoch_is_a_permutation():
    stream = SampleStream([{"n": n} for n in range(5)], seed=1)
    epochs = [[stream[5 * e + k]["n"] for k in range(5)] for e in range(6)]
    assert all(sorted(epoch) == list(range(5)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) > 1
    assert stream[7] == {"n": epochs[1][2], "stream_position": 7} and len(stream) == 5


def test_processes_share_the_stream():
    first = list(islice(StreamSampler(6, 0, 2), 3))
    second = list(islice(StreamSampler(6, 1, 2), 3))
    assert (first, second) == ([6, 8, 10], [7, 9, 11])


def test_a_resumed_run_reads_the_same_with_any_number_of_workers(cfg, tiny_names):
    cfg.DATASETS.TRAIN = (tiny_names["frames"],)
    unbroken = take(build_train_loader(cfg, mapper=draw), 8)
    assert [position for position, _, _ in unbroken] == list(range(24))
    assert take(build_train_loader(cfg, start_iter=5, mapper=draw), 3) == unbroken[15:]
    cfg.DATALOADER.NUM_WORKERS = 2
    assert take(build_train_loader(cfg, mapper=draw), 8) == unbroken
    assert len({number for _, _, number in unbroken}) == 24
    cfg.DATALOADER.NUM_WORKERS = 0
    cfg.SEED = 4
    assert take(build_train_loader(cfg, mapper=draw), 8) != unbroken


def test_the_loader_leaves_the_global_generator_alone(cfg):
    np.random.seed(5)
    expected = np.random.randint(1 << 30)
    np.random.seed(5)
    next(iter(build_train_loader(cfg)))
    assert np.random.randint(1 << 30) == expected


def test_data_sets_are_taken_together(cfg, tiny_names):
    cfg.DATASETS.TRAIN = (tiny_names["train"], tiny_names["unlabeled"])
    cfg.SOLVER.IMS_PER_BATCH = 4
    batch = next(iter(build_train_loader(cfg)))
    assert sorted(sample["video_id"] for sample in batch) == [0, 1, 4, 5]
    assert batch[0]["frames"].shape == (11, 3, 32, 48)


def test_a_data_set_counts_as_often_as_it_is_told_to(cfg, tiny_names):
    cfg.DATASETS.TRAIN = (tiny_names["train"], tiny_names["unlabeled"])
    cfg.DATASETS.REPEATS = (1, 3)
    cfg.SOLVER.IMS_PER_BATCH = 8
    batch = next(iter(build_train_loader(cfg)))
    assert sorted(sample["video_id"] for sample in batch) == [0, 1, 4, 4, 4, 5, 5, 5]


@pytest.mark.parametrize("workers", [0, 1])
def test_data_sets_of_another_kind_are_a_sentence(cfg, tiny_names, workers):
    cfg.INPUT.MAPPER = "FrameMapper"
    cfg.DATASETS.TRAIN = (tiny_names["train"],)
    cfg.DATALOADER.NUM_WORKERS = workers
    with pytest.raises(UserError, match=r"FrameMapper finds no 'file_name' .* fit INPUT.MAPPER"):
        next(iter(build_train_loader(cfg)))
    assert not multiprocessing.active_children()


def test_a_fault_of_the_mapper_itself_is_none_of_the_data(cfg):
    def look_up(record):
        return {"a table": 1}["no key of it"]

    with pytest.raises(KeyError, match="no key of it"):
        next(iter(build_train_loader(cfg, mapper=look_up)))


def test_no_seed_draws_one(cfg):
    cfg.SEED = -1
    assert len(next(iter(build_train_loader(cfg, mapper=draw)))) == 3


def test_test_loader_keeps_the_order(cfg, tiny_names):
    loader = build_test_loader(cfg, tiny_names["val"])
    assert len(loader) == 2
    assert [[sample["video_id"] for sample in batch] for batch in loader] == [[2], [3]]
    assert torch.equal(next(iter(loader))[0]["target_valid"], torch.ones(11, dtype=torch.bool))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_frame_damaged_later_stops_with_the_same_words(cfg, tmp_path, workers):
    root = write_tiny_videos(tmp_path / "vps")
    register_videos("tiny_damaged", root / "val")
    cfg.DATASETS.TRAIN = ("tiny_damaged",)
    cfg.DATALOADER.NUM_WORKERS = workers
    path = video.frame_path(root / "val" / "video_00002", 7)
    content = path.read_bytes()
    middle = len(content) // 2
    path.write_bytes(content[:middle] + bytes(8) + content[middle + 8 :])
    with pytest.raises(UserError) as error:
        next(iter(build_train_loader(cfg)))
    DatasetCatalog.remove("tiny_damaged")
    assert str(error.value) == f"{path}: unreadable PNG; replace it."


def test_user_errors(cfg, tmp_path):
    root = write_tiny_videos(tmp_path / "vps")
    register_videos("tiny_missing", root / "val")
    video.frame_path(root / "val" / "video_00002", 7).unlink()
    cfg.DATASETS.TRAIN = ("tiny_missing",)
    with pytest.raises(UserError, match=r"image_7\.png: missing frame"):
        build_train_loader(cfg)
    with pytest.raises(UserError, match=r"image_7\.png: missing frame"):
        build_test_loader(cfg, "tiny_missing")
    cfg.DATASETS.SKIP_FAULTY = True
    batch = next(iter(build_train_loader(cfg)))
    assert {sample["video_id"] for sample in batch} == {3}
    assert len(build_test_loader(cfg, "tiny_missing")) == 1
    DatasetCatalog.remove("tiny_missing")
    cfg.DATASETS.TRAIN = ()
    with pytest.raises(UserError, match=r"DATASETS\.TRAIN is empty"):
        build_train_loader(cfg)


def _die(record: Any) -> Any:
    os._exit(9)


def test_a_worker_that_dies_is_a_sentence() -> None:
    loader = CheckedLoader(torchdata.DataLoader([1, 2], num_workers=1, collate_fn=_die))
    with pytest.raises(UserError, match=r"loader died \(DataLoader worker .*NUM_WORKERS 0"):
        list(loader)


def test_a_mapper_that_does_not_fit_the_architecture_is_a_sentence() -> None:
    class Mapper:
        def __call__(self, record: Any) -> dict:
            return {"frames": record["a"]}

    sample = pickle.loads(pickle.dumps(SafeMapper(Mapper(), None)({"a": 3})))
    assert sample == {"frames": 3} and sample.get("image") is None
    with pytest.raises(UserError, match=r'no "image" in the output of Mapper \(frames\); set'):
        sample["image"]
