import subprocess
import sys

import pytest

from tests.conftest import write_tiny_videos
from tests.helpers import ROOT, load_tool
from vps_d2.data.video import frame_path
from vps_d2.io.errors import UserError


def test_a_good_data_set(tiny_videos, capsys):
    load_tool("check_dataset").main([str(tiny_videos)])
    assert capsys.readouterr().out == f"{tiny_videos}: 8 videos, no fault\n"


def test_every_fault_is_printed(tmp_path, capsys):
    root = write_tiny_videos(tmp_path / "vps")
    paths = [frame_path(root / "train" / "video_00000", index) for index in (3, 9)]
    for path in paths:
        path.unlink()
    with pytest.raises(UserError, match=r"2 faults .* 7 good videos"):
        load_tool("check_dataset").main([str(root)])
    assert capsys.readouterr().out == "".join(f"{path}: missing frame\n" for path in paths)


def test_many_faults_are_summed_up(tmp_path, capsys):
    for number in range(30):
        (tmp_path / f"video_{number}").mkdir()
    with pytest.raises(UserError, match="30 faults"):
        load_tool("check_dataset").main([str(tmp_path)])
    assert capsys.readouterr().out.splitlines()[-2:] == [
        "summary:",
        "      30  no frame in it, of #",
    ]


def test_exit_status(tmp_path):
    command = [sys.executable, str(ROOT / "tools" / "check_dataset.py"), str(tmp_path / "absent")]
    result = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.returncode == 1
    assert "absent: not a folder" in result.stderr and "Traceback" not in result.stderr
    assert "SKIP_FAULTY" not in result.stderr


def test_advice_is_true(tmp_path, capsys):
    root = write_tiny_videos(tmp_path / "vps")
    path = frame_path(root / "train" / "video_00000", 3)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + bytes(8) + content[len(content) // 2 + 8 :])
    with pytest.raises(
        UserError, match=r"SKIP_FAULTY True, .* except those with a PNG that is damaged"
    ):
        load_tool("check_dataset").main([str(root)])
    assert capsys.readouterr().out == f"{path}: unreadable PNG\n"
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"and 0 good videos; fix them\.$"):
        load_tool("check_dataset").main([str(tmp_path / "empty")])
