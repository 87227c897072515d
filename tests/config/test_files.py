"""Configuration files and what they build on."""

import os
import threading
from pathlib import Path

import pytest

from vps_d2.config.files import read_config_file
from vps_d2.config.loading import load_config
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.io.errors import UserError


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_later_files_override_earlier_ones_key_by_key(tmp_path: Path) -> None:
    write(tmp_path / "a" / "one.yaml", "SOLVER: {MAX_ITER: 1, BASE_LR: 0.5}\nSEED: 1\n")
    write(tmp_path / "a" / "two.yaml", "_BASE_: one.yaml\nSOLVER: {MAX_ITER: 2}\n")
    write(tmp_path / "three.yaml", "SOLVER: {MAX_ITER: 3, STEPS: [1]}\nSEED: 3\n")
    leaf = "_BASE_: [a/two.yaml, three.yaml]\nSOLVER: {STEPS: [2]}\nVERSION: 2\n"
    assert read_config_file(write(tmp_path / "leaf.yaml", leaf)) == {
        "SOLVER": {"MAX_ITER": 3, "BASE_LR": 0.5, "STEPS": [2]},
        "SEED": 3,
        "VERSION": 2,
    }


def test_a_base_may_begin_at_home_or_at_the_root(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "home"))
    root = write(tmp_path / "root.yaml", "SEED: 1\n")
    write(tmp_path / "home" / "mine.yaml", f"_BASE_: {root}\n")
    assert read_config_file(write(tmp_path / "leaf.yaml", "_BASE_: ~/mine.yaml\n")) == {"SEED": 1}


def test_a_file_that_two_build_on_keeps_its_values(tmp_path: Path) -> None:
    write(tmp_path / "root.yaml", "SOLVER: {MAX_ITER: 1, BASE_LR: 0.5}\n")
    write(tmp_path / "one.yaml", "_BASE_: root.yaml\nSOLVER: {MAX_ITER: 2}\n")
    write(tmp_path / "two.yaml", "_BASE_: root.yaml\n")
    leaf = write(tmp_path / "leaf.yaml", "_BASE_: [one.yaml, two.yaml]\n")
    assert read_config_file(leaf)["SOLVER"]["MAX_ITER"] == 1


def test_paths_of_models_are_taken_from_the_file_that_names_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(
        tmp_path / "base" / "parent.yaml",
        "PIPELINE:\n  SEGMENTER: {CONFIG_FILE: unet.yaml, WEIGHTS: ../unet.pth}\n"
        "  PREDICTOR: {CONFIG_FILE: simvp.yaml}\n",
    )
    leaf = write(
        tmp_path / "leaf" / "child.yaml",
        "_BASE_: ../base/parent.yaml\n"
        "PIPELINE:\n  PREDICTOR: {WEIGHTS: simvp.pth}\n  MASK_PREDICTOR: {CONFIG_FILE: ''}\n"
        "VERSION: 2\n",
    )
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    opts = ["PIPELINE.MASK_PREDICTOR.WEIGHTS", "mask.pth"]
    pipeline = load_pipeline_config(os.path.relpath(leaf), opts).PIPELINE
    assert str(tmp_path / "base" / "unet.yaml") == pipeline.SEGMENTER.CONFIG_FILE
    assert str(tmp_path / "unet.pth") == pipeline.SEGMENTER.WEIGHTS
    assert str(tmp_path / "base" / "simvp.yaml") == pipeline.PREDICTOR.CONFIG_FILE
    assert str(tmp_path / "leaf" / "simvp.pth") == pipeline.PREDICTOR.WEIGHTS
    assert pipeline.MASK_PREDICTOR.CONFIG_FILE == ""
    assert str(tmp_path / "here" / "mask.pth") == pipeline.MASK_PREDICTOR.WEIGHTS


