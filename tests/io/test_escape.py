from pathlib import Path

import pytest

from vps_d2.io.escape import escape_controls, escape_markdown, print_line


def test_controls_are_written_out() -> None:
    text = "\x1b[31m\nerror: \r\x00\x7f\x9b\u202e\u2028\ud800"
    shown = r"\x1b[31m\nerror: \r\x00\x7f\x9b\u202e\u2028\ud800"
    assert escape_controls(text) == shown
    assert escape_controls("Ünïcode, видео 🎞") == "Ünïcode, видео 🎞"


def test_markdown_stays_text() -> None:
    assert escape_markdown("a|b\n`c` <i>*d*</i> [e](f)") == (
        r"a\|b\\n\`c\` \<i\>\*d\*\</i\> \[e\](f)"
    )
    assert escape_markdown("SimVP, then U-Net (4,000 videos)") == "SimVP, then U-Net (4,000 videos)"


def test_a_path_is_printed_as_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    print_line(Path("out\nerror: forged", "\udcff"))
    assert capsys.readouterr().out == r"out\nerror: forged/\udcff" + "\n"
