import shutil

import numpy as np
import pytest
import torch

import tests.pipeline_stubs  # noqa: F401  registers the stubs
from tests.conftest import write_tiny_videos
from tests.helpers import check_dataset, file_size_limit, load_tool, output_in_memory
from vps_d2.d2.structures import Instances
from vps_d2.data.video import frame_path, read_frames, read_masks, write_video
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder
from vps_d2.io.tars import pack_folder, unpacked
from vps_d2.modeling.outputs import confidence

CONFIG = """
MODEL: {META_ARCHITECTURE: StubSegmenter, DEVICE: cpu, WEIGHTS: %s}
INPUT: {MAPPER: FrameMapper}
VERSION: 2
"""


@pytest.fixture
def label(tmp_path):
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "segmenter.pth")
    (tmp_path / "segmenter.yaml").write_text(CONFIG % (tmp_path / "segmenter.pth"))

    def run(source, out, *arguments):
        load_tool("label_unlabeled").main(
            [
                *("--config-file", str(tmp_path / "segmenter.yaml")),
                *("--input", str(source), "--output", str(out), *map(str, arguments)),
            ]
        )

    return run


def contents(root):
    return {str(p.relative_to(root)): p.read_bytes() for p in root.rglob("*") if p.is_file()}


def test_the_result_is_a_labeled_split_and_the_data_stays(tiny_videos, tmp_path, label, capsys):
    source, out = tiny_videos / "unlabeled", tmp_path / "labeled"
    before = contents(source)
    label(source, out, "--threshold", 0)
    assert "2 videos labeled, 0 left out" in capsys.readouterr().out
    assert contents(source) == before
    assert check_dataset(out) == (2, [])
    for folder in source.iterdir():
        frames, masks = read_frames(out / folder.name, range(22)), read_masks(out / folder.name)
        assert np.array_equal(frames, read_frames(folder, range(22)))
        assert np.array_equal(masks == 2, frames[..., 1] > 150)


def test_a_second_run_does_the_rest(tiny_videos, tmp_path, label):
    source, out = tiny_videos / "unlabeled", tmp_path / "labeled"
    label(source, out, "--threshold", 0)
    whole = contents(out)
    lost = out / "video_00005"
    lost.rename(out / ".vps_d2-video_00005-0a1b.tmp")  # as a killed run leaves it
    label(source, out, "--threshold", 0)
    assert contents(out) == whole


@pytest.mark.parametrize("threshold", [0, 1])  # no video is left out, and all are
def test_shards_share_the_work(threshold, tiny_videos, tmp_path, label):
    source = tiny_videos / "unlabeled"
    label(source, tmp_path / "whole", "--threshold", threshold)
    for index in (1, 0):
        label(source, tmp_path / "parts", "--threshold", threshold, "--shard", f"{index}/2")
    label(source, tmp_path / "parts", "--threshold", threshold)  # joins them
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")


def test_two_runs_in_one_folder(tiny_videos, tmp_path, label):
    source, out = tiny_videos / "unlabeled", tmp_path / "labeled"
    with claim_folder(out), pytest.raises(UserError, match="labeled is being written by another"):
        label(source, out, "--threshold", 0)
    with claim_folder(out, "shard_1_of_2"):
        label(source, out, "--threshold", 0, "--shard", "0/2")
        with pytest.raises(UserError, match=r"\(shard 1 of 2\) is being written by another"):
            label(source, out, "--threshold", 0, "--shard", "1/2")


def test_a_full_disk_is_a_sentence(tiny_videos, tmp_path, label):
    source, out = tiny_videos / "unlabeled", tmp_path / "labeled"
    failing = pytest.raises(UserError, match="video_00004 cannot be written")
    with output_in_memory(), file_size_limit(20_000), failing:
        label(source, out, "--threshold", 0)
    assert [path.name for path in out.iterdir() if path.is_dir()] == []


def test_unsure_videos_are_left_out_and_listed_once(tiny_videos, tmp_path, label, capsys):
    out = tmp_path / "labeled"
    for _ in range(2):
        label(tiny_videos / "unlabeled", out, "--threshold", 1)
    assert "0 videos labeled, 2 left out" in capsys.readouterr().out
    lines = (out / "left_out.txt").read_text().splitlines()
    assert sorted(line.split()[0] for line in lines) == ["video_00004", "video_00005"]


def test_a_video_in_which_nothing_is_found_is_left_out(tmp_path, label):
    write_video(tmp_path / "dark" / "video_00001", np.zeros((22, 32, 48, 3), np.uint8))
    label(tmp_path / "dark", tmp_path / "labeled")
    assert (tmp_path / "labeled" / "left_out.txt").read_text() == "video_00001 0.000\n"
    assert not (tmp_path / "labeled" / "video_00001").exists()


def test_another_model_or_threshold_does_not_go_on(tiny_videos, tmp_path, label):
    source, out = tiny_videos / "unlabeled", tmp_path / "labeled"
    label(source, out, "--threshold", 0)
    whole = contents(out)
    with pytest.raises(UserError, match=r"results of another threshold \(0\.0, not 0\.5\)"):
        label(source, out, "--threshold", 0.5)
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "other.pth")
    with pytest.raises(UserError, match=r"results of another segmenter"):
        label(source, out, "--threshold", 0, "MODEL.WEIGHTS", tmp_path / "other.pth")
    (tmp_path / "segmenter.pth").rename(tmp_path / "moved.pth")
    label(source, out, "--threshold", 0, "MODEL.WEIGHTS", tmp_path / "moved.pth")
    assert contents(out) == whole
    (out / "labels.json").write_text("{")
    with pytest.raises(UserError, match=r"labels\.json does not hold settings"):
        label(source, out, "MODEL.WEIGHTS", tmp_path / "moved.pth")