BOMB = "a: &a [x, x]\n" + "".join(
    f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]\n"
    for old, new in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (BOMB, "has more than 20 aliases; simplify"),
        ("a: &a [*a]\n", "has a value that contains itself; simplify"),
        ("a: &a {b: *a}\n", "has a value that contains itself; simplify"),
        ("a: " + "[" * 30 + "]" * 30, "is nested more than 20 deep; simplify"),
        ("a: " + "[" * 200_000, "is nested more than 20 deep; simplify"),
        ("".join(f"{' ' * i}k:\n" for i in range(40)), "is nested more than 20 deep; simplify"),
        ("a: '" + "x" * 1_000_000 + "'\n", "has more than 1,000,000 bytes; give"),
        ("a: 1\n---\nb: 1\n", "expected a single document.* in line 2; correct"),
        ("a: b: c\n", ".*mapping values are not allowed here in line 1; correct"),
        ("a: !!int x\n", "invalid literal.*; correct"),
        ("a: !!timestamp x\n", "; correct"),
        ("? [a, {b: c}]\n: d\n", ".*found unhashable key in line 1; correct"),
        ("a: \x00\n", "; correct"),
        ('_BASE_: "a\\0b"\n', "has invalid text or a NUL byte"),
        ('PIPELINE: {SEGMENTER: {WEIGHTS: "a\\0b"}}\n', "has invalid text or a NUL byte"),
        ('A: "\\ud800"\n', "has invalid text or a NUL byte"),
        ("_BASE_: http://host/a.yaml\n", "_BASE_ is http://host/a.yaml, but configurations are n"),
        ("_BASE_: ftp://host/a.yaml\n", "_BASE_ is ftp://host/a.yaml, but configurations are n"),
        ("_BASE_: [leaf.yaml]\n", r"leaf\.yaml builds on itself; change"),
        ("_BASE_: ''\n", r"which .*leaf\.yaml builds on, cannot be read \(Is a directory\)"),
        ("_BASE_: [one.yaml, 5]\n", "_BASE_ is 5; give the path"),
        ("_BASE_: one.yaml\nSEED: {a: 1}\n", r"leaf\.yaml: SEED has keys here, but a value in"),
    ],
)
def test_bad_files_are_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    write(tmp_path / "one.yaml", "SEED: 1\n")
    path = write(tmp_path / "leaf.yaml", text)
    with pytest.raises(UserError, match=f"^config file .*{words}") as error:
        load_config(path)
    assert "\n" not in str(error.value) and len(str(error.value)) < 400


def test_bytes_that_are_no_text_are_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "leaf.yaml").write_bytes(b"a: \xff\xfe\x80\n")
    with pytest.raises(UserError, match=r"leaf\.yaml: .*; correct it"):
        load_config(tmp_path / "leaf.yaml")


def test_long_and_wide_chains_end(tmp_path: Path) -> None:
    for index in range(40):
        write(tmp_path / f"{index}.yaml", f"_BASE_: [{index + 1}.yaml, {index + 1}.yaml]\n")
    write(tmp_path / "40.yaml", "SEED: 1\n")
    for index in (0, 25):  # too long; short enough, but every file builds on the next one twice
        with pytest.raises(UserError, match=f"{index}.yaml builds on too many others .at most 20"):
            read_config_file(tmp_path / f"{index}.yaml")
    assert read_config_file(tmp_path / "36.yaml") == {"SEED": 1}


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\); check --config-file"):
        read_config_file(tmp_path)
    with pytest.raises(UserError, match=r"http://host/a.yaml is a URL"):
        read_config_file("http://host/a.yaml")
    if not hasattr(os, "mkfifo"):
        pytest.skip("this system has no pipes with names")
    os.mkfifo(tmp_path / "pipe.yaml")
    leaf = write(tmp_path / "leaf.yaml", "_BASE_: pipe.yaml\n")
    errors: list[Exception] = []

    def read() -> None:
        try:
            read_config_file(leaf)
        except UserError as error:
            errors.append(error)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    thread.join(10)
    assert "not a regular file" in str(errors[0])
