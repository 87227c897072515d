import os

import numpy as np
import pytest

from tests.helpers import load_tool
from vps_d2.data.datasets import load_records, register_tracks
from vps_d2.data.synthetic import (
    SyntheticOptions,
    make_dataset,
    make_tracks,
    simulate,
    simulate_tracks,
)
from vps_d2.data.synthetic import tracks as tracks_module
from vps_d2.data.tracks import COVERED, TRACKS
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder

MAKERS = (lambda out: make_tracks(out, 10**30), lambda out: make_dataset(out, {"val": 10**30}))


def test_a_record_says_what_the_scene_does():
    scene = simulate(5)
    record = simulate_tracks(5, SyntheticOptions())
    count = len(scene.bodies)
    assert record["class_ids"][:count].tolist() == [body.class_id for body in scene.bodies]
    assert not record["class_ids"][count:].any()
    np.testing.assert_allclose(
        record["places"][:count], scene.positions[..., :2].swapaxes(0, 1), atol=1e-5
    )
    lengths = np.linalg.norm(record["orientations"][:count], axis=-1)
    np.testing.assert_allclose(lengths, 1, atol=1e-6)


def test_objects_are_measured_where_they_are():
    scene = simulate(8)
    record = simulate_tracks(8, SyntheticOptions())
    whole = (record["measures"][..., 0] > 0.9) & (record["measures"][..., 8] == 0)
    assert whole.sum() > 10
    apart = record["measures"][..., 1:3] - record["places"][:, :11]
    assert np.median(np.linalg.norm(apart[whole], axis=-1)) < 0.03
    spins = np.abs(record["spins"][: len(scene.bodies), 0])
    assert not spins.any() and (record["masses"][: len(scene.bodies)] > 0.3).all()


def test_points_inside_lie_within_the_object_and_some_outside():
    records = np.stack([simulate_tracks(seed, SyntheticOptions()) for seed in range(6)])
    inside = records["inside"]
    assert set(np.unique(inside)) == {0, 1, COVERED}
    for record in records:
        scene_is_empty = ~(record["inside"] == 1).any(-1)
        spread = np.linalg.norm(np.ptp(record["points"], axis=1), axis=-1)
        assert (spread[~scene_is_empty] > 0.02).all()


def test_jitter_changes_the_motion_and_keeps_the_stage():
    plain, jittered = simulate(3), simulate(3, SyntheticOptions(physics_jitter=1.0))
    np.testing.assert_allclose(plain.positions[0], jittered.positions[0])
    assert [body.class_id for body in plain.bodies] == [body.class_id for body in jittered.bodies]
    assert np.abs(plain.positions[-1] - jittered.positions[-1]).max() > 0.01


def test_more_videos_are_added_to_those_that_are_there(tmp_path, monkeypatch):
    monkeypatch.setattr(tracks_module, "_FILE_SIZE", 2)
    assert make_tracks(tmp_path, 3, seed=1, workers=1) == 3
    first = np.load(tmp_path / "tracks_00000.npy")
    assert first.dtype == TRACKS and len(first) == 2
    assert make_tracks(tmp_path, 3, seed=1, workers=1) == 0
    assert make_tracks(tmp_path, 4, seed=1, workers=1) == 2  # the shard that was not full
    assert np.load(tmp_path / "tracks_00000.npy").tobytes() == first.tobytes()
    assert len(np.load(tmp_path / "tracks_00001.npy")) == 2


def test_tracks_of_other_settings_are_not_mixed(tmp_path):
    make_tracks(tmp_path, 1, seed=1, workers=1)
    with pytest.raises(UserError, match="another seed"):
        make_tracks(tmp_path, 1, seed=2, workers=1)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no pipes with names")
@pytest.mark.parametrize("make", MAKERS)
def test_more_videos_than_there_are_seeds(make, tmp_path):
    with pytest.raises(UserError, match=r"can have 10,000,000 videos, not 10{30}; make several"):
        make(tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "tracks_00000.npy")
    assert tracks_module.count_tracks(tmp_path) == 0
    register_tracks("pipe_of_test_tracks", tmp_path)
    with pytest.raises(UserError, match=r"tracks_00000\.npy: not a track file \(.*not a regular"):
        load_records("pipe_of_test_tracks")


def test_two_runs_in_one_folder(tmp_path):
    with claim_folder(tmp_path), pytest.raises(UserError, match="is being written by another run"):
        make_tracks(tmp_path, 1, workers=1)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("content", [b"cut sho", b""])
def test_a_broken_shard_is_made_anew(tmp_path, content):
    (tmp_path / "tracks_00000.npy").write_bytes(content)
    assert make_tracks(tmp_path, 1, seed=1, workers=1) == 1
    assert len(np.load(tmp_path / "tracks_00000.npy")) == 1


def test_tool(tmp_path, capsys):
    load_tool("make_tracks").main(["--out", str(tmp_path), "--videos", "2", "--workers", "1"])
    assert "made 2 videos" in capsys.readouterr().out


def test_tool_says_how_many_are_there(tmp_path, capsys):
    for videos, text in ((3, "made 3 videos; 3 are"), (2, "made 0 videos; 3 are there now")):
        arguments = ["--out", str(tmp_path), "--videos", str(videos), "--workers", "1"]
        load_tool("make_tracks").main(arguments)
        assert text in capsys.readouterr().out


@pytest.mark.parametrize("jitter", ["nan", "-5", "5", "much"])
def test_jitter_out_of_range_is_a_sentence(tmp_path, capsys, jitter):
    arguments = ["--out", str(tmp_path / "new"), "--videos", "1", "--physics-jitter", jitter]
    with pytest.raises(SystemExit):
        load_tool("make_tracks").main(arguments)
    assert "number from 0 to 1" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
