from pathlib import Path

import pytest

from tests.helpers import ROOT
from vps_d2.data.datasets import register_frames, register_videos
from vps_d2.engine.setup import check_config, check_model, load_config
from vps_d2.errors import UserError


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere\.yaml does not exist"):
        load_config(tmp_path / "nowhere.yaml")
    child = tmp_path / "child.yaml"
    child.write_text("_BASE_: parent.yaml\n")
    with pytest.raises(UserError, match=r"parent\.yaml"):
        load_config(child)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("MODEL:\n  NO_SUCH_KEY: 1\nVERSION: 2\n", "NO_SUCH_KEY"),
        ("SOLVER:\n  MAX_ITER: many\nVERSION: 2\n", "MAX_ITER"),
        ("SOLVER: [1\n", "bad.yaml"),
        ("OUTPUT_DIR: !!python/object/apply:os.getcwd []\n", "bad.yaml"),
    ],
)
def test_bad_file_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=words) as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_no_file_that_another_builds_on_runs_code(tmp_path: Path) -> None:
    mark = tmp_path / "code_ran"
    text = f"OUTPUT_DIR: !!python/object/apply:os.mkdir [{mark}]\n"
    (tmp_path / "parent.yaml").write_text(text)
    child = tmp_path / "child.yaml"
    child.write_text("_BASE_: parent.yaml\n")
    with pytest.raises(UserError, match=r"child\.yaml") as error:
        load_config(child)
    assert "\n" not in str(error.value) and not mark.exists()


@pytest.mark.parametrize("opts", [["MODEL.NO_SUCH_KEY", "1"], ["SEED"], ["SEED", "x"]])
def test_bad_override_is_one_sentence(opts: list[str]) -> None:
    with pytest.raises(UserError, match=r"^command line: ") as error:
        load_config("", opts)
    assert "\n" not in str(error.value)


def test_train_and_test_may_not_be_the_same_videos(tmp_path: Path) -> None:
    register_videos("twins_of_test_setup", tmp_path)
    register_frames("frames_of_test_setup", tmp_path)
    for test in ("twins_of_test_setup", "frames_of_test_setup"):
        cfg = load_config()
        cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("twins_of_test_setup",), (test,)
        with pytest.raises(UserError, match="are the same videos"):
            check_config(cfg)
    cfg.DATASETS.TEST = ("vps_val",)
    check_config(cfg)


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (["DATASETS.TEST", '("vps_vla",)'], '"vps_vla", which is no data set'),
        (["MODEL.META_ARCHITECTURE", "SimVPP"], "use one of ConvLSTM.* GeneralizedRCNN"),
    ],
)
def test_unknown_names_are_named(opts: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_config(load_config("", opts))


def test_configs_of_the_project_are_valid() -> None:
    for path in sorted((ROOT / "configs").glob("*/*.yaml")):
        cfg = load_config(path)
        if path.parent.name == "pipeline":
            with pytest.raises(UserError, match="is of a pipeline"):
                check_config(cfg)
        elif not path.parent.name.startswith("_"):
            check_config(cfg)
            assert len(path.read_text().splitlines()) <= 20, path


def test_a_pipeline_is_no_model() -> None:
    cfg = load_config(ROOT / "configs" / "pipeline" / "copy_unet.yaml")
    with pytest.raises(UserError, match=r"of a pipeline.*unet_frames\.yaml"):
        check_model(cfg)
