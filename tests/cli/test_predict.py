"""tools/infer_hidden.py as a user calls it."""

from pathlib import Path

import numpy as np
import pytest

from tests.helpers import load_tool
from tests.pipeline_stubs import write_pipeline
from vps_d2.io.errors import UserError
from vps_d2.io.tars import pack_folder, unpacked


def test_masks_videos_and_pictures(tiny_videos: Path, tmp_path: Path) -> None:
    arguments = ["--config-file", str(write_pipeline(tmp_path)), "--output", str(tmp_path / "out")]
    arguments += ["--input", str(tiny_videos / "hidden"), "--batch-size", "1", "--gif", "1"]
    main = load_tool("infer_hidden").main
    main([*arguments, "--shard", "1/2"])
    assert not (tmp_path / "out" / "hidden_masks.npy").exists()
    main([*arguments, "--shard", "0/2", "PIPELINE.SEEN_CLASSES_ONLY", "True"])
    assert np.load(tmp_path / "out" / "hidden_masks.npy").shape == (2, 32, 48)
    assert (tmp_path / "out" / "videos.txt").read_text() == "video_00006\nvideo_00007\n"
    assert (tmp_path / "out" / "gifs" / "video_00006.gif").stat().st_size


def test_a_tar_file_of_videos(tiny_videos: Path, tmp_path: Path) -> None:
    arguments = ["--config-file", str(write_pipeline(tmp_path)), "--output"]
    main = load_tool("infer_hidden").main
    pack_folder(tiny_videos / "hidden", tmp_path / "clips.tar")
    main([*arguments, str(tmp_path / "out"), "--input", str(tmp_path / "clips.tar")])
    main([*arguments, str(tmp_path / "whole"), "--input", str(tiny_videos / "hidden")])
    with unpacked(tmp_path / "out" / "clips.tar") as folder:
        for name in ("hidden_masks.npy", "videos.txt", "predictions.json"):
            assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_shards_of_two_checkouts_join(tiny_videos: Path, tmp_path: Path) -> None:
    arguments = ["--output", str(tmp_path / "out"), "--input", str(tiny_videos / "hidden")]
    main = load_tool("infer_hidden").main
    for index in range(2):
        folder = tmp_path / f"checkout_{index}"
        folder.mkdir()
        config = ["--config-file", str(write_pipeline(folder)), "--batch-size", "1"]
        main([*arguments, *config, "--shard", f"{index}/2"])
    assert np.load(tmp_path / "out" / "hidden_masks.npy").shape == (2, 32, 48)


@pytest.mark.parametrize("shard", ["2/2", "a/b", "1", "0/0"])
def test_a_wrong_shard_is_refused(shard: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        load_tool("infer_hidden").main(["--shard", shard])
    assert "is not i/n" in capsys.readouterr().err


def test_no_videos_is_a_sentence(tmp_path: Path) -> None:
    arguments = ["--config-file", str(write_pipeline(tmp_path)), "--output", str(tmp_path / "out")]
    with pytest.raises(UserError, match="not a folder"):
        load_tool("infer_hidden").main([*arguments, "--input", str(tmp_path / "none")])
