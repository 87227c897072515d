import json
import multiprocessing

import numpy as np
import pytest

from tests.helpers import check_dataset, file_size_limit, load_tool, output_in_memory
from vps_d2.data.synthetic import SyntheticOptions, generate_video, video_seed
from vps_d2.data.video import find_videos, frame_indices, read_frames, read_masks
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder

SIZE = ["--height", "32", "--width", "48", "--seed", "7"]
COUNTS = ["--train", "2", "--val", "1", "--unlabeled", "1", "--hidden", "2"]


def make(out, *arguments):
    load_tool("make_synthetic").main(["--out", str(out), *SIZE, *arguments])


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("synthetic") / "vps"
    make(root, *COUNTS, "--workers", "1")
    return root


def test_every_split_is_written_and_numbered_on(data):
    names = {
        split: [folder.name for folder in find_videos(data / split)]
        for split in ("train", "val", "unlabeled", "hidden")
    }
    assert names == {
        "train": ["video_00000", "video_00001"],
        "val": ["video_00002"],
        "unlabeled": ["video_00003"],
        "hidden": ["video_00004", "video_00005"],
    }
    assert not (data / "unlabeled/video_00003/mask.npy").exists()
    assert json.loads((data / "train/video_00001/scene.json").read_text())["objects"]
    assert check_dataset(data) == (6, [])


def test_hidden_videos_stop_at_frame_11_and_have_a_truth_file(data):
    folder = data / "hidden/video_00005"
    assert frame_indices(folder) == list(range(11)) and not (folder / "mask.npy").exists()
    video = generate_video(video_seed(7, 5), SyntheticOptions(height=32, width=48))
    truth = np.load(data / "hidden_truth.npy")
    assert truth.shape == (2, 32, 48) and truth.dtype == np.uint8
    assert np.array_equal(truth[1], video.masks[21])
    assert np.array_equal(read_frames(folder, range(11)), video.frames[:11])


def test_workers_change_nothing(data, tmp_path):
    make(tmp_path / "vps", *COUNTS, "--workers", "2")
    assert contents(tmp_path / "vps") == contents(data)
    assert not multiprocessing.active_children()


def test_a_second_run_completes_the_first(tmp_path, data, capsys):
    make(tmp_path / "vps", *COUNTS, "--workers", "1")
    lost = tmp_path / "vps/train/video_00001"
    lost.rename(lost.with_name(".vps_d2-video_00001-0a1b.tmp"))  # as a killed run leaves it
    (tmp_path / "vps/hidden_truth.npy").unlink()
    make(tmp_path / "vps", *COUNTS, "--workers", "1")
    assert "wrote 1 videos" in capsys.readouterr().out
    assert contents(tmp_path / "vps") == contents(data)


def test_other_settings_are_not_mixed_in(tmp_path, data):
    before = contents(data)
    with pytest.raises(UserError, match="another counts"):
        make(data, "--train", "3")
    assert contents(data) == before


def test_randomized_videos_are_whole_and_differ_from_the_plain_ones(tmp_path, data):
    make(tmp_path / "vps", *COUNTS, "--workers", "1", "--randomize")
    masks = [read_masks(root / "train/video_00000") for root in (tmp_path / "vps", data)]
    assert not np.array_equal(*masks)
    same = [read_masks(root / "val/video_00002") for root in (tmp_path / "vps", data)]
    assert np.array_equal(*same)


def test_two_runs_in_one_folder(tmp_path):
    with claim_folder(tmp_path), pytest.raises(UserError, match="is being written by another run"):
        make(tmp_path, *COUNTS)
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_full_disk_is_a_sentence_and_the_rest_is_made_later(workers, tmp_path, data):
    failing = pytest.raises(UserError, match=r"video_0000\d cannot be written")
    with output_in_memory(), file_size_limit(20_000), failing:
        make(tmp_path / "vps", *COUNTS, "--workers", workers)
    make(tmp_path / "vps", *COUNTS, "--workers", "1")
    assert contents(tmp_path / "vps") == contents(data)


def test_nothing_to_make(tmp_path, capsys):
    with pytest.raises(SystemExit):
        make(tmp_path / "vps")
    assert "nothing to make" in capsys.readouterr().err
    assert not (tmp_path / "vps").exists()


@pytest.mark.parametrize("split, there", [("hidden", "video_7"), ("train", "video_00001")])
def test_videos_of_others_are_not_taken_over(tmp_path, split, there):
    (tmp_path / split / there).mkdir(parents=True)
    with pytest.raises(UserError, match=f"{split} already exists, without a synthetic.json"):
        make(tmp_path, f"--{split}", "1")
    assert list(tmp_path.rglob("*")) == [tmp_path / split, tmp_path / split / there]


def test_a_truth_of_others_is_not_taken_over(tmp_path):
    (tmp_path / "hidden_truth.npy").touch()
    with pytest.raises(UserError, match=r"hidden_truth\.npy already exists"):
        make(tmp_path, "--hidden", "1")


def test_other_splits_of_others_stay(tmp_path, capsys):
    (tmp_path / "val/video_7").mkdir(parents=True)
    make(tmp_path, "--train", "1", "--workers", "1")
    assert "wrote 1 videos" in capsys.readouterr().out


@pytest.mark.parametrize("content", [b"[1]", b"{", b"\xff\xfe\x80"])
def test_settings_that_cannot_be_read_are_a_sentence(tmp_path, content):
    (tmp_path / "synthetic.json").write_bytes(content)
    with pytest.raises(UserError, match="does not hold settings"):
        make(tmp_path, "--train", "1")
