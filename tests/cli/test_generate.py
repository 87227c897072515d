"""tools/generate_frames.py: the files of the data set vps_generated_train."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import file_size_limit, load_tool, output_in_memory
from tests.pipeline_stubs import write_pipeline
from vps_d2.data.layout import VideoLayout, read_layout, write_layout
from vps_d2.data.taxonomy import Taxonomy
from vps_d2.data.video import read_frame
from vps_d2.io.errors import UserError
from vps_d2.io.folders import claim_folder


@pytest.fixture
def weights(tmp_path: Path) -> list[str]:
    write_pipeline(tmp_path)
    torch.save({"model": {"weight": torch.zeros(1)}}, tmp_path / "predictor.pth")
    return ["MODEL.WEIGHTS", str(tmp_path / "predictor.pth")]


def test_frames_with_their_masks_and_resuming(
    tiny_videos: Path, tmp_path: Path, weights: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    options = ["--config-file", str(tmp_path / "predictor.yaml"), "--output", str(out)]
    options += ["--input", str(tiny_videos / "train")]
    arguments = [*options, "--frames", "12,22", *weights]
    main = load_tool("generate_frames").main
    main([*options, "--frames", "12,22", "--batch-size", "1", *weights])
    assert len(list(out.glob("*video_*"))) == 2 * 2 * 2
    given = read_frame(tiny_videos / "train" / "video_00000" / "image_10.png")
    made = read_frame(out / "video_0_frame_21.png").astype(int)
    assert (made == np.minimum(given.astype(int) + 11, 255)).all()
    masks = np.load(tiny_videos / "train" / "video_00000" / "mask.npy")
    assert (np.load(out / "mask_video_0_frame_21.npy") == masks[21]).all()
    (out / "video_1_frame_11.png").unlink()
    main(arguments)
    # The other video of the batch is predicted again, since it may matter to the bits.
    assert "predicted 2 videos" in capsys.readouterr().out
    assert (out / "video_1_frame_11.png").exists()
    with pytest.raises(UserError, match="frames 12-22"):
        main([*options, "--frames", "11", *weights])
    torch.save({"model": {"weight": torch.ones(1)}}, tmp_path / "predictor.pth")
    with pytest.raises(UserError, match="results of another predictor"):
        main(arguments)
    with pytest.raises(UserError, match="names no weights"):
        main([*arguments[:-2], "MODEL.WEIGHTS", ""])


def test_the_frames_of_a_pipeline(tiny_videos: Path, tmp_path: Path) -> None:
    pipeline = write_pipeline(tmp_path)
    arguments = ["--input", str(tiny_videos / "train"), "--frames", "22", "--config-file"]
    main = load_tool("generate_frames").main
    for name, config in (("one", tmp_path / "predictor.yaml"), ("other", pipeline)):
        main([*arguments, str(config), "--output", str(tmp_path / name)])
    made = [read_frame(tmp_path / name / "video_0_frame_21.png") for name in ("one", "other")]
    assert (made[0] == made[1]).all()
    empty = write_pipeline(tmp_path, predictor="")
    with pytest.raises(UserError, match="predicts no frames, as its PIPELINE"):
        main([*arguments, str(empty), "--output", str(tmp_path / "none")])


def test_two_runs_in_one_folder_and_a_full_disk(
    tiny_videos: Path, tmp_path: Path, weights: list[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--config-file", str(tmp_path / "predictor.yaml"), "--output", str(out)]
    arguments += ["--input", str(tiny_videos / "train"), *weights]
    main = load_tool("generate_frames").main
    with claim_folder(out), pytest.raises(UserError, match="out is being written by another run"):
        main(arguments)
    assert not any(out.iterdir())
    failing = pytest.raises(UserError, match=r"frame_11\.npy cannot be written")
    with output_in_memory(), file_size_limit(1000), failing:
        main(arguments)
    assert [path.name for path in out.iterdir()] == ["predictor.json"]


def test_frames_do_not_go_into_the_folder_of_the_videos(
    tiny_videos: Path, tmp_path: Path, weights: list[str]
) -> None:
    source = tiny_videos / "train"
    arguments = ["--config-file", str(tmp_path / "predictor.yaml"), "--input", str(source)]
    with pytest.raises(UserError, match="is inside the folder of the input videos"):
        load_tool("generate_frames").main([*arguments, "--output", str(source), *weights])


def test_the_gap_before_the_targets_counts(
    tiny_videos: Path, tmp_path: Path, weights: list[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["--config-file", str(tmp_path / "predictor.yaml"), "--output", str(out)]
    arguments += ["--input", str(tiny_videos / "train")]
    reconstructor = [*weights, "INPUT.NUM_TARGET_FRAMES", "1", "INPUT.TARGET_GAP", "10"]
    main = load_tool("generate_frames").main
    with pytest.raises(UserError, match="predicts frame 22; ask"):
        main([*arguments, "--frames", "12", *reconstructor])
    main([*arguments, *reconstructor])
    names = sorted(path.name for path in out.glob("*.png"))
    assert names == ["video_0_frame_21.png", "video_1_frame_21.png"]
    folder = tiny_videos / "train" / "video_00000"
    given = read_frame(folder / "image_10.png").astype(int)
    assert (read_frame(out / names[0]) == np.minimum(given + 1, 255)).all()  # the first it makes
    mask = np.load(out / "mask_video_0_frame_21.npy")
    assert (mask == np.load(folder / "mask.npy")[21]).all()


def test_frames_of_own_classes_say_so(
    tiny_videos: Path, tmp_path: Path, weights: list[str]
) -> None:
    own = VideoLayout(Taxonomy.numbered(100), 22, 11)
    shutil.copytree(tiny_videos / "train", tmp_path / "own")
    write_layout(tmp_path / "own", own)
    arguments = ["--config-file", str(tmp_path / "predictor.yaml"), "--frames", "12"]
    arguments += ["--input", str(tmp_path / "own"), "--output", str(tmp_path / "out")]
    load_tool("generate_frames").main([*arguments, *weights])
    written = read_layout(tmp_path / "out")
    assert written.taxonomy.thing_classes == own.taxonomy.thing_classes
    assert (written.num_frames, written.num_known) == (22, 11)
