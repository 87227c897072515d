import ast
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers import ROOT
from vps_d2.config.defaults import get_vps_cfg
from vps_d2.d2 import ENGINE
from vps_d2.d2.config import CfgNode, configurable, get_cfg
from vps_d2.d2.embedded.defaults import DEFAULTS
from vps_d2.d2.embedded.engine.defaults import _IDLE_KEYS
from vps_d2.io.errors import UserError


def _leaves(cfg: CfgNode, prefix: str = "") -> dict[str, Any]:
    leaves: dict[str, Any] = {}
    for key, value in cfg.items():
        if isinstance(value, dict):
            leaves.update(_leaves(value, f"{prefix}{key}."))
        else:
            leaves[prefix + key] = value
    return leaves


def test_get_cfg_returns_independent_copies() -> None:
    one, other = get_cfg(), get_cfg()
    one.MODEL.PIXEL_MEAN[0] = 1.0
    one.SOLVER.MAX_ITER = 1
    assert other.SOLVER.MAX_ITER == 40000
    assert other.MODEL.PIXEL_MEAN == [103.530, 116.280, 123.675]


def test_known_defaults() -> None:
    cfg = get_cfg()
    assert cfg.VERSION == 2
    assert cfg.MODEL.META_ARCHITECTURE == "GeneralizedRCNN"
    assert cfg.SOLVER.STEPS == (30000,)
    assert cfg.TEST.DETECTIONS_PER_IMAGE == 100


def test_embedded_defaults_are_those_of_detectron2(twins: Any) -> None:
    theirs, ours = (_leaves(module.get_cfg()) for module in twins("config"))
    for key, value in ours.items():
        assert key in theirs
        assert value == theirs[key] and type(value) is type(theirs[key]), key


def test_embedded_engine_knows_no_key_that_nobody_reads() -> None:
    """But for those of Detectron2's own mappers and samplers, which ``default_setup`` warns of."""
    harmless = {"DATALOADER.ASPECT_RATIO_GROUPING", "DATALOADER.FILTER_EMPTY_ANNOTATIONS"}
    # ClipInstanceMapper reads them, but no other mapper, so there is a warning. vps-d2 segment
    # reads the order of the channels.
    sizes = {key for key in _IDLE_KEYS if key.startswith(("INPUT.MIN_", "INPUT.MAX_"))}
    read_elsewhere = sizes | {"INPUT.CROP.ENABLED", "INPUT.FORMAT"}
    package = ROOT / "vps_d2"
    read = {
        node.attr
        for path in package.rglob("*.py")
        if path != package / "d2" / "embedded" / "defaults.py"
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load)
    }
    keys = set(_leaves(DEFAULTS))
    unread = {key for key in keys if key.rpartition(".")[2] not in read}
    assert len(keys) > 100 and unread == (set(_IDLE_KEYS) | harmless) - read_elsewhere


def test_project_keys_are_the_same_on_both_engines() -> None:
    cfg = get_vps_cfg()
    assert cfg.SOLVER.AMP.DTYPE == "auto"
    assert cfg.MODEL.SIMVP.TRANSLATOR == "gSTA"
    cfg.merge_from_list(["SOLVER.AMP.DTYPE", "float32", "INPUT.FRAMESKIP", "(1, 2)"])
    assert cfg.SOLVER.AMP.DTYPE == "float32"
    assert cfg.INPUT.FRAMESKIP == (1, 2)


def test_yaml_with_bases(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text(
        "VERSION: 2\nMODEL:\n  DEVICE: cpu\nSOLVER:\n  MAX_ITER: 5\n  BASE_LR: 0.5\n"
    )
    (tmp_path / "other.yaml").write_text("SOLVER:\n  MAX_ITER: 6\nSEED: 1\n")
    folder = tmp_path / "leaves"
    folder.mkdir()
    (folder / "leaf.yaml").write_text("_BASE_: ../base.yaml\nSOLVER:\n  BASE_LR: 0.25\n")
    (folder / "two.yaml").write_text("_BASE_: [../base.yaml, ../other.yaml]\nVERSION: 2\n")

    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "leaf.yaml"))
    assert (cfg.MODEL.DEVICE, cfg.SOLVER.MAX_ITER, cfg.SOLVER.BASE_LR) == ("cpu", 5, 0.25)

    cfg = get_cfg()
    cfg.merge_from_file(str(folder / "two.yaml"))
    assert (cfg.SOLVER.MAX_ITER, cfg.SEED) == (6, 1)


