"""Engines of STCN, as a session drives them."""

import io
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.helpers import ROOT
from tests.modeling.vos.made import make_clip
from vps_d2.config.loading import load_config
from vps_d2.inference.vos.engines import EngineOptions
from vps_d2.inference.vos.stcn import STCNEngine, make_small_engine, make_stcn_engine
from vps_d2.io.errors import UserError
from vps_d2.modeling.build import build_model


@pytest.fixture(scope="module")
def engine() -> STCNEngine:
    return make_small_engine(EngineOptions(device="cpu"))


def test_shipped_weights_follow_objects(engine: STCNEngine) -> None:
    frames, first = make_clip(12)
    engine.reset()
    engine.remember(frames[0], first, permanent=True)
    for picture in frames[1:]:
        found = engine.segment(picture, [1, 2])
    assert found.dtype == np.float32 and found.shape == (3, 112, 128)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)
    for number in (1, 2):
        there, wanted = found.argmax(0) == number, np.roll(first == number, 22, 1)
        assert (there & wanted).sum() > 0.8 * (there | wanted).sum()
    assert "vos_small.pth" in engine.source and not engine.license_note


def test_goes_on_from_a_state_that_was_saved(engine: STCNEngine) -> None:
    frames, first = make_clip(10, 48, 64)
    engine.reset()
    engine.remember(frames[0], first, permanent=True)
    for picture in frames[1:7]:
        engine.segment(picture, [1, 2])
    file = io.BytesIO()
    torch.save(dict(engine.get_state()), file)
    expected = [engine.segment(picture, [1, 2]) for picture in frames[7:]]
    engine.reset()
    file.seek(0)
    engine.set_state(torch.load(file, weights_only=True))
    found = [engine.segment(picture, [1, 2]) for picture in frames[7:]]
    np.testing.assert_array_equal(found, expected)


def test_a_second_direction_begins_with_what_was_given(engine: STCNEngine) -> None:
    frames, first = make_clip(8, 48, 64)
    engine.reset()
    engine.remember(frames[0], first, permanent=True)
    once = [engine.segment(picture, [1, 2]) for picture in frames[1:]]
    engine.forget_frames()
    engine.remember(frames[0], first, permanent=False)
    engine.forget_frames()
    again = [engine.segment(picture, [1, 2]) for picture in frames[1:]]
    np.testing.assert_array_equal(once, again)


def test_fingerprints_tell_weights_and_settings_apart(engine: STCNEngine, tmp_path: Path) -> None:
    other = make_small_engine(EngineOptions(device="cpu", opts=("MODEL.VOS.TOP_K", "7")))
    assert other.fingerprint() != engine.fingerprint()
    torch.manual_seed(0)
    cfg = load_config(ROOT / "configs" / "vos" / "small_vos.yaml", ["MODEL.DEVICE", "cpu"])
    path = tmp_path / "own.pth"
    torch.save({"model": build_model(cfg).state_dict()}, path)
    own = make_small_engine(EngineOptions(weights=str(path), device="cpu"))
    assert own.fingerprint() != engine.fingerprint()
    assert "own.pth" in own.source


def test_mistakes_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs the public checkpoint of STCN"):
        make_stcn_engine(EngineOptions(device="cpu"))
    with pytest.raises(UserError, match="loads no model by a name"):
        make_small_engine(EngineOptions(name="large"))
    unet = str(ROOT / "configs" / "unet" / "unet_frames.yaml")
    with pytest.raises(UserError, match="whose task is segmentation, not video_objects"):
        make_small_engine(EngineOptions(config_file=unet, weights="any.pth"))
    with pytest.raises(UserError, match=r"none\.pth"):
        make_stcn_engine(EngineOptions(weights=str(tmp_path / "none.pth"), device="cpu"))
