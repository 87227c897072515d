"""Options and KEY VALUE pairs in any order, and the types of arguments."""

import argparse

import pytest

from vps_d2.cli.arguments import CommandParser, parse_count, parse_positive, parse_share


def parse(words: str, overrides: bool = True) -> argparse.Namespace:
    parser = CommandParser("vps-d2 test", "Do it.", "example: vps-d2 test")
    parser.add_argument("--config-file", required=True)
    parser.add_argument("--gif", type=int, default=0)
    parser.add_argument("--resume", action="store_true")
    if overrides:
        parser.add_overrides()
    return parser.parse_args(words.split())


@pytest.mark.parametrize(
    ("words", "opts"),
    [
        ("--config-file c --resume", ""),
        ("--config-file c --resume SEED 1", "SEED 1"),
        ("--config-file c SEED 1 --resume", "SEED 1"),
        ("SEED 1 --config-file c A.B 2 C 3 --resume D 4", "SEED 1 A.B 2 C 3 D 4"),
        ("SOLVER.BASE_LR -1 --config-file c --resume", "SOLVER.BASE_LR -1"),
        ("--config-file c A -1e-3 --resume B -.5 C -inf D -4", "A -1e-3 B -.5 C -inf D -4"),
        ("A -1e-3 B 2 --config-file c --resume", "A -1e-3 B 2"),
        ("--config-file c --resume -- A -1", "A -1"),
    ],
)
def test_options_stand_anywhere(words: str, opts: str) -> None:
    args = parse(words)
    assert args.resume and args.config_file == "c"
    assert args.opts == opts.split()


@pytest.mark.parametrize(
    ("words", "unknown"),
    [
        ("--config-file c A 1 --foo 3", "--foo"),
        ("--config-file c --foo 3 A 1", "--foo"),
        ("--config-file c A 1 -x 3", "-x"),
        ("--foo --config-file c A -1", "--foo"),
    ],
)
def test_unknown_options_are_named(
    words: str, unknown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(words)
    assert capsys.readouterr().err.endswith(f"error: unrecognized arguments: {unknown}\n")


def test_a_wrong_word_cannot_control_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--config-file c --\x1b[2J")
    assert capsys.readouterr().err.endswith(r"unrecognized arguments: --\x1b[2J" + "\n")


def test_pairs_only_where_they_are_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse("--config-file c A 1", overrides=False)
    assert "unrecognized arguments: A 1" in capsys.readouterr().err
    assert not hasattr(parse("--config-file c", overrides=False), "opts")


def test_the_help_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit_:
        parse("--help")
    words = capsys.readouterr().out
    assert exit_.value.code == 0 and words.startswith("usage: vps-d2 test ")
    assert "[KEY VALUE ...]" in words and words.endswith("\nexample: vps-d2 test\n")


@pytest.mark.parametrize(
    ("read", "good", "bad"),
    [
        (parse_count, "0", "-1"),
        (parse_positive, "1", "0"),
        (parse_share, "0.5", "1.5"),
        (parse_share, "1", "nan"),
    ],
)
def test_numbers(read, good: str, bad: str) -> None:
    assert read(good) == float(good)
    with pytest.raises(argparse.ArgumentTypeError, match=f"{bad} is not a (whole )?number"):
        read(bad)