def test_yaml_without_version_is_of_this_version(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("SOLVER:\n  MAX_ITER: 5\n")
    cfg = get_cfg()
    cfg.merge_from_file(str(path))
    assert cfg.SOLVER.MAX_ITER == 5


def test_unknown_key_and_wrong_type_are_errors(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("VERSION: 2\nSOLVER:\n  MAX_ITERS: 5\n")
    with pytest.raises(KeyError, match=r"SOLVER\.MAX_ITERS"):
        get_cfg().merge_from_file(str(path))
    with pytest.raises(ValueError, match="Type mismatch"):
        get_cfg().merge_from_list(["SOLVER.MAX_ITER", "many"])


def test_missing_file_is_an_error() -> None:
    with pytest.raises((UserError, AssertionError), match=r"nowhere\.yaml.* does not exist"):
        get_cfg().merge_from_file("nowhere.yaml")


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 converts old files")
def test_embedded_refuses_another_version(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text("VERSION: 1\n")
    with pytest.raises(UserError, match="VERSION 1"):
        get_cfg().merge_from_file(str(path))


@pytest.mark.skipif(ENGINE != "embedded", reason="Detectron2 runs the code in a YAML file")
def test_embedded_runs_no_code_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(f"OUTPUT_DIR: !!python/object/apply:os.mkdir ['{tmp_path}/made']\n")
    with pytest.raises(Exception, match="could not determine a constructor"):
        get_cfg().merge_from_file(str(path))
    assert not (tmp_path / "made").exists()


def test_frozen_and_dumped(tmp_path: Path) -> None:
    cfg = get_cfg()
    cfg.SOLVER.STEPS = (1, 2)
    path = tmp_path / "dump.yaml"
    path.write_text(cfg.dump())
    again = get_cfg()
    again.merge_from_file(str(path))
    assert again.SOLVER.STEPS == (1, 2)
    assert yaml.safe_load(again.dump()) == yaml.safe_load(cfg.dump())
    cfg.freeze()
    with pytest.raises(AttributeError):
        cfg.SEED = 3


class _Net:
    @configurable
    def __init__(self, width: int, *, depth: int = 2, name: str = "net"):
        self.arguments = (width, depth, name)

    @classmethod
    def from_config(cls, cfg: CfgNode, name: str = "cfg") -> dict[str, Any]:
        return {"width": cfg.WIDTH, "name": name}


class _WideNet(_Net):
    @classmethod
    def from_config(cls, cfg: CfgNode) -> dict[str, Any]:
        return {"width": 2 * cfg.WIDTH, "depth": 3}


def test_configurable_class() -> None:
    cfg = CfgNode({"WIDTH": 8})
    assert _Net(4, depth=1).arguments == (4, 1, "net")
    assert _Net(cfg).arguments == (8, 2, "cfg")
    assert _Net(cfg=cfg).arguments == (8, 2, "cfg")
    assert _Net(cfg, depth=5).arguments == (8, 5, "cfg")
    assert _Net(cfg, name="mine").arguments == (8, 2, "mine")
    assert _Net(cfg, "mine").arguments == (8, 2, "mine")
    assert _WideNet(cfg, name="mine").arguments == (16, 3, "mine")


def test_configurable_misuse() -> None:
    class NoFromConfig:
        @configurable
        def __init__(self, a: int):
            self.a = a

    class NotAClassmethod:
        @configurable
        def __init__(self, a: int):
            self.a = a

        def from_config(cfg: CfgNode) -> dict[str, Any]:  # noqa: N805 (the mistake under test)
            return {"a": 1}

    class WrongFirstParameter:
        @configurable
        def __init__(self, a: int):
            self.a = a

        @classmethod
        def from_config(cls, config: CfgNode) -> dict[str, Any]:
            return {"a": 1}

    cfg = CfgNode({"A": 10})
    with pytest.raises(AttributeError, match="from_config"):
        NoFromConfig(cfg)
    with pytest.raises(TypeError, match="classmethod"):
        NotAClassmethod(cfg)
    with pytest.raises(TypeError, match="'cfg'"):
        WrongFirstParameter(cfg)
