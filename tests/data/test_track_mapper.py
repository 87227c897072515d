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
    for name in ("places", "velocities", "orientations", "points"):
        np.testing.assert_array_equal(sample[name], true[name])
    np.testing.assert_allclose(sample["outlines"], true["outlines"], atol=1e-5)
    assert sample["class_ids"].dtype == sample["inside"].dtype == torch.int64
    assert sample["points_frame"] == true["points_frame"] and sample["stream_position"] == 7


def test_a_mirrored_video_is_seen_from_the_same_camera(record):
    plain = TracksMapper(is_train=True, noise=0, max_missed=0, flip=0)(record)
    mirrored = TracksMapper(is_train=True, noise=0, max_missed=0, flip=1)(record)
    for name in ("places", "velocities", "points"):
        np.testing.assert_array_equal(mirrored[name] * torch.tensor([-1, 1]), plain[name])
    outlines = mirrored["outlines"]
    assert (outlines[..., 3] <= outlines[..., 5]).all()
    np.testing.assert_array_equal(outlines[..., [1, 3, 5]], -plain["outlines"][..., [1, 5, 3]])


def test_noise_moves_outlines_and_misses_frames_but_finds_none_that_are_not_there(record):
    np.random.seed(0)
    mapper = TracksMapper(is_train=True, noise=1.0, max_missed=0.9, flip=0)
    true = np.load(record["tracks_file_name"])[1]["outlines"][..., 0] > 0
    seen = [mapper(record)["outlines"].numpy()[..., 0] > 0 for _ in range(10)]
    assert not any((each & ~true).any() for each in seen)
    assert min(each.sum() for each in seen) < true.sum()


def test_the_file_is_not_changed(record):
    before = Path(record["tracks_file_name"]).read_bytes()
    TracksMapper(is_train=True, noise=1.0, max_missed=0.5, flip=1)(record)
    assert Path(record["tracks_file_name"]).read_bytes() == before