def test_no_weights_and_other_models_are_sentences(tiny_videos, tmp_path, label):
    with pytest.raises(UserError, match="names no weights"):
        label(tiny_videos / "unlabeled", tmp_path / "labeled", "MODEL.WEIGHTS", "")
    with pytest.raises(UserError, match="StubPredictor, whose task is frames, not segmentation"):
        label(
            tiny_videos / "unlabeled",
            tmp_path / "labeled",
            *("MODEL.META_ARCHITECTURE", "StubPredictor"),
        )


@pytest.mark.parametrize("threshold", ["nan", "2", "-0.1", "high"])
def test_threshold_is_a_share(threshold, tiny_videos, tmp_path, label, capsys):
    with pytest.raises(SystemExit):
        label(tiny_videos / "unlabeled", tmp_path / "labeled", "--threshold", threshold)
    assert f"{threshold} is not a number from 0 to 1" in capsys.readouterr().err


def test_never_over_the_data(tiny_videos, label):
    for out in (tiny_videos / "unlabeled", tiny_videos / "unlabeled" / "labeled"):
        with pytest.raises(UserError, match="is inside the folder of the input videos"):
            label(tiny_videos / "unlabeled", out)


def test_tar_files_become_tar_files_of_the_same_bytes(tiny_videos, tmp_path, label, capsys):
    shards, out = tmp_path / "shards", tmp_path / "labeled"
    label(tiny_videos / "unlabeled", out, "--threshold", 0)
    for name in ("a", "b"):
        shards.mkdir(exist_ok=True)
        pack_folder(tiny_videos / "unlabeled", shards / f"{name}.tar")
    label(shards, tmp_path / "whole", "--threshold", 0)
    assert "whole/b.tar: 2 videos labeled, 0 left out" in capsys.readouterr().out
    for index in (0, 1):
        label(shards, tmp_path / "parts", "--threshold", 0, "--shard", f"{index}/2")
    assert contents(tmp_path / "parts") == contents(tmp_path / "whole")
    with unpacked(tmp_path / "whole" / "a.tar") as folder:
        there = contents(folder)
    assert there == contents(out)  # the links are files now
    with pytest.raises(UserError, match="results of another threshold"):
        label(shards, tmp_path / "whole", "--threshold", 0.5)
    (tmp_path / "whole" / "b.tar").unlink()
    (shards / "b.tar").write_bytes((shards / "b.tar").read_bytes()[:5000])
    with pytest.raises(UserError, match=r"b\.tar is damaged or cut off"):
        label(shards, tmp_path / "whole", "--threshold", 0)
    shutil.copytree(tiny_videos / "unlabeled", shards, dirs_exist_ok=True)
    with pytest.raises(UserError, match="holds tar files beside folders of videos"):
        label(shards, tmp_path / "whole", "--threshold", 0)


@pytest.mark.parametrize("damaged", [False, True])
def test_faults_stop_or_are_passed_over(damaged, tmp_path, label, capsys):
    source = write_tiny_videos(tmp_path / "vps") / "unlabeled"
    path = frame_path(source / "video_00004", 3)
    if damaged:
        path.write_bytes(path.read_bytes()[:60])  # its head is whole
        reason = "unreadable PNG"
    else:
        path.unlink()
        reason = r"missing frame.*--skip-faulty"
    with pytest.raises(UserError, match=reason):
        label(source, tmp_path / "labeled")
    label(source, tmp_path / "labeled", "--skip-faulty", "--threshold", 0)
    assert "1 videos labeled" in capsys.readouterr().out


def test_a_folder_without_videos_has_nothing_to_skip(tmp_path, label):
    with pytest.raises(UserError, match=r"not a folder \(give .*\); correct the data[^,]*\.$"):
        label(tmp_path / "nowhere", tmp_path / "labeled")


def test_confidence_of_both_kinds_of_segmenter():
    logits = torch.zeros(49, 2, 2)
    logits[0] = 50
    assert confidence({"sem_seg": logits}, 0.5) == (0.0, 0)
    logits[3, 0, 0] = 100
    assert confidence({"sem_seg": logits}, 0.5) == (pytest.approx(1.0), 1)
    instances = Instances((2, 2))
    instances.scores = torch.tensor([0.9, 0.2])
    instances.pred_classes = torch.tensor([1, 2])
    instances.pred_masks = torch.ones(2, 2, 2, dtype=torch.bool)
    assert confidence({"instances": instances}, 0.5) == (pytest.approx(3.6), 4)


def test_confidence_is_summed_in_full_precision():
    instances = Instances((100, 100))
    instances.scores = torch.tensor([0.8984375], dtype=torch.bfloat16)  # exact
    instances.pred_masks = torch.ones(1, 100, 100, dtype=torch.bool)
    assert confidence({"instances": instances}, 0.5) == (8984.375, 10000)
