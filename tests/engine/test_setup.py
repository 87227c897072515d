from pathlib import Path

import pytest
import torch

from tests.helpers import ROOT
from vps_d2.config.loading import load_config
from vps_d2.config.pipeline import load_pipeline_config
from vps_d2.d2.data import DatasetCatalog
from vps_d2.data.datasets import register_frames, register_videos
from vps_d2.engine.setup import check_config, check_run
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import check_model


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
        ("- a\n", r"bad\.yaml holds no keys; write"),
        ("hello\n", r"bad\.yaml holds no keys; write"),
        ("", r"bad\.yaml holds no keys; write"),
        ("_BASE_: 5\n", "_BASE_ is 5; give the path"),
        ("_BASE_: [5]\n", "_BASE_ is 5; give the path"),
        ("_BASE_: bad.yaml\n", r"bad\.yaml builds on itself; change"),
        ("_BASE_: [detour.yaml]\n", r"bad\.yaml builds on itself; change"),
        ("SOLVER: 3\nVERSION: 2\n", r"yaml: SOLVER is 3, but must be a section of keys"),
        (
            "DATASETS:\n  TRAIN: a\nVERSION: 2\n",
            r'TRAIN is a, but must be a tuple, such as \("a",\)',
        ),
        (
            "SOLVER:\n  MAX_ITER: 0\nVERSION: 2\n",
            "SOLVER.MAX_ITER must be a whole number of 1 or more, not 0",
        ),
        (
            "SOLVER:\n  BASE_LR: .nan\nVERSION: 2\n",
            "SOLVER.BASE_LR must be a finite number above 0, not nan",
        ),
        ("SOLVER:\n  1: 2\nVERSION: 2\n", "key is unknown"),
    ],
)
def test_bad_file_is_one_sentence(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(text)
    (tmp_path / "detour.yaml").write_text("_BASE_: bad.yaml\n")
    with pytest.raises(UserError, match=words) as error:
        load_config(path)
    assert "\n" not in str(error.value)


def test_no_file_that_another_builds_on_runs_code(tmp_path: Path) -> None:
    mark = tmp_path / "code_ran"
    text = f"OUTPUT_DIR: !!python/object/apply:os.mkdir [{mark}]\n"
    (tmp_path / "parent.yaml").write_text(text)
    child = tmp_path / "child.yaml"
    child.write_text("_BASE_: parent.yaml\n")
    with pytest.raises(UserError, match=r"parent\.yaml: could not determine") as error:
        load_config(child)
    assert "\n" not in str(error.value) and not mark.exists()


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (["MODEL.NO_SUCH_KEY", "1"], "NO_SUCH_KEY.* KEY VALUE"),
        (["SEED"], "KEY VALUE"),
        (["SEED.X", "1"], "key is unknown.* KEY VALUE"),
        (["SEED", "x"], r"SEED is x, but must be a whole number\.$"),
        (["SOLVER", "3"], r"SOLVER is 3, but must be a section of keys and values\.$"),
        (["DATASETS.TRAIN", "vps_val"], r'must be a tuple, such as \("vps_val",\)\.$'),
        (["INPUT.FRAMESKIP", "2"], r"must be a tuple, such as \(2,\)\.$"),
        (["SOLVER.BASE_LR", "1"], r"must be a number with a point, such as 1\.0\.$"),
    ],
)
def test_bad_override_is_one_sentence(opts: list[str], words: str) -> None:
    with pytest.raises(UserError, match=rf"^command line: .*{words}") as error:
        load_config("", opts)
    assert "\n" not in str(error.value)


MULTI_STEP = ["SOLVER.LR_SCHEDULER_NAME", "WarmupMultiStepLR", "SOLVER.MAX_ITER", "5"]


