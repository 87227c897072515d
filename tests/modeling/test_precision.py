import logging
from pathlib import Path

import pytest
import torch

from vps_d2.config.defaults import get_vps_cfg
from vps_d2.config.loading import load_config
from vps_d2.d2.config import CfgNode
from vps_d2.io.errors import UserError
from vps_d2.modeling import precision
from vps_d2.modeling.build import build_model
from vps_d2.modeling.precision import (
    computes_in_bfloat16,
    find_dtype,
    inference_autocast,
    log_precision,
    wants_channels_last,
)


def config(*opts: object, architecture: str = "SimVP") -> CfgNode:
    cfg = get_vps_cfg()
    cfg.merge_from_list(["MODEL.DEVICE", "cpu", "MODEL.META_ARCHITECTURE", architecture, *opts])
    return cfg


@pytest.fixture(params=[True, False], ids=["bfloat16", "float32"])
def able(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether the device computes in bfloat16; each in turn."""
    monkeypatch.setattr(precision, "computes_in_bfloat16", lambda _: (request.param, "a reason"))
    return bool(request.param)


def test_the_machine_decides(able: bool) -> None:
    dtype = torch.bfloat16 if able else torch.float32
    assert find_dtype(config()) == (dtype, "a reason")
    with inference_autocast(config()):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == dtype


@pytest.mark.parametrize(
    "opts, dtype",
    [
        (("SOLVER.AMP.ENABLED", False), torch.float32),
        (("SOLVER.AMP.DTYPE", "float32"), torch.float32),
        (("SOLVER.AMP.DTYPE", "bfloat16"), torch.bfloat16),
        (("SOLVER.AMP.DTYPE", "float16"), torch.float16),
    ],
)
def test_a_setting_wins(able: bool, opts: tuple, dtype: torch.dtype) -> None:
    found, reason = find_dtype(config(*opts))
    assert found == dtype and opts[0] in reason


@pytest.mark.parametrize(
    "architecture, in_float32",
    [("SimVP", False), ("MaskSimVP", False), ("UNet", True), ("GeneralizedRCNN", True)],
)
def test_memory_format_follows_format_and_task(
    able: bool, architecture: str, in_float32: bool
) -> None:
    assert wants_channels_last(config(architecture=architecture)) == (able or in_float32)
    for wanted in (True, False):
        cfg = config("MODEL.CHANNELS_LAST", wanted, architecture=architecture)
        assert wants_channels_last(cfg) == wanted


def test_networks_are_laid_out_as_said(able: bool) -> None:
    model = build_model(config("MODEL.SIMVP.HIDDEN_TEMPORAL", 16))
    expected = torch.channels_last if able else torch.contiguous_format
    assert model.network.memory_format == expected
    wide = model.network.encoder[1][0].weight
    assert wide.is_contiguous(memory_format=expected)


@pytest.mark.parametrize("value", ["True", "False", "None"])
def test_memory_format_from_file_and_command_line(tmp_path: Path, value: str) -> None:
    path = tmp_path / "model.yaml"
    in_yaml = "null" if value == "None" else value
    path.write_text(f"VERSION: 2\nMODEL:\n  CHANNELS_LAST: {in_yaml}\n")
    expected = {"True": True, "False": False, "None": None}[value]
    assert load_config(path).MODEL.CHANNELS_LAST is expected
    assert load_config("", ["MODEL.CHANNELS_LAST", value]).MODEL.CHANNELS_LAST is expected


def test_wrong_settings_are_a_sentence() -> None:
    with pytest.raises(UserError, match="must be True, False or None"):
        load_config("", ["MODEL.CHANNELS_LAST", "auto"])
    with pytest.raises(UserError, match="must be one of auto, bfloat16"):
        find_dtype(config("SOLVER.AMP.DTYPE", "int8"))


def test_a_cpu_limited_to_avx2_does_not_compute_in_bfloat16(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "AVX2")
    monkeypatch.setattr(precision.platform, "machine", lambda: "x86_64")
    computes_in_bfloat16.cache_clear()
    able, reason = computes_in_bfloat16("cpu")
    computes_in_bfloat16.cache_clear()
    assert not able and reason == "the CPU (AVX2) does not compute in bfloat16"


def test_other_devices_compute_in_float32() -> None:
    assert computes_in_bfloat16("meta") == (False, "device meta does not compute in bfloat16")


def test_the_log_says_what_and_why_once(able: bool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        for _ in range(2):
            log_precision(config("MODEL.CHANNELS_LAST", able))
    (line,) = [record.getMessage() for record in caplog.records]
    name, memory = ("bfloat16", "channels last") if able else ("float32", "contiguous")
    expected = f"Computing in {name}, {memory}: a reason, MODEL.CHANNELS_LAST is {able}."
    assert line == expected
