from pathlib import Path

import numpy as np
import pytest
import torch

from vps_d2.data.synthetic import SyntheticOptions, simulate_tracks
from vps_d2.data.track_mapper import TracksMapper


@pytest.fixture
def record(tmp_path):
    path = tmp_path / "tracks_00000.npy"
    np.save(path, np.stack([simulate_tracks(seed, SyntheticOptions()) for seed in (1, 2)]))
    return {"tracks_file_name": str(path), "row": 1, "stream_position": 7}


def test_without_noise_the_record_comes_as_it_is(record):
    sample = TracksMapper(is_train=True, noise=0, max_missed=0, flip=0)(record)
    true = np.load(record["tracks_file_name"])[1]
    for name in ("places", "velocities", "orientations", "spins", "masses", "points"):
        np.testing.assert_array_equal(sample[name], true[name])
    np.testing.assert_allclose(sample["measures"], true["measures"], atol=1e-5)
    assert sample["class_ids"].dtype == sample["inside"].dtype == torch.int64
    assert sample["points_frame"] == true["points_frame"] and sample["stream_position"] == 7


def test_a_mirrored_video_is_seen_from_the_same_camera(record):
    plain = TracksMapper(is_train=True, noise=0, max_missed=0, flip=0)(record)
    mirrored = TracksMapper(is_train=True, noise=0, max_missed=0, flip=1)(record)
    for name in ("places", "velocities", "points"):
        np.testing.assert_array_equal(mirrored[name] * torch.tensor([-1, 1]), plain[name])
    signs = torch.tensor([1, -1, 1, 1, -1, 1, -1, 1, 1, 1])
    np.testing.assert_array_equal(mirrored["measures"] * signs, plain["measures"])


def test_noise_moves_places_and_misses_frames_but_finds_none_that_are_not_there(record):
    np.random.seed(0)
    mapper = TracksMapper(is_train=True, noise=1.0, max_missed=0.9, flip=0)
    true = np.load(record["tracks_file_name"])[1]["measures"][..., 0] > 0
    seen = [mapper(record)["measures"].numpy()[..., 0] > 0 for _ in range(10)]
    assert not any((each & ~true).any() for each in seen)
    assert min(each.sum() for each in seen) < true.sum()


def test_noise_is_as_large_as_what_was_measured_and_is_told(record):
    np.random.seed(0)
    mapper = TracksMapper(is_train=True, noise=1.0, max_missed=0, flip=0)
    true = np.load(record["tracks_file_name"])[1]["measures"]
    seen = true[..., 0] > 0
    samples = np.stack([mapper(record)["measures"].numpy() for _ in range(60)])
    moved = np.abs(samples[:, seen, 1] - true[seen, 1]) / np.sqrt(true[seen, 5])
    assert 0.1 < np.median(moved) < 1
    assert (samples[:, seen, 5] >= true[seen, 5]).all()


def test_the_file_is_not_changed(record):
    before = Path(record["tracks_file_name"]).read_bytes()
    TracksMapper(is_train=True, noise=1.0, max_missed=0.5, flip=1)(record)
    assert Path(record["tracks_file_name"]).read_bytes() == before