@pytest.mark.parametrize(
    "opts",
    [
        ["SOLVER.BASE_LR", "-1.0"],
        ["SOLVER.BASE_LR", "1e999"],
        ["SOLVER.BASE_LR", "None"],
        ["SOLVER.IMS_PER_BATCH", "0"],
        ["SOLVER.MAX_ITER", "-3"],
        ["SOLVER.CHECKPOINT_PERIOD", "0"],
        ["SOLVER.LR_SCHEDULER_NAME", "foo"],
        ["SOLVER.WARMUP_METHOD", "foo"],
        [*MULTI_STEP, "SOLVER.STEPS", "(5,)"],
        [*MULTI_STEP, "SOLVER.STEPS", "(3, 2)"],
        ["SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", "SOLVER.BASE_LR_END", "0.5"],
        ["INPUT.NUM_INPUT_FRAMES", "0"],
        ["INPUT.NUM_TARGET_FRAMES", "0"],
        ["INPUT.TARGET_GAP", "-1"],
        ["DATALOADER.NUM_WORKERS", "-1"],
        ["MODEL.DEVICE", "foo"],
        ["MODEL.DEVICE", ""],
        ["PIPELINE.BATCH_SIZE", "-4"],
        ["MODEL.DEVICE", "meta"],
        ["MODEL.DEVICE", "cpu:3"],
        ["MODEL.UNET.CHANNELS", "()"],
        ["MODEL.UNET.CHANNELS", "(8, -16)"],
        ["MODEL.UNET.CHANNELS", "('a',)"],
        ["MODEL.UNET.CHANNELS", "(1000000000000,)"],
        ["MODEL.UNET.PATCH_SIZE", "0"],
        ["MODEL.CONVLSTM.KERNEL_SIZE", "4"],
        ["MODEL.MASK_SIMVP.HIDDEN_SPATIAL", "3"],
        ["MODEL.SIMVP.NUM_SPATIAL_LAYERS", "0"],
        ["MODEL.SIMVP.NUM_TEMPORAL_LAYERS", "1"],
        ["MODEL.OBJECT_DYNAMICS.HEADS", "5"],
        ["MODEL.PIXEL_STD", "[0.0, 1.0, 1.0]"],
        ["MODEL.PIXEL_MEAN", "[1.0]"],
        ["MODEL.UNET.LOSS.DICE", "1e999"],
        ["INPUT.FRAMESKIP", "()"],
        ["INPUT.BLUR.PROB", "1.5"],
        ["DATALOADER.SAMPLER_TRAIN", "RepeatFactorTrainingSampler"],
        ["TEST.EXPECTED_RESULTS", [-1.0, 0.0]],
        ["TEST.EXPECTED_RESULTS", [["frames", "mse", 1.0]]],
        ["DATALOADER.NUM_WORKERS", "1000000"],
        ["SEED", "4294967296"],
        ["SEED", "-2"],
        ["SOLVER.WEIGHT_DECAY_BIAS", "[]"],
        ["SOLVER.MOMENTUM", "-1.0"],
        ["TEST.EVAL_PERIOD", "-1"],
        ["OUTPUT_DIR", "'a\\0b'"],
        ["MODEL.WEIGHTS", "'a\\0b'"],
        ["PIPELINE.SEGMENTER.WEIGHTS", "'a\\0b'"],
    ],
)
def test_values_that_nothing_can_run_with(opts: list[str]) -> None:
    with pytest.raises(UserError, match=rf"^{opts[-2]} must be .*, not .*\.$"):
        load_config("", opts)


def test_values_of_a_pipeline_are_checked() -> None:
    config = ROOT / "configs" / "pipeline" / "copy_unet.yaml"
    for batch_size in ("0", "-4"):
        with pytest.raises(UserError, match=f"^PIPELINE.BATCH_SIZE must be .*, not {batch_size}"):
            load_pipeline_config(config, ["PIPELINE.BATCH_SIZE", batch_size])


def test_steps_matter_to_one_schedule() -> None:
    load_config("", [*MULTI_STEP, "SOLVER.STEPS", "(2, 4, 6)"])  # the last is left out
    load_config(
        "", ["SOLVER.LR_SCHEDULER_NAME", "WarmupCosineLR", *MULTI_STEP[2:], "SOLVER.STEPS", "(5,)"]
    )


def test_a_run_is_neither_overwritten_nor_run_on_beyond_its_end(tmp_path: Path) -> None:
    cfg = load_config("", ["OUTPUT_DIR", str(tmp_path), "SOLVER.MAX_ITER", "3"])
    check_run(cfg, resume=False)
    check_run(cfg, resume=True)
    torch.save({"model": {}, "iteration": 1}, tmp_path / "model_0000001.pth")
    (tmp_path / "last_checkpoint").write_text("model_0000001.pth")
    with pytest.raises(UserError, match=r"already holds a run; resume it with --resume") as error:
        check_run(cfg, resume=False)
    assert str(tmp_path) in str(error.value)
    check_run(cfg, resume=True)
    cfg.SOLVER.MAX_ITER = 2
    check_run(cfg, resume=True)  # it was killed before it was evaluated
    (tmp_path / "last_evaluation").write_text("2")
    with pytest.raises(UserError, match=r"is finished.* 2 iterations of 2; raise SOLVER.MAX_ITER"):
        check_run(cfg, resume=True)


@pytest.mark.parametrize("iteration", [None, "1", 1.0, True, -1, [1]])
def test_a_checkpoint_that_does_not_say_its_iteration(iteration: object, tmp_path: Path) -> None:
    cfg = load_config("", ["OUTPUT_DIR", str(tmp_path)])
    torch.save({"model": {}, "iteration": iteration}, tmp_path / "model_1.pth")
    (tmp_path / "last_checkpoint").write_text("model_1.pth")
    with pytest.raises(UserError, match=r"model_1\.pth does not hold its iteration"):
        check_run(cfg, resume=True)


@pytest.mark.parametrize("name", [b"", b"../model.pth", b"/etc/passwd", b"\xff", b"a\0b", b"a\nb"])
def test_a_name_of_no_checkpoint(name: bytes, tmp_path: Path) -> None:
    (tmp_path / "last_checkpoint").write_bytes(name)
    with pytest.raises(UserError, match="last_checkpoint does not name a checkpoint"):
        check_run(load_config("", ["OUTPUT_DIR", str(tmp_path)]), resume=True)


def test_train_and_test_may_not_be_the_same_videos(tmp_path: Path) -> None:
    register_videos("twins_of_test_setup", tmp_path)
    register_frames("frames_of_test_setup", tmp_path)
    for test in ("twins_of_test_setup", "frames_of_test_setup"):
        cfg = load_config()
        cfg.DATASETS.TRAIN, cfg.DATASETS.TEST = ("twins_of_test_setup",), (test,)
        with pytest.raises(UserError, match="are the same videos"):
            check_config(cfg)
    cfg.DATASETS.TEST = ("vps_val",)
    cfg.MODEL.ROI_HEADS.NUM_CLASSES = 48
    check_config(cfg)


@pytest.mark.parametrize(
    ("opts", "words"),
    [
        (
            ["DATASETS.TEST", '("vps_vla",)'],
            '"vps_vla", which is not a data set; name the file',
        ),
        (["MODEL.META_ARCHITECTURE", "SimVPP"], "must be one of .*ConvLSTM.* GeneralizedRCNN"),
    ],
)
def test_unknown_names_are_named(opts: list[str], words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_config(load_config("", opts))


def test_configs_of_the_project_are_valid() -> None:
    for path in sorted((ROOT / "configs").glob("*/*.yaml")):
        if path.parent.name == "recipes":
            continue
        cfg = load_config(path)
        if path.parent.name == "pipeline":
            with pytest.raises(UserError, match="describes a pipeline"):
                check_config(cfg)
        elif not path.parent.name.startswith("_"):
            if not {*cfg.DATASETS.TRAIN, *cfg.DATASETS.TEST} <= {*DatasetCatalog.list()}:
                cfg.DATASETS.TRAIN = cfg.DATASETS.TEST = ()  # which a user has to register first
            check_config(cfg)
            assert len(path.read_text().splitlines()) <= 20, path


def test_a_pipeline_is_no_model() -> None:
    cfg = load_config(ROOT / "configs" / "pipeline" / "copy_unet.yaml")
    with pytest.raises(UserError, match=r"describes a pipeline.*unet_frames\.yaml"):
        check_model(cfg)
